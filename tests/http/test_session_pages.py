"""Lists of sessions page by page, in any order."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from gateway.http.cursors import make_cursor
from tests.http.support import SESSIONS, Shop, left_alone

ORDERS = ["name", "-name", "created_at", "-created_at", "updated_at", "-updated_at", "status", "-status"]
ORDERS += ["phone_number", "-phone_number", "last_connected_at", "-last_connected_at", "id", "-id"]
ORDERS += ["status,-name", "-last_connected_at,status", "-status,id"]


async def add_alike(shop: Shop) -> None:
    """Sessions that share most values, or have none: 1–9."""
    for number in range(1, 10):
        connected_at = None if number % 3 == 0 else datetime(2026, 1, number % 2 + 1, tzinfo=UTC)
        await shop.add_session(
            number,
            name=f"Shop {number % 2}",
            phone_number=f"+{number % 4}",
            status=None if number % 5 == 0 else ("connected", "Connected", "expired")[number % 3],
            last_connected_at=connected_at,
            created_at=datetime(2026, 1, 1, 0, 0, 0, number % 2, tzinfo=UTC),
        )


@pytest.fixture
async def alike(empty_shop: Shop) -> Shop:
    await add_alike(empty_shop)
    return empty_shop


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_alike(shared_empty_shop: Shop) -> AsyncIterator[Shop]:
    """For tests that only look."""
    await add_alike(shared_empty_shop)
    async with left_alone(shared_empty_shop):
        yield shared_empty_shop


async def page(shop: Shop, query: str) -> tuple[list[int], str | None]:
    status, reply = await shop.gateway.call("GET", f"{SESSIONS}?{query}")
    assert status == 200, reply
    return [item["id"] for item in reply["data"]], reply["next_cursor"]


@pytest.mark.parametrize("sort", ORDERS)
async def test_pages_of_any_order_hold_what_the_whole_list_holds(shared_alike: Shop, sort: str) -> None:
    whole, _ = await page(shared_alike, f"sort={sort}")
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        ids, cursor = await page(
            shared_alike, f"sort={sort}&limit=2" + (f"&cursor={cursor}" if cursor else "")
        )
        seen += ids

    assert seen == whole
    assert sorted(seen) == list(range(1, 10))


@pytest.mark.parametrize("sort", ["name", "-name", "-created_at", "last_connected_at"])
async def test_sessions_that_come_and_go_move_nobody_to_another_page(alike: Shop, sort: str) -> None:
    whole, _ = await page(alike, f"sort={sort}")
    seen, cursor = await page(alike, f"sort={sort}&limit=3")
    await alike.add_session(77, name="Aaa", created_at=datetime(2025, 1, 1, tzinfo=UTC))
    await alike.add_session(78, name="zzz", created_at=datetime(2027, 1, 1, tzinfo=UTC))
    await alike.db.execute("DELETE FROM whatsapp_sessions WHERE wasender_session_id = $1", seen[0])
    while cursor is not None:
        ids, cursor = await page(alike, f"sort={sort}&limit=3&cursor={cursor}")
        seen += ids

    assert [number for number in seen if number < 77] == whole


async def test_a_cursor_belongs_to_the_order_it_was_given_for(shared_alike: Shop) -> None:
    _, cursor = await page(shared_alike, "sort=name&limit=2")
    for sort in ("-name", "name,id", "created_at"):
        status, reply = await shared_alike.gateway.call("GET", f"{SESSIONS}?sort={sort}&cursor={cursor}")
        assert (status, reply["code"]) == (422, "invalid")


@pytest.mark.parametrize("values", [["created_at", ["x"], 1], ["created_at", [], 1], ["created_at", [1], 1]])
async def test_an_altered_cursor_is_invalid(shared_alike: Shop, values: list[Any]) -> None:
    cursor = make_cursor(*values)
    status, reply = await shared_alike.gateway.call("GET", f"{SESSIONS}?sort=created_at&cursor={cursor}")

    assert (status, reply["code"]) == (422, "invalid")
