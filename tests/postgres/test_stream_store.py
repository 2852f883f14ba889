"""Reading pages of the streams, and forgetting old ones."""

from datetime import timedelta

import asyncpg

from gateway.domain.streams import Event, Position, check_position
from gateway.postgres.streams import StreamStore
from tests.postgres.writers import INCOMING, insert_many, insert_message

DAY = timedelta(days=1)


async def make_old(connection: asyncpg.Connection, inbox: int, up_to: int) -> None:
    await connection.execute(
        "UPDATE gateway.stream SET at = at - interval '8 days' WHERE inbox = $1 AND off <= $2", inbox, up_to
    )


async def test_ensure_makes_the_counter_once(store: StreamStore) -> None:
    first = await store.ensure(12)

    assert (first.top, first.floor) == (0, 0)
    assert await store.ensure(12) == first
    assert (await store.extents([12])) == {12: first}


async def test_extents_of_all_name_every_inbox_and_of_none_nothing(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_message(connection, 12)

    assert set(await store.extents()) == {-1, 0, 12}
    assert await store.extents([]) == {}
    assert await store.extents([99]) == {}


async def test_page_holds_at_most_the_limit_of_each_inbox(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_many(connection, 12, 10)
    await insert_many(connection, 7, 10)
    page = await store.read_after({12: 4, 7: 0, 99: 0}, 3)

    assert [(event.inbox, event.off) for event in page] == [(7, 1), (7, 2), (7, 3), (12, 5), (12, 6), (12, 7)]
    assert await store.read_after({}, 3) == []
    assert await store.read_after({12: 10}, 3) == []


async def test_page_limited_by_size_is_a_beginning_and_always_goes_on(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    for _ in range(6):
        await insert_message(connection, 12, message_text="x" * 10_000)
    offsets: list[int] = []
    while page := await store.read_after({12: offsets[-1] if offsets else 0}, 100, max_bytes=25_000):
        assert len(page) <= 3
        offsets += [event.off for event in page]

    assert offsets == [1, 2, 3, 4, 5, 6]
    assert len(await store.read_after({12: 0}, 100, max_bytes=1)) == 1


async def test_news_are_counters_and_events_of_one_moment(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    for inbox in (12, 7, 5):
        await insert_many(connection, inbox, 4)
    extents, news = await store.read_unread({12: 2, 7: None, 5: 4, 99: 0}, 100, 10**6)

    assert extents == await store.extents([12, 7, 5])
    assert [(event.inbox, event.off) for event in news] == [(12, 3), (12, 4)]
    assert news == await store.read_after({12: 2}, 100)
    assert await store.read_unread({}, 100, 1) == ({}, [])


async def test_news_limited_by_size_or_number_begin_right_after_the_offset(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    for inbox in (12, 7):
        for _ in range(6):
            await insert_message(connection, inbox, message_text="x" * 10_000)

    def offs(news: list[Event]) -> list[tuple[int, int]]:
        return [(event.inbox, event.off) for event in news]

    assert offs((await store.read_unread({12: 1, 7: 0}, 2, 10**6))[1]) == [(7, 1), (7, 2), (12, 2), (12, 3)]
    assert offs((await store.read_unread({12: 1, 7: 0}, 100, 50_000))[1]) == [
        (7, 1), (7, 2), (7, 3), (12, 2), (12, 3), (12, 4),
    ]  # fmt: skip
    assert offs((await store.read_unread({12: 5}, 100, 1))[1]) == [(12, 6)]


async def test_prune_forgets_old_events_and_tells_by_the_floor(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_many(connection, 12, 10)
    await insert_many(connection, 7, 3)
    await make_old(connection, 12, 6)
    epoch = (await store.extents([12]))[12].epoch

    assert await store.prune(7 * DAY, 100) == 6
    assert await store.prune(7 * DAY, 100) == 0
    extent = (await store.extents([12]))[12]
    assert (extent.top, extent.floor, extent.epoch) == (10, 6, epoch)
    assert check_position(Position(5, epoch), extent) == "offset_expired"
    assert check_position(Position(6, epoch), extent) is None
    assert [event.off for event in await store.read_after({12: 6}, 100)] == [7, 8, 9, 10]
    assert (await store.extents([7]))[7].floor == 0


async def test_prune_works_in_batches(connection: asyncpg.Connection, store: StreamStore) -> None:
    await insert_many(connection, 12, 25)
    await make_old(connection, 12, 25)
    counts = [await store.prune(7 * DAY, 10) for _ in range(4)]

    assert sum(counts) == 25
    assert max(counts) <= 10
    assert (await store.extents([12]))[12].floor == 25


async def test_prune_clears_what_a_new_epoch_left_behind(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_many(connection, 12, 20)
    await connection.execute(f"TRUNCATE {INCOMING}")
    await insert_message(connection, 12)

    assert await store.prune(7 * DAY, 15) == 15
    assert await store.prune(7 * DAY, 15) == 5
    assert [event.off for event in await store.read_after({12: 0}, 100)] == [22]


async def test_offsets_go_on_when_everything_was_forgotten(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_many(connection, 12, 5)
    await make_old(connection, 12, 5)
    await store.prune(7 * DAY, 100)
    await insert_message(connection, 12)

    assert [event.off for event in await store.read_after({12: 5}, 100)] == [6]
