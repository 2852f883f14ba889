"""Every event of upstream in every shape we know, through the real door: each with its row, or its journal outcome.

The samples say which changes a body means; here stands what those changes become. What a change needs to be there
before it (the message that is edited, the one whose ticks move) is put there first.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.domain.message import (
    CodeReported,
    DeliveryMoved,
    DeliveryState,
    MessageDeleted,
    MessageEdited,
    MessageReacted,
    MessageReceived,
    MessageSent,
    SendRefused,
    StatusReported,
)
from tests.http.support import INCOMING, OUTGOING, Shop, key_of
from tests.unit.wasender import payload_parts as parts
from tests.unit.wasender.payload_parts import KEY, Sample
from tests.unit.wasender.payload_samples import EVENTS, SAMPLES
from tests.unit.wasender.payload_samples_later import DELIVERY, IGNORED, SESSION
from tests.unit.wasender.payload_samples_what import CONTENTS, REACTIONS
from tests.unit.wasender.payload_samples_who import CONTAINERS, INSTANTS, PARTIES

GROUPS = {
    "containers": CONTAINERS,
    "parties": PARTIES,
    "instants": INSTANTS,
    "contents": CONTENTS,
    "delivery": DELIVERY,
    "reactions": REACTIONS,
    "session": SESSION,
    "ignored": IGNORED,
}

OUTCOMES = {
    # Known events that change nothing here are `ignored` with a reason; the ones named here come out otherwise.
    "pending": "ignored",  # upstream's queue is not ours
    "poll results": "ignored",  # of a poll that is not here
    "a reaction is taken back": "duplicate",  # a reaction that was never there
    "reaction taken back": "duplicate",
    "a call that was answered": "ignored",
    "an event we do not know": "unknown",
}


def test_the_groups_are_all_samples_and_the_samples_hold_every_event_name() -> None:
    assert sum(map(len, GROUPS.values())) == len(SAMPLES)
    assert {one.event for one in SAMPLES} >= set(EVENTS)


@pytest.mark.parametrize("name", GROUPS)
async def test_every_sample_becomes_its_row_or_its_journal_outcome(shop: Shop, name: str) -> None:
    wrong: list[str] = []
    for sample in GROUPS[name]:
        await clear(shop)
        await prepare(shop, sample)
        started = datetime.now(UTC)
        await shop.take(as_session_12(sample.body))
        expected = expectation(sample)
        found = await result(shop, sample, started)
        wrong += [
            f"{sample.event}: {sample.name}: {what} is {found.get(what)!r}, not {value!r}"
            for what, value in expected.items()
            if found.get(what) != value
        ]

    assert wrong == []


# ------------------------------------------------------------------------------------------ before


def as_session_12(body: Any) -> Any:
    """The body with session 12's key wherever the sample has its own."""
    if isinstance(body, dict):
        return {name: as_session_12(value) for name, value in body.items()}
    if isinstance(body, list):
        return [as_session_12(item) for item in body]
    return key_of(12) if body == KEY else body


async def clear(shop: Shop) -> None:
    # A sample before this one may have made the gateway ask upstream: its answer would be newer than this sample.
    await shop.gateway.gateway.services.status_hints.close()
    for table in (
        INCOMING,
        OUTGOING,
        "gateway.lids",
        "gateway.early_deliveries",
        "gateway.early_changes",
        "gateway.journal",
    ):
        await shop.db.execute(f"DELETE FROM {table}")
    await shop.db.execute("UPDATE whatsapp_sessions SET status = 'before' WHERE wasender_session_id = 12")
    await shop.db.execute("UPDATE gateway.session_state SET checked_at = NULL, said_at = NULL")


async def prepare(shop: Shop, sample: Sample) -> None:
    """What a change is about must be there: the edited or deleted message, the one whose ticks move."""
    if any(isinstance(change, MessageReceived) for change in sample.changes):
        return
    for change in sample.changes:
        if isinstance(change, MessageEdited | MessageDeleted | MessageReacted) and not change.by.is_me:
            await shop.db.execute(
                f"INSERT INTO {INCOMING} (message_id, wa_key_id, wasender_session_id, chat, from_phone, message_text)"
                " VALUES ($1, $1, 12, $2, $3, 'as it was') ON CONFLICT DO NOTHING",
                change.key_id,
                change.by.chat,
                change.by.address or parts.ANN,
            )
        if isinstance(change, DeliveryMoved) or (
            isinstance(change, MessageEdited | MessageDeleted | MessageReacted) and change.by.is_me
        ):
            await shop.db.execute(
                f"INSERT INTO {OUTGOING} (client_id, wa_key_id, wasender_session_id, chat, to_phone, status)"
                " VALUES ($1, $1, 12, $2, $3, 'unknown') ON CONFLICT DO NOTHING",
                change.key_id,
                parts.ANN_JID,
                parts.ANN,
            )


# ------------------------------------------------------------------------------------------ after


def expectation(sample: Sample) -> dict[str, Any]:
    """What is to be found, derived from the changes of the sample."""
    outcome = "stored" if sample.changes else "ignored"
    expected: dict[str, Any] = {
        "outcome": OUTCOMES.get(sample.name, outcome),
        "received": sorted(of(sample, MessageReceived), key=lambda row: str(row["wa_key_id"])),
        "sent": of(sample, MessageSent),
    }
    for change in sample.changes:
        match change:
            case MessageEdited():
                expected["text"] = change.text
                expected["edited_at"] = None if change.is_content else change.at
            case MessageDeleted():
                expected["deleted_at"] = change.at
            case DeliveryMoved():
                queued = change.state is DeliveryState.QUEUED
                expected["state"] = "unknown" if queued else change.state.word
                expected["error"] = change.error
            case MessageReacted():
                expected["emoji"] = change.emoji
            case SendRefused():
                expected["outcome"] = "ignored"  # nothing was accepted here that it could be about
            case StatusReported(has_time=True):
                expected["status"] = change.status
            case StatusReported():
                expected |= {"outcome": "ignored", "reason": True}  # upstream is asked first
            case _:
                pass
    if sample.reason is not None:
        expected["reason"] = True
    return expected


def of(sample: Sample, kind: type[MessageReceived] | type[MessageSent]) -> list[dict[str, Any]]:
    rows = []
    for change in sample.changes:
        if isinstance(change, MessageReceived) and kind is MessageReceived:
            rows.append(
                {
                    "message_id": change.key_id,
                    "wa_key_id": change.key_id,
                    "wasender_session_id": 12,
                    "chat": change.chat,
                    "from_phone": change.from_phone,
                    "sender_lid": change.sender_lid,
                    "push_name": change.push_name,
                    "message_text": change.text,
                    "message_type": change.type,
                    "media_url": change.media_url,
                    "received_at": "now" if change.received_at == parts.NOW else change.received_at,
                    "is_read": False,
                    "replied": False,
                }
            )
        if isinstance(change, MessageSent) and kind is MessageSent:
            rows.append(
                {
                    "wa_key_id": change.key_id,
                    "wasender_session_id": 12,
                    "chat": change.chat,
                    "to_phone": change.to_phone,
                    "message_text": change.text,
                    "message_type": change.type,
                    "media_url": change.media_url,
                    "sent_at": "now" if change.sent_at == parts.NOW else change.sent_at,
                    "status": "sent",
                    # `message.sent` tells of what was sent through the API; whoever types on the phone is in upserts.
                    "origin": "api" if sample.event == "message.sent" else "phone",
                }
            )
    return rows


async def result(shop: Shop, sample: Sample, started: datetime) -> dict[str, Any]:
    entry = await shop.last_entry()
    incoming, outgoing = await shop.rows(), await shop.rows(OUTGOING)
    expects_rows = bool(of(sample, MessageReceived))
    expects_sent = bool(of(sample, MessageSent))
    found: dict[str, Any] = {
        "outcome": entry["outcome"],
        "reason": (sample.reason or "upstream is asked") in str(entry["reason"]),
        "received": trimmed(incoming, of(sample, MessageReceived), started) if expects_rows else [],
        "sent": trimmed(outgoing, of(sample, MessageSent), started) if expects_sent else [],
        "status": await shop.db.fetchval(
            "SELECT status FROM whatsapp_sessions WHERE wasender_session_id = 12"
        ),
    }
    if not sample.changes:
        found["received"], found["sent"] = incoming, outgoing
    for row in [*outgoing, *incoming][:1]:
        found |= {name: row[name] for name in ("edited_at", "deleted_at")} | {"text": row["message_text"]}
    said = [reaction["emoji"] for row in [*incoming, *outgoing] for reaction in row["reactions"] or []]
    found["emoji"] = "".join(said)
    if outgoing:
        found |= {"state": outgoing[0]["status"], "error": outgoing[0]["error"]}
    return found


def trimmed(
    rows: Sequence[dict[str, Any]], like: Sequence[dict[str, Any]], started: datetime
) -> list[dict[str, Any]]:
    """Only the columns that are expected; a time that can only be the receipt's reads "now"."""
    columns = like[0].keys()
    shown = [
        {
            name: "now" if isinstance(row[name], datetime) and row[name] >= started else row[name]
            for name in columns
        }
        for row in rows
    ]
    return sorted(shown, key=lambda row: str(row["wa_key_id"]))


async def test_a_code_that_comes_by_webhook_is_the_attempts_newest_code(shop: Shop) -> None:
    session_id = await shop.create()
    shown = await shop.gateway.data("GET", f"/api/whatsapp-sessions/{session_id}?reveal=secrets")
    # Upstream knows nothing of these codes: asked, it would have the poller put its own in their place.
    silence = {"path": "/whatsapp-sessions/{id}/qrcode", "hang": True, "times": None}
    await shop.gateway.data("POST", "/_simulator/faults", silence, token="")
    async with shop.gateway.socket() as socket:
        await socket.subscribe(f"session:{session_id}")
        await shop.gateway.data("POST", f"/api/whatsapp-sessions/{session_id}/connect")
        await socket.state("session.qr")
        for sample in [one for one in SESSION if any(isinstance(c, CodeReported) for c in one.changes)]:
            (change,) = sample.changes
            assert isinstance(change, CodeReported)
            path = f"/api/whatsapp/webhook/{session_id}"
            code = f"{change.code},{sample.name}"
            body = {**sample.body, "data": dict.fromkeys(sample.body["data"], code)}
            assert (await shop.post(body, secret=shown["webhook_secret"], path=path))[0] == 200
            while socket.frames[-1].get("data", {}).get("qrCode") != code:
                await socket.state("session.qr")
