"""Order of arrival is not order of truth: what is empty is filled, what is early waits, the later edit wins."""

import itertools
from typing import Any

import pytest

from tests.http.support import OUTGOING, Shop
from tests.http.webhook_makers import (
    GROUP,
    NINA,
    OLEG,
    deleted,
    edit,
    element,
    jid,
    key,
    react,
    revoke,
    said,
    sealed_edit,
    update,
    upsert,
    with_secret,
)

EMPTY: dict[str, Any] = {
    "null": {},
    "an empty object": {"message": {}},
    "only the context": {"message": {"messageContextInfo": {"deviceListMetadataVersion": 2}}},
    "not decrypted": {"messageStubType": 2, "messageStubParameters": ["Bad MAC"]},
    "not decrypted, in words": {"messageStubType": "CIPHERTEXT"},
    "a picture that is nowhere": {"message": {"imageMessage": {"caption": "cake"}}},
    "a placeholder": {"message": {"placeholderMessage": {"type": 0}}},
}


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


def empty(name: str, mine: bool = False) -> dict[str, Any]:
    return upsert(
        element(key("P", NINA, mine=mine), None, **EMPTY[name])
        if "message" not in EMPTY[name]
        else {**element(key("P", NINA, mine=mine), None), **EMPTY[name]}
    )


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("way", ["upsert", "received", "update"])
async def test_what_came_empty_is_listed_and_gets_its_content(shop: Shop, name: str, way: str) -> None:
    await shop.take(empty(name))
    row = await shop.row()
    assert row["message_type"] == "unknown"
    (listed,) = (await shop.gateway.data("GET", "/api/conversations?session=12"))["conversations"]
    assert (listed["chat"], listed["unread"]) == (jid(NINA), 1)

    content = {"conversation": "now it is here"}
    full = upsert(element(key("P", NINA), content))
    await shop.take(
        {
            "upsert": full,
            "received": {**full, "event": "messages.received"},
            "update": update(key("P", NINA), {"message": content}),
        }[way]
    )

    row = await shop.row()
    assert (row["message_text"], row["message_type"], row["edited_at"]) == ("now it is here", "text", None)
    await shop.take(empty(name))
    assert (await shop.last_entry())["outcome"] == "duplicate"


@pytest.mark.parametrize("name", EMPTY)
async def test_our_own_empty_message_gets_its_content_too(shop: Shop, name: str) -> None:
    await shop.take(empty(name, mine=True))
    await shop.take(said("P", NINA, "from the phone", mine=True))

    row = await shop.row(OUTGOING)
    assert (row["message_text"], row["message_type"]) == ("from the phone", "text")


async def test_a_stranger_fills_nothing(shop: Shop) -> None:
    await shop.take(empty("null"))
    await shop.take(said("P", OLEG, "not hers"))

    assert {row["message_text"] for row in await shop.rows()} == {None, "not hers"}


@pytest.mark.parametrize("mine", [False, True])
async def test_what_comes_before_its_message_waits_for_it(shop: Shop, mine: bool) -> None:
    await shop.take(edit("A", NINA, "edited", mine=mine))
    await shop.take(revoke("B", NINA, mine=mine))
    await shop.take(react("C", NINA, "🎂"))
    await shop.take(deleted(key("D", NINA, mine=mine)))
    for name in "ABCD":
        await shop.take(said(name, NINA, "as it was", mine=mine))

    a, b, c, d = await shop.rows(OUTGOING if mine else "whatsapp_incoming_messages")
    assert (a["message_text"], a["edited_at"] is not None) == ("edited", True)
    assert b["deleted_at"] is not None
    assert [one["emoji"] for one in c["reactions"]] == ["🎂"]
    assert d["deleted_at"] is not None
    assert await shop.db.fetchval("SELECT count(*) FROM gateway.early_changes") == 0


async def test_a_forged_change_that_is_early_changes_nothing(shop: Shop) -> None:
    await shop.take(edit("A", OLEG, "forged"))
    await shop.take(revoke("A", OLEG))
    await shop.take(said("A", NINA, "true"))

    row = await shop.row()
    assert (row["message_text"], row["deleted_at"]) == ("true", None)


async def test_the_later_of_two_edits_wins_in_every_shape(shop: Shop) -> None:
    await shop.take(said("A", NINA, "first"))
    late = edit("A", NINA, "third", ago=5)
    middle = {"editedMessage": {"message": {"conversation": "second"}}}
    at = late["data"]["messages"][0]["messageTimestamp"] - 20
    await shop.take(late)
    await shop.take(update(key("A", NINA), {"message": middle, "messageTimestamp": at}))
    assert (await shop.last_entry())["outcome"] == "ignored"
    await shop.take(said("A", NINA, "first"))

    assert (await shop.row())["message_text"] == "third"


async def test_several_facts_of_one_update_are_all_true(shop: Shop) -> None:
    await shop.take(said("A", NINA, "10", mine=True))
    new = {"editedMessage": {"message": {"conversation": "12"}}}
    await shop.take(update(key("A", NINA, mine=True), {"status": 3, "message": new}))
    row = await shop.row(OUTGOING)
    assert (row["message_text"], row["status"]) == ("12", "delivered")

    await shop.take(update(key("A", NINA, mine=True), {"status": 4, "messageStubType": 1, "message": None}))
    row = await shop.row(OUTGOING)
    assert (row["status"], row["deleted_at"] is not None) == ("read", True)


@pytest.mark.parametrize(
    "content",
    [
        {"protocolMessage": {"key": {"id": "A"}, "type": 14, "editedMessage": {"conversation": "new"}}},
        {"pinInChatMessage": {"key": {"id": "A"}, "type": 1}},
        {"pollUpdateMessage": {"pollCreationMessageKey": {"id": "A"}, "vote": {}}},
        {"keepInChatMessage": {"key": {"id": "A"}, "keepType": 1}},
        {"reactionMessage": {"key": {"id": "A"}, "text": "👍"}},
    ],
    ids=lambda content: next(iter(content)),
)
async def test_what_was_sent_about_a_message_is_no_message(shop: Shop, content: dict[str, Any]) -> None:
    await shop.take(said("A", NINA, "old", mine=True))
    await shop.take(
        {
            "event": "message.sent",
            "data": {"key": key("B", NINA, mine=True), "message": content, "success": True},
        }
    )

    assert [row["wa_key_id"] for row in await shop.rows(OUTGOING)] == ["A"]


@pytest.mark.parametrize(
    ("state", "word"), [(3, "delivered"), ("READ", "read"), ("ERROR", "failed"), (2, "sent")]
)
async def test_a_message_brings_its_own_state(shop: Shop, state: Any, word: str) -> None:
    await shop.take(upsert(element(key("A", NINA, mine=True), {"conversation": "x"}, status=state)))

    assert (await shop.row(OUTGOING))["status"] == word


# ------------------------------------------------------------------------------------------ sealed


@pytest.mark.parametrize("is_early", [False, True])
async def test_an_encrypted_edit_is_read_with_the_secret_of_its_message(shop: Shop, is_early: bool) -> None:
    webhooks = [with_secret(), sealed_edit("new text")]
    for body in webhooks[::-1] if is_early else webhooks:
        await shop.take(body)

    row = await shop.row()
    assert (row["message_text"], row["edited_at"] is not None, row["edited_on_phone"]) == (
        "new text",
        True,
        None,
    )


@pytest.mark.parametrize("order", list(itertools.permutations(("empty", "edit", "content"))), ids="-".join)
async def test_an_encrypted_edit_of_a_message_that_came_empty_is_read_when_the_content_has_come(
    shop: Shop, order: tuple[str, ...]
) -> None:
    bodies = {
        "empty": upsert(element(key("S", NINA), None)),
        "edit": sealed_edit("new text"),
        "content": with_secret(),
    }
    for name in order:
        await shop.take(bodies[name])

    row = await shop.row()
    assert (row["message_text"], row["message_type"], row["edited_on_phone"]) == ("new text", "text", None)


@pytest.mark.parametrize("order", list(itertools.permutations(("empty", "edit", "content"))), ids="-".join)
async def test_the_content_of_a_message_is_kept_although_its_edit_stays_closed(
    shop: Shop, order: tuple[str, ...]
) -> None:
    bodies = {
        "empty": upsert(element(key("S", NINA), None)),
        "edit": sealed_edit("new text"),
        "content": said("S", NINA, "old"),
    }
    for name in order:
        await shop.take(bodies[name])

    row = await shop.row()
    assert (row["message_text"], row["edited_on_phone"]) == ("old", True)


async def test_the_secret_that_only_the_second_copy_of_a_message_brings_is_kept(shop: Shop) -> None:
    await shop.take(said("S", NINA, "old"))
    await shop.take(with_secret())
    await shop.take(sealed_edit("new text"))

    row = await shop.row()
    assert (row["message_text"], row["edited_on_phone"]) == ("new text", None)


async def test_an_edit_that_stays_closed_is_said_to_be_made_on_the_phone(shop: Shop) -> None:
    await shop.take(said("S", NINA, "old"))
    await shop.take(sealed_edit("new text"))

    thread = await shop.gateway.data("GET", f"/api/conversations/{NINA}/messages?session=12")
    (message,) = thread["messages"]
    assert (message["message_text"], message["edited_on_phone"]) == ("old", True)
    assert message["edited_at"] is not None

    await shop.take(edit("S", NINA, "readable", ago=1))
    row = await shop.row()
    assert (row["message_text"], row["edited_on_phone"]) == ("readable", None)


# ------------------------------------------------------------------------------------------ reactions


async def test_reactions_belong_to_their_message(shop: Shop) -> None:
    await shop.take(said("A", GROUP, "cake?", mine=True))
    await shop.take(react("A", GROUP, "👍", by=NINA, ago=30))
    await shop.take(react("A", GROUP, "🎂", by=OLEG, ago=29))
    await shop.take(react("A", GROUP, "❤️", by=NINA, ago=28))

    row = await shop.row(OUTGOING)
    assert sorted((one["by"], one["emoji"]) for one in row["reactions"]) == [(NINA, "❤️"), (OLEG, "🎂")]
    assert await shop.rows() == []

    await shop.take(react("A", GROUP, "", by=NINA, ago=27))
    await shop.take(react("A", GROUP, "👍", by=NINA, ago=40))
    assert (await shop.last_entry())["outcome"] == "ignored"
    row = await shop.row(OUTGOING)
    assert [(one["by"], one["emoji"]) for one in row["reactions"]] == [(OLEG, "🎂")]
    await shop.take(react("A", GROUP, "", by=OLEG, ago=1))
    assert (await shop.row(OUTGOING))["reactions"] is None


async def test_a_reaction_is_told_as_a_change_of_its_message_and_needs_no_answer(shop: Shop) -> None:
    await shop.take(said("A", NINA, "here you are", mine=True))
    async with shop.gateway.socket() as socket:
        await socket.subscribe("inbox:12")
        await shop.take(react("A", NINA, "👍"))
        frame = await socket.next("event")

    assert (frame["event"], frame["data"]["reactions"][0]["emoji"]) == ("message.updated", "👍")
    (listed,) = (await shop.gateway.data("GET", "/api/conversations?session=12"))["conversations"]
    assert (listed["unread"], listed["replied"]) == (0, True)
    assert listed["last_message"]["message_text"] == "here you are"


async def test_old_rows_that_are_reactions_are_shown_nowhere(shop: Shop) -> None:
    await shop.take(said("A", NINA, "hello"))
    await shop.db.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, wasender_session_id, from_phone, message_type,"
        " message_text, received_at) VALUES ('R', 12, $1, 'reaction', '👍', now())",
        NINA,
    )

    (listed,) = (await shop.gateway.data("GET", "/api/conversations?session=12"))["conversations"]
    assert (listed["unread"], listed["last_message"]["message_text"]) == (1, "hello")
    thread = await shop.gateway.data("GET", f"/api/conversations/{NINA}/messages?session=12")
    assert [message["message_text"] for message in thread["messages"]] == ["hello"]


@pytest.mark.parametrize(
    ("end", "text"), [("timeout", "Missed voice call"), ("terminate", "Missed voice call")]
)
async def test_a_call_that_was_missed_is_a_message(shop: Shop, end: str, text: str) -> None:
    for state in ("offer", end):
        await shop.take({"event": "call", "data": {"call": {"id": "C", "from": jid(NINA), "status": state}}})

    row = await shop.row()
    assert (row["message_type"], row["message_text"], row["chat"]) == ("call", text, jid(NINA))


async def test_a_missed_call_without_an_id_is_one_message_however_often_it_is_told(shop: Shop) -> None:
    call = {"from": jid(NINA), "status": "timeout", "date": "2026-11-30T10:00:00.000Z"}
    for one in (call, {**call, "status": "offer"}, call, {**call, "status": "terminate"}):
        await shop.take({"event": "call", "data": {"call": one}})

    assert (await shop.row())["message_text"] == "Missed voice call"


async def test_a_call_that_was_answered_is_none(shop: Shop) -> None:
    for state in ("offer", "accept", "terminate"):
        await shop.take({"event": "call", "data": {"call": {"id": "C", "from": jid(NINA), "status": state}}})

    assert await shop.rows() == []


async def test_browsers_are_told_of_a_message_before_they_are_told_of_its_content(shop: Shop) -> None:
    """Also where one transaction writes both, and another message between them whose key sorts before it."""
    other = element(key("A", NINA), {"conversation": "in between"})
    hollow = {**element(key("P", NINA), None), "message": None}
    async with shop.gateway.socket() as socket:
        await socket.subscribe("inbox:12")
        await shop.take(upsert(hollow, other, element(key("P", NINA), {"conversation": "here"})))
        frames = [await socket.next("event") for _ in range(3)]

    told = [(frame["event"], frame["data"]["message_text"]) for frame in frames]
    assert told.index(("message.created", None)) < told.index(("message.updated", "here"))
    assert ("message.created", "in between") in told
