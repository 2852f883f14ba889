"""Transactions that change more than a stream should tell: a new epoch instead of events."""

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from gateway.domain.streams import Extent
from gateway.postgres.streams import StreamStore
from tests.postgres.writers import (
    INBOX_CHANNEL,
    INCOMING,
    OUTGOING,
    Bells,
    insert_many,
    insert_message,
    is_empty,
)


async def extent(store: StreamStore, inbox: int) -> Extent:
    return (await store.extents([inbox]))[inbox]


async def test_five_thousand_changes_are_events_and_one_more_is_an_epoch(
    connection: asyncpg.Connection, store: StreamStore, bells: Bells
) -> None:
    before = await store.ensure(12)
    await insert_many(connection, 12, 5000)
    full = await extent(store, 12)
    await bells.heard()
    await insert_many(connection, 12, 5001)
    flooded = await extent(store, 12)

    assert (full.top, full.floor, full.epoch) == (5000, 0, before.epoch)
    assert (flooded.top, flooded.floor) == (5001, 5001)
    assert flooded.epoch != before.epoch
    assert await store.read_after({12: 0}, 10) == []
    assert await bells.heard() == [(INBOX_CHANNEL, "12")]
    assert await is_empty(connection)


async def test_events_go_on_after_an_epoch(connection: asyncpg.Connection, store: StreamStore) -> None:
    await insert_many(connection, 12, 5001)
    await insert_message(connection, 12, message_id="next")

    (event,) = await store.read_after({12: 0}, 10)
    assert (event.off, event.record and event.record["message_id"]) == (2, "next")


async def test_flood_of_one_inbox_spares_the_others_of_the_same_statement(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await connection.execute(
        f"INSERT INTO {INCOMING} (message_id, wasender_session_id) "
        "SELECT 'k' || i, CASE WHEN i <= 5001 THEN 12 ELSE 7 END FROM generate_series(1, 5011) AS i"
    )

    assert (await extent(store, 12)).floor == 1
    assert [event.off for event in await store.read_after({7: 0}, 100)] == list(range(1, 11))


async def test_many_small_statements_are_a_flood_too_and_do_not_pile_up(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    async with connection.transaction():
        for _ in range(70):
            await insert_many(connection, 12, 100)
        await insert_message(connection, 7)
        piled_up = await connection.fetchval("SELECT count(*) FROM gateway.pending_changes")

    assert piled_up < 2000
    assert (await extent(store, 12)).floor == 1
    assert (await extent(store, 7)).top == 1
    assert await is_empty(connection)


async def test_count_starts_anew_with_each_transaction(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    for _ in range(3):
        await insert_many(connection, 12, 3000)

    assert (await extent(store, 12)).floor == 0
    assert (await extent(store, 12)).top == 9000


async def test_flood_in_a_savepoint_that_is_rolled_back_is_none(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    async with connection.transaction():
        await insert_message(connection, 12, message_id="a")
        savepoint = connection.transaction()
        await savepoint.start()
        await insert_many(connection, 12, 6000)
        await savepoint.rollback()
        await insert_message(connection, 12, message_id="b")

    assert [event.off for event in await store.read_after({12: 0}, 10)] == [1, 2]


async def test_flood_under_immediate_constraints_is_a_flood(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    async with connection.transaction():
        await connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        await insert_many(connection, 12, 6000)

    assert (await extent(store, 12)).floor == 1
    assert await is_empty(connection)


async def update_all(connection: asyncpg.Connection) -> None:
    await connection.execute(f"UPDATE {INCOMING} SET is_read = true")


async def delete_all(connection: asyncpg.Connection) -> None:
    await connection.execute(f"DELETE FROM {INCOMING}")


@pytest.mark.parametrize("change", [update_all, delete_all])
async def test_large_updates_and_deletes_are_floods(
    connection: asyncpg.Connection,
    store: StreamStore,
    change: Callable[[asyncpg.Connection], Awaitable[None]],
) -> None:
    await insert_many(connection, 12, 3000)
    await insert_many(connection, 12, 3000)
    await insert_message(connection, 7)
    before = await extent(store, 12)
    await change(connection)
    after = await extent(store, 12)

    assert (after.top, after.floor) == (6001, 6001)
    assert after.epoch != before.epoch
    assert (await extent(store, 7)).top == 2


async def test_large_update_that_changes_nothing_visible_is_no_flood(
    connection: asyncpg.Connection, store: StreamStore, bells: Bells
) -> None:
    for _ in range(2):
        await insert_many(connection, 12, 4000)
    before = await extent(store, 12)
    await bells.heard()
    await connection.execute(f"UPDATE {INCOMING} SET raw_data = '{{}}'")

    assert await extent(store, 12) == before
    assert await bells.heard() == []


async def test_large_move_between_inboxes_is_a_flood_in_both(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await connection.execute(
        f"INSERT INTO {INCOMING} (message_id) SELECT 'k' || i FROM generate_series(1, 6000) AS i"
    )
    before = await extent(store, 0)
    await connection.execute(f"UPDATE {INCOMING} SET wasender_session_id = 12")

    assert (await extent(store, 0)).epoch != before.epoch
    assert (await extent(store, 12)).floor == (await extent(store, 12)).top == 1


@pytest.mark.parametrize("table", [INCOMING, OUTGOING])
async def test_truncate_is_a_new_epoch_for_every_inbox(
    connection: asyncpg.Connection, store: StreamStore, bells: Bells, table: str
) -> None:
    await insert_message(connection, 12)
    await insert_message(connection, None)
    before = await store.extents()
    await bells.heard()
    await connection.execute(f"TRUNCATE {table}")
    after = await store.extents()

    for inbox in (0, 12):
        assert after[inbox].epoch != before[inbox].epoch
        assert after[inbox].floor == after[inbox].top == 2
    assert after[-1] == before[-1]
    assert await bells.heard() == [(INBOX_CHANNEL, "0,12")]
