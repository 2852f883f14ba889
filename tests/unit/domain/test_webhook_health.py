"""Whether a session's webhook is in order."""

import dataclasses

import pytest

from gateway.domain.webhook_health import SILENT_AFTER_S, WebhookFacts, is_ours, judge_webhook

HERE = "https://gateway.example"
NOW = 1_000_000.0
GOOD = WebhookFacts(
    url=f"{HERE}/api/whatsapp/webhook",
    is_enabled=True,
    events=["messages.received", "session.status", "qrcode.updated", "messages.upsert"],
    has_secret=True,
    seen_at=NOW - 10,
    missed_at=None,
)


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "ok"),
        ({"is_enabled": False}, "off"),
        ({"is_enabled": None}, "off"),
        ({"url": None}, "off"),
        ({"url": "https://other.example/api/whatsapp/webhook"}, "elsewhere"),
        ({"url": f"{HERE}.evil.example/api/whatsapp/webhook"}, "elsewhere"),
        ({"events": ["messages.received"]}, "events_missing"),
        ({"events": None}, "events_missing"),
        ({"has_secret": False}, "no_secret"),
        ({"missed_at": NOW - SILENT_AFTER_S - 1, "seen_at": None}, "silent"),
        ({"missed_at": NOW - SILENT_AFTER_S - 1, "seen_at": NOW - 1000}, "silent"),
        ({"missed_at": NOW - SILENT_AFTER_S + 1, "seen_at": None}, "ok"),
        ({"missed_at": NOW - 500, "seen_at": NOW - 400}, "ok"),
        ({"missed_at": NOW - 500, "seen_at": NOW - 530}, "ok"),
    ],
)
def test_a_webhook_is_judged_by_what_is_known_of_it(change: dict[str, object], state: str) -> None:
    assert judge_webhook(dataclasses.replace(GOOD, **change), HERE, NOW)[0] == state  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["", ".php", "/12"])
def test_every_path_of_the_webhook_is_ours(path: str) -> None:
    assert is_ours(f"{HERE}/api/whatsapp/webhook{path}", HERE + "/")


def test_a_path_that_only_begins_alike_is_not_ours() -> None:
    assert not is_ours(f"{HERE}/api/whatsapp/webhooks", HERE)
