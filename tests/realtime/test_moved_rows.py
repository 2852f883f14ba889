"""A row that moves from one session to another: whoever reads both is told of its end there before its begin here."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.domain.access import Role
from gateway.realtime.pace import SocketPace
from tests.launcher.running import UNWATCHED, Running, running
from tests.launcher.settings import settings_for
from tests.postgres.writers import insert_message
from tests.realtime.live import heard
from tests.realtime.phoenix import ALL_INCOMING, INCOMING, phoenix

MOVE = f"UPDATE {INCOMING} SET wasender_session_id = $2 WHERE id = $1"


def both(gateway: Running) -> str:
    return gateway.token(Role.VIEWER, sessions={12, 13})


def place(change: dict[str, Any]) -> tuple[str, Any]:
    """What happened, and to which row."""
    return change["type"], (change.get("record") or change["old_record"])["id"]


def shown(changes: list[dict[str, Any]]) -> dict[Any, Any]:
    """What a page shows that puts in what is inserted or changed, and takes out what is deleted."""
    rows: dict[Any, Any] = {}
    for change in changes:
        if change["type"] == "DELETE":
            rows.pop(change["old_record"]["id"], None)
        else:
            rows[change["record"]["id"]] = change["record"]
    return rows


@pytest.mark.parametrize(("start", "end"), [(12, 13), (13, 12)], ids=["up", "down"])
@pytest.mark.parametrize("key", ["all", "both"])
async def test_the_deletion_comes_before_the_insertion(
    live: Running, writer: asyncpg.Connection, start: int, end: int, key: str
) -> None:
    async with phoenix(live, live.token() if key == "all" else both(live)) as client:
        await client.join("shop", ALL_INCOMING)
        row = await insert_message(writer, start, message_text="moves")
        await client.change()
        for _ in range(5):
            await writer.execute(MOVE, row, end)
            gone, come = await client.change(), await client.change()
            assert (place(gone), place(come)) == (("DELETE", row), ("INSERT", row))
            assert come["record"]["wasender_session_id"] == end
            start, end = end, start

        assert await client.changes_until_now() == []


async def test_many_rows_that_cross_in_one_transaction(live: Running, writer: asyncpg.Connection) -> None:
    rows = {number: [await insert_message(writer, number) for _ in range(150)] for number in (12, 13)}
    for number in (12, 13):
        await heard(live, number, 150)
    async with phoenix(live, both(live)) as client:
        await client.join("shop", ALL_INCOMING)
        async with writer.transaction():
            await writer.execute(f"UPDATE {INCOMING} SET wasender_session_id = 25 - wasender_session_id")
        changes = [await client.change() for _ in range(600)]

        assert await client.changes_until_now() == []
    for row in (*rows[12], *rows[13]):
        own = [change["type"] for change in changes if place(change)[1] == row]
        assert own == ["DELETE", "INSERT"]


async def test_moves_within_one_transaction_end_where_the_row_ends(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with phoenix(live, both(live)) as client:
        await client.join("shop", ALL_INCOMING)
        async with writer.transaction():
            row = await insert_message(writer, 13, message_text="new")
            for text, number in (("one", 12), ("two", 13), ("three", 12)):
                await writer.execute(MOVE, row, number)
                await writer.execute(f"UPDATE {INCOMING} SET message_text = $2 WHERE id = $1", row, text)
        changes = [await client.change() for _ in range(1 + 3 * 3)]

        assert await client.changes_until_now() == []
    assert [change["type"] for change in changes] == ["INSERT", *["DELETE", "INSERT", "UPDATE"] * 3]
    (left,) = shown(changes).values()
    assert (left["wasender_session_id"], left["message_text"]) == (12, "three")


async def test_bindings_with_filters_of_their_own_get_each_its_half_in_order(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with phoenix(live) as client:
        reply = await client.join(
            "shop",
            {**ALL_INCOMING, "filter": "wasender_session_id=eq.12"},
            {**ALL_INCOMING, "filter": "wasender_session_id=eq.13"},
        )
        twelve, thirteen = (item["id"] for item in reply["response"]["postgres_changes"])
        row = await insert_message(writer, 13)
        await client.change()
        await writer.execute(MOVE, row, 12)
        gone, come = await client.next("postgres_changes"), await client.next("postgres_changes")

        assert await client.changes_until_now() == []
    assert (gone.payload["ids"], gone.payload["data"]["type"]) == ([thirteen], "DELETE")
    assert (come.payload["ids"], come.payload["data"]["type"]) == ([twelve], "INSERT")


async def test_whoever_reads_one_of_them_gets_that_half(live: Running, writer: asyncpg.Connection) -> None:
    row = await insert_message(writer, 13)
    await heard(live, 13, 1)
    keys = {number: live.token(Role.VIEWER, sessions={number}) for number in (12, 13)}
    async with phoenix(live, keys[12]) as twelve, phoenix(live, keys[13]) as thirteen:
        for client in (twelve, thirteen):
            await client.join("shop", ALL_INCOMING)
        await writer.execute(MOVE, row, 12)

        assert place(await twelve.change()) == ("INSERT", row)
        assert place(await thirteen.change()) == ("DELETE", row)
        assert await twelve.changes_until_now() == await thirteen.changes_until_now() == []


@pytest.mark.parametrize(("start", "end"), [(None, 12), (12, None)], ids=["gets a session", "loses it"])
async def test_a_row_that_gets_or_loses_its_session(
    live: Running, writer: asyncpg.Connection, start: int | None, end: int | None
) -> None:
    row = await insert_message(writer, start)
    await insert_message(writer, 12)
    await heard(live, start or 0, 1)
    await heard(live, 12, 1 if start is None else 2)
    async with phoenix(live) as client:
        await client.join("shop", ALL_INCOMING)
        await writer.execute(MOVE, row, end)

        changes = [place(await client.change()) for _ in range(2)]
    assert changes == [("DELETE", row), ("INSERT", row)]


async def test_a_client_that_reads_slowly_ends_with_what_select_says(
    live: Running, writer: asyncpg.Connection
) -> None:
    # Both inboxes are over what the socket takes: the client catches up in both of them, page by page.
    rows = [await insert_message(writer, 12 + number % 2, message_text="x" * 2000) for number in range(60)]
    async with phoenix(live, both(live), max_queue=1) as client:
        await client.join("shop", ALL_INCOMING)
        for turn in range(8):
            await writer.execute(
                f"UPDATE {INCOMING} SET wasender_session_id = 25 - wasender_session_id, message_text = $1",
                f"{turn}" * 2000,
            )
            await writer.execute(
                f"UPDATE {INCOMING} SET is_read = NOT is_read WHERE id = ANY ($1)", rows[::3]
            )
        await insert_message(writer, 12, message_text="the last of 12")
        await asyncio.sleep(0)
        await insert_message(writer, 13, message_text="the last of 13")
        async with asyncio.timeout(60):
            changes: list[dict[str, Any]] = []
            ends = {"the last of 12", "the last of 13"}
            while ends:
                changes.append(await client.change())
                ends -= {(changes[-1].get("record") or {}).get("message_text")}
        stored = await writer.fetch(f"SELECT id, wasender_session_id, message_text, is_read FROM {INCOMING}")
    page = shown(changes)

    told: dict[Any, str] = {}
    for change in changes:
        kind, row = place(change)
        assert not (kind == "INSERT" and told.get(row, "DELETE") != "DELETE"), "told of the insertion first"
        told[row] = kind
    for item in stored:
        seen = page[item["id"]]
        for name in ("wasender_session_id", "message_text", "is_read"):
            assert seen[name] == item[name]


async def test_our_own_dialect_has_the_order_too(live: Running, writer: asyncpg.Connection) -> None:
    row = await insert_message(writer, 13)
    async with live.socket() as socket:
        await socket.subscribe("inbox:12")
        await socket.subscribe("inbox:13")
        for end in (12, 13, 12):
            await writer.execute(MOVE, row, end)
            gone = await socket.next("event")
            come = await socket.next("event")
            assert [(item["event"], item["topic"]) for item in (gone, come)] == [
                ("message.deleted", f"inbox:{25 - end}"),
                ("message.created", f"inbox:{end}"),
            ]


async def epochs_of(db: asyncpg.Connection) -> dict[int, str]:
    return {
        row["inbox"]: row["epoch"] for row in await db.fetch("SELECT inbox, epoch::text FROM gateway.inboxes")
    }


async def test_whoever_comes_back_is_told_in_order_whichever_inbox_is_read_first(
    live: Running, writer: asyncpg.Connection
) -> None:
    rows = [await insert_message(writer, 13) for _ in range(30)]
    await insert_message(writer, 12)
    for end in (12, 13, 12):
        await writer.execute(f"UPDATE {INCOMING} SET wasender_session_id = $1 WHERE id = ANY ($2)", end, rows)
    epochs = await epochs_of(writer)
    for first, second in ((12, 13), (13, 12)):
        async with live.socket() as socket:
            for inbox in (first, second):
                after = {"off": 0, "epoch": epochs[inbox]}
                await socket.send(type="subscribe", ref=str(inbox), topic=f"inbox:{inbox}", after=after)
            frames = [await socket.next("event") for _ in range(31 + 3 * 60)]
        told: dict[Any, list[str]] = {}
        for frame in frames:
            told.setdefault(frame["data"]["id"], []).append(f"{frame['event'][8:]} {frame['topic'][6:]}")
        chain = [
            "created 13",
            "deleted 13",
            "created 12",
            "deleted 12",
            "created 13",
            "deleted 13",
            "created 12",
        ]
        assert all(told[str(row)] == chain for row in rows)


@pytest.mark.usefixtures("way")
async def test_an_order_that_cannot_be_had_silences_no_inbox(
    database: str,
    tmp_path: Path,
    writer: asyncpg.Connection,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await writer.execute(MOVE, await insert_message(writer, 13), 12)
    # Somebody has written an offset that no inbox will reach.
    await writer.execute(
        "UPDATE gateway.stream SET old = jsonb_set(old, '{from,off}', '999999') WHERE old ? 'from'"
    )
    epochs = await epochs_of(writer)
    hasty = replace(UNWATCHED, sockets=SocketPace(order_s=0.1))
    async with running(settings_for(database, tmp_path), timings=hasty) as live, live.socket() as socket:
        for inbox in (12, 13):
            after = {"off": 0, "epoch": epochs[inbox]}
            await socket.send(type="subscribe", ref=str(inbox), topic=f"inbox:{inbox}", after=after)
        events = [(await socket.next("event"))["event"] for _ in range(3)]

    assert events == ["message.created", "message.deleted", "message.created"]
    assert "connection.order_given_up" in caplog.text
