"""A webhook is kept without its key, and put together again to the byte."""

import json
from datetime import UTC, datetime

import pytest

from gateway.domain.raw_webhooks import RawBody, chat_of, kept_raw, raw_again, with_key
from gateway.wasender import webhook

KEY = "5e55104a9f0c4b1e8d7a6b3c2f1e0d9c"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def keep(raw: bytes, *secrets: str) -> RawBody:
    """As the gateway keeps it, which must hold neither the key nor a secret."""
    body = json.loads(raw)
    claimed = webhook.claimed_key(body)
    kept = kept_raw(raw, webhook.redact(body, 12, [KEY, *secrets]), 12, claimed)
    assert not any(secret.encode() in kept.body for secret in (KEY, *secrets))
    return kept


@pytest.mark.parametrize(
    "raw",
    [
        b'{"event":"messages.received","sessionId":"%s","data":{}}',
        b'  {"data": {"a": 1.50, "b": "\\u00e9"}, "sessionId" : "%s"}\r\n',
        b'{"sessionId":"%s","data":{"session_id":"%s"}}',
        '{"sessionId":"%s","data":"é ünï"}'.encode(),
    ],
)
def test_the_bytes_come_back_as_they_were(raw: bytes) -> None:
    raw = raw.replace(b"%s", KEY.encode())
    kept = keep(raw)
    assert with_key(kept, KEY) == raw
    assert with_key(kept, "another") == raw.replace(KEY.encode(), b"another")


@pytest.mark.parametrize(
    "raw",
    [
        b'{"sessionId":"%s","data":"my key is %s"}',
        b'{"sessionId":"%s","data":"it is the-webhook-secret"}',
        b'{"sessionId":"%s","data":"a\\u0000b \\ud83d"}',
        b'{"sessionId":"\\u0035%s","data":1}'.replace(b"%s", KEY[1:].encode()),
        b'{"data":1,"sessionId":"7"}',
    ],
)
def test_where_bytes_cannot_be_kept_the_body_is_written_anew_with_the_key_in_its_place(raw: bytes) -> None:
    kept = keep(raw.replace(b"%s", KEY.encode()), "the-webhook-secret")
    assert len(kept.key_at) == 1
    assert b'"sessionId":"%s"' % KEY.encode() in with_key(kept, KEY)


def test_a_body_that_is_no_object_has_no_place_for_a_key() -> None:
    assert with_key(raw_again([1, {"a": None}]), KEY) == b'[1,{"a":null}]'
    assert kept_raw(b"[1, 2]", [1, 2], 12, None) == RawBody(b"[1, 2]")


def test_a_key_with_signs_of_json_is_escaped() -> None:
    assert with_key(raw_again({"sessionId": "12"}), 'a"b') == b'{"sessionId":"a\\"b"}'


def test_a_webhook_is_ordered_by_its_chat() -> None:
    ann = "15550001111@s.whatsapp.net"
    key = {"id": "A", "fromMe": True, "remoteJid": ann}
    for event, data, chat in (
        (
            "messages.received",
            {"messages": {"key": {**key, "fromMe": False}, "message": {"conversation": "x"}}},
            ann,
        ),
        ("messages.update", {"update": {"status": 3}, "key": key}, ann),
        ("messages.delete", {"keys": [key]}, ann),
        ("session.status", {"status": "connected"}, ""),
        ("contacts.upsert", [{"jid": ann, "name": "Ann"}], ""),
    ):
        assert chat_of(webhook.read({"event": event, "data": data}, NOW)) == chat, event
