"""Customers see that their messages were read, if the shop wants that: once for each message, after what is sent."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from tests.sending.support import ANN, Shop, opened, text

WAITING = "SELECT count(*) FROM gateway.read_receipts WHERE told_at IS NULL"


@pytest_asyncio.fixture
async def open_shop(database: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """A shop whose customers see what was read."""
    async with opened(database, tmp_path, read_receipts=True) as shop:
        yield shop


async def calls(shop: Shop) -> list[dict[str, Any]]:
    """The calls that tell of reading."""
    listed = await shop.control("GET", "/calls")
    return [row for row in listed if row["path"].endswith("/messages/read")]


async def count(shop: Shop) -> int:
    """How many calls told of reading."""
    return sum(int(row["count"]) for row in await calls(shop))


async def mark_read(shop: Shop, session_id: int, chat: str = ANN) -> int:
    """How many messages that marked."""
    status, reply = await shop.call("POST", f"/api/conversations/{chat}/read?session={session_id}")
    assert status == 200, reply
    return int(reply["data"]["marked"])


async def seen_on_the_phone(shop: Shop, session_id: int) -> list[bool]:
    """Which of the customer's messages have blue ticks."""
    chat = await shop.control("GET", f"/sessions/{session_id}/chats/{ANN}")
    return [row["read"] for row in chat["messages"]]


async def test_each_message_that_is_marked_as_read_is_told_once_and_one_at_a_time(open_shop: Shop) -> None:
    shop = open_shop
    session_id = await shop.linked()
    for words in ("one", "two", "three"):
        await shop.customer_writes(session_id, words)

    assert await mark_read(shop, session_id) == 3
    await shop.eventually(lambda: count(shop), lambda told: told == 3)
    assert await mark_read(shop, session_id) == 0
    await shop.customer_writes(session_id, "four")
    assert await mark_read(shop, session_id) == 1
    await shop.eventually(lambda: count(shop), lambda told: told >= 4)

    (row,) = await calls(shop)
    assert (row["status"], row["count"], row["most_at_once"]) == (200, 4, 1)
    assert await seen_on_the_phone(shop, session_id) == [True] * 4


async def test_a_message_that_becomes_unread_again_is_not_told_twice(open_shop: Shop) -> None:
    shop = open_shop
    session_id = await shop.linked()
    await shop.customer_writes(session_id, "one")
    await mark_read(shop, session_id)
    await shop.eventually(lambda: count(shop), lambda told: told == 1)

    await shop.db.execute("UPDATE whatsapp_incoming_messages SET is_read = false")
    await shop.customer_writes(session_id, "two")
    assert await mark_read(shop, session_id) == 2
    await shop.eventually(lambda: shop.db.fetchval(WAITING), lambda left: left == 0)
    await shop.eventually(lambda: count(shop), lambda told: told >= 2)

    assert await count(shop) == 2


async def test_what_is_to_be_sent_goes_first(open_shop: Shop) -> None:
    shop = open_shop
    session_id = await shop.linked()
    await shop.customer_writes(session_id, "one")
    await shop.fault(path="/send-message", status=429, retry_after=3, times=1)
    row = await shop.queue(session_id, text("a", "Hello."))
    await shop.eventually(
        lambda: shop.row(row["id"]), lambda found: found["status"] == "queued" and found["attempt"]
    )

    await mark_read(shop, session_id)
    await shop.until(row["id"], "accepted", "sent", "delivered", "read")
    told_before = await shop.db.fetchval(
        "SELECT count(*) FROM gateway.read_receipts AS r, whatsapp_outgoing_messages AS m"
        " WHERE r.told_at < m.sending_at"
    )
    await shop.eventually(lambda: count(shop), lambda told: told == 1)

    assert told_before == 0


async def test_what_upstream_refuses_for_a_while_is_told_later(open_shop: Shop) -> None:
    shop = open_shop
    session_id = await shop.linked()
    await shop.customer_writes(session_id, "one")
    await shop.fault(path="/messages/read", status=429, retry_after=600, times=20)

    await mark_read(shop, session_id)
    await shop.eventually(lambda: shop.db.fetchval("SELECT max(tries) FROM gateway.read_receipts"), bool)

    wait_s = await shop.db.fetchval(
        "SELECT extract(epoch FROM due_at - now())::float8 FROM gateway.read_receipts WHERE told_at IS NULL"
    )
    assert 500 < wait_s <= 600


async def test_without_the_setting_the_customer_sees_nothing(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.customer_writes(session_id, "one")

    assert await mark_read(shop, session_id) == 1
    row = await shop.queue(session_id, text("a", "Hello."))
    await shop.until(row["id"], "read")

    assert await shop.db.fetchval("SELECT count(*) FROM gateway.read_receipts") == 0
    assert await count(shop) == 0
