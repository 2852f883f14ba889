"""What webhooks become in the shop's tables."""

import asyncio
from typing import Any

import pytest

from tests.http.support import (
    OUTGOING,
    Shop,
    deleted,
    edited,
    moved,
    received,
    sent,
)
from tests.unit.wasender import payload_parts as parts

STORED = ("messages.received", "stored")


# ------------------------------------------------------------------------------------------ one row per message


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


async def test_the_same_message_twice_is_one_row_and_the_second_is_a_duplicate(shop: Shop) -> None:
    await shop.take(received("first"))
    await shop.take(received("first"))

    assert (await shop.row())["message_text"] == "first"
    assert await shop.outcomes() == [STORED, ("messages.received", "duplicate")]


async def test_the_same_key_with_another_content_is_kept_in_the_journal(shop: Shop) -> None:
    await shop.take(received("first"))
    await shop.take(received("second"))

    assert (await shop.row())["message_text"] == "first"
    entry = await shop.last_entry()
    assert entry["outcome"] == "ignored"
    assert entry["body"]["data"]["messages"][0]["message"] == {"conversation": "second"}


async def test_the_same_message_under_two_event_names_is_one_row(shop: Shop) -> None:
    await shop.take(received())
    await shop.take({**received(), "event": "messages.upsert"})
    await shop.take({**received(), "event": "messages-personal.received"})

    assert len(await shop.rows()) == 1


async def test_the_same_message_many_times_at_once_is_one_row(shop: Shop) -> None:
    await asyncio.gather(*(shop.take(received()) for _ in range(20)))

    assert len(await shop.rows()) == 1
    assert sorted(await shop.outcomes()) == [("messages.received", "duplicate")] * 19 + [STORED]


async def test_a_key_id_that_two_sessions_see_is_a_row_for_each(shop: Shop) -> None:
    for _ in range(2):
        await shop.take(received(), 12)
        await shop.take(received(), 13)

    found = [(row["message_id"], row["wa_key_id"], row["wasender_session_id"]) for row in await shop.rows()]
    assert found == [(parts.ID, parts.ID, 12), (f"{parts.ID}@13", parts.ID, 13)]
    assert await shop.outcomes() == [STORED, STORED] + [("messages.received", "duplicate")] * 2


async def test_two_sessions_in_one_chat_get_a_row_each_also_at_the_same_moment(shop: Shop) -> None:
    ids = [f"KEY{number}" for number in range(30)]

    await asyncio.gather(*(shop.take(received(key_id=key), session) for key in ids for session in (12, 13)))

    found = {(row["wa_key_id"], row["wasender_session_id"]) for row in await shop.rows()}
    assert found == {(key, session) for key in ids for session in (12, 13)}
    assert len(await shop.rows()) == 60


async def test_a_row_of_the_shop_without_a_session_gets_one_and_keeps_its_own_values(shop: Shop) -> None:
    await shop.db.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text, is_read)"
        " VALUES ($1, '+62 811', 'as the shop wrote it', true)",
        parts.ID,
    )
    await shop.take(received("as we read it", pushName="Ann"))

    row = await shop.row()
    assert (row["wasender_session_id"], row["wa_key_id"], row["chat"]) == (12, parts.ID, parts.ANN_JID)
    assert (row["message_text"], row["from_phone"], row["is_read"]) == (
        "as the shop wrote it",
        "+62 811",
        True,
    )
    assert row["push_name"] == "Ann"
    await shop.take(received(), 13)
    assert [row["wasender_session_id"] for row in await shop.rows()] == [12, 13]


async def test_one_webhook_with_several_messages_becomes_several_rows(shop: Shop) -> None:
    one, two = parts.message(parts.PRIVATE), parts.message({**parts.PRIVATE, "id": parts.TARGET})
    await shop.take(parts.envelope("messages.upsert", {"messages": [one, two, "rubbish"]}))

    assert {row["wa_key_id"] for row in await shop.rows()} == {parts.ID, parts.TARGET}
    entry = await shop.last_entry()
    assert entry["outcome"] == "stored"
    assert "element 3" in entry["reason"]


# ------------------------------------------------------------------------------------------ from the phone itself


async def test_a_message_of_the_linked_phone_goes_to_outgoing_with_origin_phone(shop: Shop) -> None:
    await shop.take(sent("Yes, until six"))
    await shop.take(sent("Yes, until six"))

    row = await shop.row(OUTGOING)
    assert await shop.rows() == []
    assert (row["origin"], row["status"], row["message_text"]) == ("phone", "sent", "Yes, until six")
    assert (row["to_phone"], row["chat"], row["wasender_session_id"]) == (parts.ANN, parts.ANN_JID, 12)
    assert await shop.outcomes() == [("messages.upsert", "stored"), ("messages.upsert", "duplicate")]


async def test_the_same_key_id_sent_by_two_sessions_is_a_row_for_each(shop: Shop) -> None:
    await shop.take(sent(), 12)
    await shop.take(sent(), 13)

    assert [row["wasender_session_id"] for row in await shop.rows(OUTGOING)] == [12, 13]


async def test_an_answer_from_the_phone_marks_what_came_before_it_as_replied(shop: Shop) -> None:
    await shop.take(received(key_id="before"))
    await shop.take(received(key_id="after", messageTimestamp=parts.SENT_S + 60))
    await shop.take(received(key_id="other chat", jid=parts.BOB_JID))
    await shop.take(received(key_id="other session"), 13)
    await shop.take(sent(key_id="answer", messageTimestamp=parts.SENT_S + 30))

    replied = {row["wa_key_id"]: row["replied"] for row in await shop.rows()}
    assert replied == {"before": True, "after": False, "other chat": False, "other session": False}


# ------------------------------------------------------------------------------------------ how far it has come


@pytest.mark.parametrize(
    ("steps", "word"),
    [
        ([2, 3, 4], "read"),
        ([4, 3, 2], "read"),
        ([3, 1], "delivered"),
        ([1], "sent"),
        ([0], "failed"),
        ([0, 3], "delivered"),
        ([3, 0], "delivered"),
        ([4, 0], "read"),
        ([5], "played"),
        ([4, 5, 4], "played"),
    ],
)
@pytest.mark.parametrize("order", ["message first", "states first", "one batch"])
async def test_delivery_states_never_go_backwards(
    shop: Shop, steps: list[int], word: str, order: str
) -> None:
    bodies: list[Any] = [moved(step) for step in steps]
    bodies.insert(len(bodies) if order == "states first" else 0, sent())
    if order == "one batch":
        await asyncio.gather(*map(shop.take, bodies))
        expected = {"delivered"} if steps in ([3, 0], [0, 3]) else {word}
    else:
        for body in bodies:
            await shop.take(body)
        expected = {word}

    row = await shop.row(OUTGOING)
    assert row["status"] in expected
    assert (row["read_at"] is not None) is (word in ("read", "played"))
    assert (row["delivered_at"] is not None) is (word in ("played", "read", "delivered"))
    assert await shop.db.fetchval("SELECT count(*) FROM gateway.early_deliveries") == 0


async def test_upstreams_pending_never_puts_a_message_back_into_our_queue(shop: Shop) -> None:
    await shop.db.execute(
        "INSERT INTO whatsapp_outgoing_messages (client_id, wasender_session_id, chat, wa_key_id, status)"
        " VALUES ('a', 12, 'x', $1, 'unknown'), ('b', 12, 'x', 'failed one', 'failed')",
        parts.ID,
    )
    await shop.take(moved(1))
    await shop.take(moved(1, "failed one"))
    await shop.take(moved(1, "not here yet"))

    assert [row["status"] for row in await shop.rows(OUTGOING)] == ["unknown", "failed"]
    assert [outcome for _, outcome in await shop.outcomes()] == ["ignored"] * 3


async def test_a_state_of_another_sessions_message_moves_nothing(shop: Shop) -> None:
    await shop.take(sent(), 12)
    await shop.take(moved(4), 13)

    assert (await shop.row(OUTGOING))["status"] == "sent"


async def test_a_failure_says_why(shop: Shop) -> None:
    await shop.take(sent())
    body = {"key": parts.MINE, "success": False, "error": "No such number"}
    await shop.take(parts.envelope("message.sent", body, parts.SENT_S))

    row = await shop.row(OUTGOING)
    assert (row["status"], row["error"]) == ("failed", "No such number")


# ------------------------------------------------------------------------------------------ changed afterwards


@pytest.mark.parametrize("make", [received, sent])
async def test_an_edit_changes_the_text_and_an_older_one_does_not(shop: Shop, make: Any) -> None:
    table = "whatsapp_incoming_messages" if make is received else OUTGOING
    await shop.take(make("first"))
    by = parts.PRIVATE if make is received else parts.MINE
    await shop.take(edited("second", at_ms=parts.SENT_MS + 2000, by=by))
    await shop.take(edited("too late", at_ms=parts.SENT_MS + 1000, by=by))

    row = await shop.row(table)
    assert row["message_text"] == "second"
    assert row["edited_at"] is not None
    assert [outcome for _, outcome in await shop.outcomes()] == ["stored", "stored", "ignored"]


@pytest.mark.parametrize("make", [received, sent])
async def test_a_deletion_keeps_the_row(shop: Shop, make: Any) -> None:
    table = "whatsapp_incoming_messages" if make is received else OUTGOING
    await shop.take(make("Hello"))
    await shop.take(deleted())
    await shop.take(deleted())

    row = await shop.row(table)
    assert (row["message_text"], row["deleted_at"]) == ("Hello", parts.AT)
    assert [outcome for _, outcome in await shop.outcomes()] == ["stored", "stored", "duplicate"]


@pytest.mark.parametrize("body", [edited("new"), deleted()], ids=["edit", "deletion"])
async def test_a_change_of_a_message_that_is_not_here_waits_and_is_kept_in_the_journal(
    shop: Shop, body: dict[str, Any]
) -> None:
    await shop.take(received(), 13)
    await shop.take(body, 12)

    entry = await shop.last_entry()
    assert (entry["outcome"], entry["body"]["event"]) == ("stored", body["event"])
    assert "waits" in entry["reason"]
    row = await shop.row()
    assert (row["message_text"], row["deleted_at"]) == ("Hello", None)


async def test_a_delivery_state_that_moves_is_told_as_a_status(shop: Shop) -> None:
    async with shop.gateway.socket() as socket:
        await socket.subscribe("inbox:12")
        await shop.take(sent(), 12)
        told = [await socket.next("event")]
        for number in (3, 4):
            await shop.take(moved(number), 12)
            told.append(await socket.next("event"))

    assert [(frame["event"], frame["data"]["status"]) for frame in told] == [
        ("message.created", "sent"),
        ("message.status", "delivered"),
        ("message.status", "read"),
    ]
