"""Supabase's own clients end with what SELECT says: rows that move, whole old rows, many channels, odd names."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.clients.supabase_pages import CLIENTS, IDS, INCOMING, Line, SupabasePage, everything, supabase_page
from tests.http.support import Shop, opened
from tests.launcher.running import Running
from tests.postgres.writers import insert_message
from tests.realtime.live import heard

MOVE = f"UPDATE {INCOMING} SET wasender_session_id = $2 WHERE id = $1"


@pytest_asyncio.fixture
async def shop(gateway: Running, database: str) -> AsyncIterator[Shop]:
    async with opened(gateway, database) as shop:
        await shop.add_session(12)
        await shop.add_session(13)
        yield shop


@pytest.fixture(params=CLIENTS, ids=IDS)
def client(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest_asyncio.fixture
async def page(client: str, shop: Shop) -> AsyncIterator[SupabasePage]:
    async with supabase_page(client, shop.gateway.url, shop.gateway.token()) as page:
        yield page


def shown(changes: list[Line]) -> dict[Any, int | None]:
    """What a page shows that knows rows by their key: the session of each."""
    rows: dict[Any, int | None] = {}
    for change in changes:
        if change["type"] == "DELETE":
            rows.pop(change["old"]["id"], None)
        else:
            rows[change["new"]["id"]] = change["new"]["wasender_session_id"]
    return rows


async def test_rows_that_move_are_where_the_table_has_them(page: SupabasePage, shop: Shop) -> None:
    keys = [await insert_message(shop.db, number) for number in (12, 13, None)]
    for inbox in (12, 13, 0):
        await heard(shop.gateway, inbox, 1)
    await page.subscribe("incoming", everything())
    for turn in ([13, 12, 12], [12, 13, None], [None, 12, 13], [12, 12, 12]):
        async with shop.db.transaction():
            for key, number in zip(keys, turn, strict=True):
                await shop.db.execute(MOVE, key, number)
    await insert_message(shop.db, 12, message_text="the last")
    await page.text("the last")
    await insert_message(shop.db, 13, message_text="the very last")
    await page.text("the very last")

    changes = [line["change"] for line in page.lines if "change" in line]
    stored = await shop.db.fetch(f"SELECT id, wasender_session_id FROM {INCOMING}")
    assert shown(changes) == {row["id"]: row["wasender_session_id"] for row in stored}


async def test_two_channels_by_session_each_have_their_own(page: SupabasePage, shop: Shop) -> None:
    for number in (12, 13):
        await page.subscribe(f"of {number}", everything(filter=f"wasender_session_id=eq.{number}"))
    key = await insert_message(shop.db, 13)
    await page.changes(1, "of 13")
    await shop.db.execute(MOVE, key, 12)

    assert [item["type"] for item in await page.changes(2, "of 13")] == ["INSERT", "DELETE"]
    assert [item["type"] for item in await page.changes(1, "of 12")] == ["INSERT"]


async def test_old_is_whole_where_the_table_says_so(page: SupabasePage, shop: Shop) -> None:
    await shop.db.execute(f"ALTER TABLE {INCOMING} REPLICA IDENTITY FULL")
    await page.subscribe("incoming", everything())
    key = await insert_message(shop.db, 12, message_text="first")
    await shop.db.execute(f"UPDATE {INCOMING} SET message_text = 'second' WHERE id = $1", key)
    await shop.db.execute(f"DELETE FROM {INCOMING} WHERE id = $1", key)
    inserted, changed, deleted = await page.changes(3)

    assert changed["old"] == inserted["new"]
    assert deleted["old"] == changed["new"]
    assert changed["old"]["message_text"] == "first"


async def test_a_hundred_channels_all_hear(page: SupabasePage, shop: Shop) -> None:
    names = [f"channel {number}" for number in range(100)]
    for name in names:
        await page.tell(listen=name, bindings=[everything()])
    for name in names:
        await page.status("SUBSCRIBED", channel=name)
    await insert_message(shop.db, 12, message_text="to all")

    for name in names:
        assert (await page.changes(1, name))[0]["new"]["message_text"] == "to all"


@pytest.mark.parametrize(
    "name", ["Ärzte 🙂", "a/b?c=d#e", "%41", "ünï-cödé:*", "中文 频道", "q" * 200], ids=range(6)
)
async def test_channels_of_any_name_hear(page: SupabasePage, shop: Shop, name: str) -> None:
    await page.subscribe(name, everything())
    await insert_message(shop.db, 12, message_text="hello")

    assert (await page.changes(1, name))[0]["type"] == "INSERT"


async def test_a_channel_that_is_left_and_joined_anew_hears_once(page: SupabasePage, shop: Shop) -> None:
    await page.subscribe("witness", everything())
    for turn in range(3):
        seen = len(page.lines)
        await page.tell(listen="incoming", bindings=[everything()])
        await page.status("SUBSCRIBED", after=seen)
        await insert_message(shop.db, 12, message_text=f"turn {turn}")
        await page.changes(turn + 1, "incoming")
        seen = len(page.lines)
        await page.tell(leave="incoming")
        await page.status("CLOSED", after=seen)
        await insert_message(shop.db, 12, message_text="unheard")
        await page.changes(2 * turn + 2, "witness")

    texts = [item["new"]["message_text"] for item in await page.changes(3, "incoming")]
    assert texts == ["turn 0", "turn 1", "turn 2"]


async def test_leaving_during_the_join_leaves_the_others_alone(page: SupabasePage, shop: Shop) -> None:
    await page.subscribe("stays", everything())
    await page.tell(listen="goes", bindings=[everything()])
    await page.tell(leave="goes")
    await page.status("CLOSED", channel="goes")
    await insert_message(shop.db, 12, message_text="hello")

    await page.changes(1, "stays")
    await page.changes(0, "goes")
