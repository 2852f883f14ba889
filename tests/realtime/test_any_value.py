"""Whatever the shop writes into whatever column: its statement does what it did without us, and clients end with what
SELECT says. `ANY_VALUE_EXAMPLES=2000 pytest tests/realtime/test_any_value.py` tries more."""

import asyncio
import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.connection.pool import connect_direct
from gateway.postgres.migrations.runner import migrate
from gateway.services.live.conversation_list import Progress
from tests.launcher.running import DEADLINE_S, Running, running
from tests.launcher.settings import settings_for
from tests.postgres_fixtures import clone
from tests.realtime.any_value import (
    KEYS,
    OWN,
    PREPARE,
    SEED_OF,
    Replica,
    Way,
    Write,
    column_of,
    is_same,
    own_columns,
    perform,
    rows_of,
    writes,
)
from tests.realtime.phoenix import phoenix

OLD_ROWS = 5
EXAMPLES = int(os.environ.get("ANY_VALUE_EXAMPLES", "4"))


async def give_columns(connection: asyncpg.Connection) -> None:
    await connection.execute(PREPARE)
    for table in KEYS:
        await connection.execute(own_columns(table))


async def end(connection: asyncpg.Connection) -> dict[int, int]:
    """Where the inboxes stand once every transaction is numbered."""
    async with asyncio.timeout(DEADLINE_S):
        while await connection.fetchval("SELECT count(*) FROM gateway.unnumbered_transactions"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # a numbering that is done tells nobody
    rows = await connection.fetch("SELECT inbox, off FROM gateway.inboxes WHERE inbox >= 0 AND off > 0")
    return {row["inbox"]: row["off"] for row in rows}


async def check_lists(gateway: Running) -> None:
    """No list and no thread fails over what is in the rows."""
    cursor = ""
    chats = set()
    while True:
        page = await gateway.data("GET", f"/api/conversations?limit=1{cursor}")
        chats |= {(item["session_id"], item["chat"]) for item in page["conversations"]}
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    for session, chat in chats:
        before = ""
        seen: set[str] = set()
        while session >= 0:
            path = f"/api/conversations/{chat}/messages?session={session}&limit=2{before}"
            thread = await gateway.data("GET", path)
            ids = {message["direction"] + message["id"] for message in thread["messages"]}
            assert not ids & seen
            seen |= ids
            if not thread["has_more"]:
                break
            before = f"&before={thread['before']}"


async def check_conversation_list(gateway: Running) -> None:
    """The list that is kept ready reaches the streams' tops."""
    table = gateway.gateway.repositories.conversation_list
    async with asyncio.timeout(DEADLINE_S):
        while await table.step() is not Progress.DONE:
            pass


@contextlib.contextmanager
def nothing_failed() -> Iterator[None]:
    """No part of a gateway logs a fault within the block."""
    faults: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            faults.append(record.getMessage())

    ear = Ear(logging.ERROR)
    logging.getLogger("gateway").addHandler(ear)
    try:
        yield
    finally:
        logging.getLogger("gateway").removeHandler(ear)
    assert faults == []


async def scenario(postgres: EmbeddedPostgres, listed: list[Write], folder: Path) -> None:
    async with clone(postgres, "shop") as dsn, clone(postgres, "shop") as twin:
        alone = await connect_direct(twin)
        await alone.execute("DROP TABLE IF EXISTS public.whatsapp_outgoing_messages")
        # Without us: the same tables, and nothing of the gateway that could fail.
        await migrate(twin, report=lambda _: None)
        await give_columns(alone)
        for table in (*KEYS, "whatsapp_sessions"):
            await alone.execute(f"ALTER TABLE public.{table} DISABLE TRIGGER ALL")
        shop = await connect_direct(dsn)
        await migrate(dsn, report=lambda _: None)
        await give_columns(shop)
        async with (
            running(settings_for(dsn, folder)) as gateway,
            gateway.socket() as socket,
            phoenix(gateway) as supabase,
        ):
            changes = [{"event": "*", "schema": "public", "table": table} for table in KEYS]
            assert (await supabase.join("shop", *changes))["status"] == "ok"
            await socket.subscribe("inbox:*", after={})
            replica = Replica()
            for frame in socket.frames:
                replica.take(frame)
            for write in listed:
                assert await perform(shop, write) == await perform(alone, write), write
            tops = await end(shop)
            while any(replica.offs.get(inbox, 0) < off for inbox, off in tops.items()):
                replica.take(await socket.receive())
            assert replica.resets == 0
            selected = await rows_of(shop)
            # The shop's old rows were there before the stream.
            assert replica.rows.keys() <= selected.keys()
            assert len(selected) - len(replica.rows) <= OLD_ROWS
            for key, data in replica.rows.items():
                for name, value in selected[key].items():
                    if name in ("id", "chat", "wasender_session_id"):
                        continue
                    if name in replica.untold[key]:
                        assert data[name] is None, (name, data[name])
                    else:
                        assert is_same(data[name], value), (name, data[name], value)
                missing = {f"own {kind}" for kind in OWN} - selected[key].keys()
                assert missing <= replica.untold[key], missing
            ref = await supabase.send("phoenix", "heartbeat", {})
            await supabase.next("phx_reply", lambda said: said.ref == ref)
            await check_conversation_list(gateway)
            await check_lists(gateway)
            assert gateway.gateway.stale_since is None
        await shop.close()
        await alone.close()


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(listed=st.lists(writes(), min_size=1, max_size=40))
def test_any_value_in_any_column_is_told_or_named(postgres: EmbeddedPostgres, listed: list[Write]) -> None:
    with tempfile.TemporaryDirectory() as folder, nothing_failed():
        asyncio.run(scenario(postgres, listed, Path(folder)))


def test_every_value_once(postgres: EmbeddedPostgres) -> None:
    """Each value of the list, by INSERT and then by UPDATE, whatever the examples above happen to hold."""
    listed: list[Write] = []
    for table in KEYS:
        own = {column_of(kind): values for kind, values in OWN.items()} if not listed else {}
        columns = {**own, **SEED_OF[table]}
        for name, values in columns.items():
            for number, value in enumerate(values):
                way: Way = "insert" if not number and not listed else "upsert"
                listed.append(
                    Write(table, way, number % 3 + 1, ((name, value),), 12, "origin", "read committed")
                )
    with tempfile.TemporaryDirectory() as folder, nothing_failed():
        asyncio.run(scenario(postgres, listed, Path(folder)))
