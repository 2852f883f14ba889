"""What stands inside other things is kept: messages in chats, and the votes of a poll."""

from typing import Any

import pytest

from gateway.domain.polls import with_votes
from tests.http.support import OUTGOING, Shop
from tests.http.webhook_makers import GROUP, NINA, OLEG, element, jid, key, said, upsert


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


def chats(
    event: str, *elements: dict[str, Any], name: str = "messages", is_bare: bool = False
) -> dict[str, Any]:
    held = [item if is_bare else {"message": item} for item in elements]
    return {"event": event, "data": {"chats": [{"id": jid(NINA), name: held}]}}


def poll(key_id: str, *options: str, **more: Any) -> dict[str, Any]:
    content = {"name": "Which day?", "options": [{"optionName": option} for option in options]}
    return upsert(element(key(key_id, NINA, mine=True, **more), {"pollCreationMessageV3": content}))


def results(key_id: str, at: int, chat: str = NINA, mine: bool = True, **votes: int) -> dict[str, Any]:
    counted = [{"name": name, "voters": [jid(OLEG)] * count} for name, count in votes.items()]
    return {
        "event": "poll.results",
        "timestamp": at,
        "data": {"key": key(key_id, chat, mine=mine), "pollResult": counted},
    }


@pytest.mark.parametrize("event", ["chats.update", "chats.upsert"])
@pytest.mark.parametrize("is_bare", [False, True])
async def test_a_whole_message_inside_a_chat_is_a_message(shop: Shop, event: str, is_bare: bool) -> None:
    message = element(key("WHOLE", NINA), {"conversation": "From within"})
    await shop.take(chats(event, message, is_bare=is_bare))

    assert [row["message_text"] for row in await shop.rows()] == ["From within"]
    await shop.take(upsert(message))
    assert len(await shop.rows()) == 1


async def test_the_last_message_of_a_chat_and_our_own_are_messages_too(shop: Shop) -> None:
    await shop.take(
        chats("chats.upsert", element(key("LAST", NINA), {"conversation": "Last"}), name="lastMessage")
    )
    await shop.take(chats("chats.update", element(key("OWN", NINA, mine=True), {"conversation": "Ours"})))

    assert (await shop.row())["message_text"] == "Last"
    assert (await shop.row(OUTGOING))["message_text"] == "Ours"


async def test_an_empty_message_inside_a_chat_is_none(shop: Shop) -> None:
    await shop.take(chats("chats.update", element(key("EMPTY", NINA), {}), element(key("NULL", NINA), None)))

    assert await shop.rows() == []


async def test_what_cannot_be_read_inside_a_chat_is_in_the_journal(shop: Shop) -> None:
    await shop.take(chats("chats.update", {"key": {"fromMe": False}, "message": {"conversation": "No id"}}))

    assert "No id" in str((await shop.last_entry())["body"])


async def test_an_edit_inside_a_chat_edits(shop: Shop) -> None:
    await shop.take(said("EDITED", NINA, "Old"))
    change = {
        "protocolMessage": {"key": {"id": "EDITED"}, "type": 14, "editedMessage": {"conversation": "New"}}
    }
    await shop.take(chats("chats.update", element(key("CHANGE", NINA), change)))

    assert (await shop.row())["message_text"] == "New"


async def test_what_stands_beside_the_messages_is_in_the_journal(shop: Shop) -> None:
    message = element(key("BESIDE", NINA), {"conversation": "Hi"})
    await shop.take({"event": "messages.received", "data": {"messages": message, "extra": {"note": "More"}}})

    assert (await shop.row())["message_text"] == "Hi"
    assert "More" in str((await shop.last_entry())["body"])


async def test_a_chat_without_an_address_and_a_message_that_was_not_sent_are_in_the_journal(
    shop: Shop,
) -> None:
    await shop.take({"event": "chats.update", "data": [{"odd": "Odd chat"}]})
    assert "Odd chat" in str((await shop.last_entry())["body"])

    failed = {
        "key": key("FAILED", NINA, mine=True),
        "message": {"conversation": "Not sent"},
        "success": False,
    }
    await shop.take({"event": "message.sent", "data": failed})
    assert "Not sent" in str((await shop.last_entry())["body"])


async def test_the_votes_of_a_poll_stand_in_its_row_and_who_voted_in_the_journal(shop: Shop) -> None:
    await shop.take(poll("POLL", "Mon", "Tue"))
    await shop.take(results("POLL", 1_900_000_000, Mon=2, Tue=0))

    row = await shop.row(OUTGOING)
    assert row["message_text"] == "Which day?\n• Mon: 2 votes\n• Tue: 0 votes"
    assert row["edited_at"] is None
    assert jid(OLEG) in str((await shop.last_entry())["body"])


async def test_of_two_counts_the_later_one_stands(shop: Shop) -> None:
    await shop.take(poll("POLL", "Mon", "Tue"))
    for at, votes in ((1_790_000_002, 1), (1_790_000_003, 3), (1_790_000_001, 2)):
        await shop.take(results("POLL", at, Mon=votes))

    assert (await shop.row(OUTGOING))["message_text"] == "Which day?\n• Mon: 3 votes\n• Tue"


@pytest.mark.parametrize(
    "other", [results("NONE", 1_790_000_000, Mon=1), results("POLL", 1_790_000_000, GROUP, Mon=1)]
)
async def test_results_of_a_poll_that_is_not_there_change_nothing_and_are_kept(
    shop: Shop, other: dict[str, Any]
) -> None:
    await shop.take(poll("POLL", "Mon"))
    await shop.take(other)

    assert (await shop.row(OUTGOING))["message_text"] == "Which day?\n• Mon"
    entry = await shop.last_entry()
    assert entry["outcome"] == "ignored"
    assert "its poll is not known" in entry["reason"]
    assert "Mon" in str(entry["body"])


@pytest.mark.parametrize(
    ("text", "votes", "becomes"),
    [
        (None, [("A", 1)], "• A: 1 vote"),
        ("Q\n• A: b\n• A: b: 3 votes", [("A: b", 1)], "Q\n• A: b: 1 vote\n• A: b: 3 votes"),
        ("Q\n• A: 1 vote", [("A", 2), ("New", 1)], "Q\n• A: 2 votes\n• New: 1 vote"),
        ("A\n• A", [("A", 0)], "A\n• A: 0 votes"),
    ],
)
def test_votes_are_written_behind_their_options(
    text: str | None, votes: list[tuple[str, int]], becomes: str
) -> None:
    assert with_votes(text, votes) == becomes
