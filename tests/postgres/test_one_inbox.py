"""The short way of a commit whose changes are of one inbox: it numbers what the long way would have numbered."""

import itertools
import random

import asyncpg
import pytest

from gateway.postgres.streams import StreamStore
from tests.postgres.writers import INBOX_CHANNEL, INCOMING, Bells, insert_many, insert_message, is_empty

BOXES = (3, 5, 8)


async def is_whole(connection: asyncpg.Connection, store: StreamStore) -> bool:
    """Whether each stream is without a gap up to its counter, ends where the table is, and nothing is left behind."""
    shown: dict[str, dict[str, str]] = {}
    for inbox, extent in (await store.extents()).items():
        events = await store.read_after({inbox: 0}, 100_000)
        assert [event.off for event in events] == list(range(1, extent.top + 1)), inbox
        for event in events:
            rows = shown.setdefault(str(inbox), {})
            if event.operation == "DELETE":
                del rows[str(event.old["id"])]
            else:
                assert event.record is not None
                rows[str(event.record["id"])] = event.record["message_text"]
    there: dict[str, dict[str, str]] = {key: {} for key in shown}
    for row in await connection.fetch(f"SELECT id, wasender_session_id, message_text FROM public.{INCOMING}"):
        there[str(row["wasender_session_id"])][str(row["id"])] = row["message_text"]
    assert shown == there
    return await is_empty(connection)


async def test_rows_of_one_inbox_come_in_their_order_with_one_notification(
    connection: asyncpg.Connection, store: StreamStore, bells: Bells
) -> None:
    await insert_message(connection, 5, message_id="a")
    async with connection.transaction():
        await insert_message(connection, 5, message_id="b")
        await insert_many(connection, 5, 70)
        await insert_message(connection, 5, message_id="z")

    events = await store.read_after({5: 0}, 1000)
    names = [event.record["message_id"] for event in events if event.record]
    assert (names[0], names[1], names[-1], len(names)) == ("a", "b", "z", 73)
    assert await bells.heard() == [(INBOX_CHANNEL, "5")] * 2
    assert await is_whole(connection, store)


async def test_the_first_row_of_an_inbox_makes_its_counter(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    async with connection.transaction():
        await insert_message(connection, 5)
        await insert_message(connection, 5)

    assert (await store.extents())[5].top == 2
    assert await is_whole(connection, store)


# What a role sets here it sets for its own transaction; the rows of others must not suffer from it.
async def test_a_setting_that_lies_moves_no_other_inbox(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_message(connection, 5)
    await insert_message(connection, 8)
    for inbox, count in itertools.product(
        ("8", "99", "-1", "x", "*", "5;", "", "9" * 30), ("0", "1", "7", "5000", "")
    ):
        transaction = connection.transaction()
        await transaction.start()
        try:
            await insert_message(connection, 5)
            await connection.execute("SELECT set_config('gateway.pending_inbox', $1, true)", inbox)
            await connection.execute("SELECT set_config('gateway.pending_changes', $1, true)", count)
            await insert_message(connection, 5)
            await transaction.commit()
        except asyncpg.PostgresError:
            continue  # it has only itself to blame; what it did is undone

    extents = await store.extents()
    events = await store.read_after({5: 0, 8: 0}, 1000)
    for box in (5, 8):
        assert [event.off for event in events if event.inbox == box] == list(range(1, extents[box].top + 1))
    assert extents[8].top == 1


async def test_changes_that_another_collector_adds_are_numbered_with_them(
    connection: asyncpg.Connection, store: StreamStore, bells: Bells
) -> None:
    """Marks of conversations are put aside by a function of their own, in the message's inbox or in another one."""
    await insert_message(connection, 5)
    await insert_message(connection, 8)
    await bells.heard()
    async with connection.transaction():
        await insert_message(connection, 5)
        for inbox in (5, 8):
            await connection.execute(
                "SELECT * FROM gateway.mark_conversation_v1($1, '4915@s.whatsapp.net', $2, 'ann', false)",
                inbox,
                {"done": True},
            )

    events = await store.read_after({5: 0, 8: 0}, 1000)
    found = [(event.inbox, event.off, event.table) for event in events]
    assert found == [
        (5, 1, INCOMING), (5, 2, INCOMING), (5, 3, "conversation_marks"),
        (8, 1, INCOMING), (8, 2, "conversation_marks"),
    ]  # fmt: skip
    assert {place for _, payload in await bells.heard() for place in payload.split(",")} == {"5", "8"}
    assert await is_empty(connection)


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_a_transaction_does_the_streams_are_whole(
    connection: asyncpg.Connection, store: StreamStore, seed: int
) -> None:
    dice = random.Random(seed)
    for _ in range(25):
        transaction = connection.transaction()
        await transaction.start()
        savepoints = []
        for _ in range(dice.randint(1, 7)):
            box = dice.choice(BOXES if dice.random() < 0.4 else BOXES[:1])
            step = dice.choice(
                ["one", "one", "many", "edit", "delete", "move", "savepoint", "back", "now", "later"]
            )
            if step == "one":
                await insert_message(connection, box)
            elif step == "many":
                await insert_many(connection, box, dice.randint(2, 5))
            elif step in ("edit", "delete", "move"):
                change = {
                    "edit": f"UPDATE public.{INCOMING} SET message_text = '{dice.random()}'",
                    "delete": f"DELETE FROM public.{INCOMING}",
                    "move": f"UPDATE public.{INCOMING} SET wasender_session_id = {dice.choice(BOXES)}",
                }[step]
                await connection.execute(
                    f"{change} WHERE id IN (SELECT id FROM public.{INCOMING} WHERE wasender_session_id = {box} "
                    f"ORDER BY message_id LIMIT {dice.randint(1, 3)})"
                )
            elif step == "savepoint":
                savepoints.append(connection.transaction())
                await savepoints[-1].start()
            elif step == "back" and savepoints:
                await savepoints.pop().rollback()
            elif step in ("now", "later"):
                await connection.execute(
                    f"SET CONSTRAINTS ALL {'IMMEDIATE' if step == 'now' else 'DEFERRED'}"
                )
        while savepoints:
            if dice.random() < 0.7:
                await savepoints.pop().commit()
            else:
                await savepoints[0].rollback()  # and with it those within
                savepoints.clear()
        await (transaction.commit() if dice.random() < 0.9 else transaction.rollback())

    assert await is_whole(connection, store)
