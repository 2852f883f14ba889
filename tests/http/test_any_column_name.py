"""A shop's tables with a column of every name that our statements know: nothing of theirs and of ours fails."""

import re
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.connection.pool import connect_direct
from gateway.postgres.migrations.files import read_migrations, sql_folder
from gateway.postgres.migrations.runner import migrate
from gateway.realtime.supabase.tables import OF_SENDING
from gateway.runtime.gateway import Gateway
from gateway.services.live.conversation_list import Progress
from tests.http.support import HOOK, INCOMING, OUTGOING, SESSIONS, Shop, moved, opened, received, sent
from tests.launcher.running import Running, Socket, running
from tests.launcher.settings import settings_for
from tests.postgres.column_names import chunks, names, quoted
from tests.postgres_fixtures import clone
from tests.realtime.live import until
from tests.unit.wasender import payload_parts as parts

TABLES = ("whatsapp_sessions", "whatsapp_session_logs", INCOMING, OUTGOING, "customers", "integrations")
COLUMNS_AT_ONCE = 700
VALUES_IN_A_ROW = 250  # a row has a page of Postgres at most
PARTS = 4
_ADOPTED = re.compile(r"^ +\['(\w+)', '", re.MULTILINE)
LID = "77777777777777@lid"


async def add_columns(connection: asyncpg.Connection, table: str, listed: list[str]) -> list[str]:
    """Of a type that none of our expressions would take; returns the names that are new."""
    there = {
        row["attname"]
        for row in await connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass", table
        )
    }
    # A column of that name and another type cannot be adopted.
    adopted = {
        name for migration in read_migrations(sql_folder()) for name in _ADOPTED.findall(migration.text)
    }
    if table != OUTGOING:
        adopted -= OF_SENDING  # of that table only: here they are names like any other
    new = [name for name in listed if name not in there | adopted]
    await connection.execute(
        f"ALTER TABLE {table} " + ", ".join(f"ADD COLUMN {quoted(name)} int[]" for name in new)
    )
    return new


def listing(columns: list[str]) -> str:
    return ", ".join(map(quoted, columns))


def sevens(columns: list[str]) -> str:
    return ", ".join(["'{7}'"] * len(columns))


def not_told(data: dict[str, Any], columns: list[str]) -> list[str]:
    """Of the columns that hold `{7}`, those whose value stands nowhere in the data of a message."""
    beside = data.get("columns", {})
    return [name for name in columns if [7] not in (data.get(name), beside.get(name))]


async def check_values(shop: Shop, socket: Socket, key: str, columns: list[str]) -> None:
    """What the shop writes into these columns is in the event, and in the thread."""
    number = await shop.db.fetchval(
        f"INSERT INTO {INCOMING} (message_id, from_phone, wasender_session_id, {listing(columns)})"
        f" VALUES ('{key}', '491', 12, {sevens(columns)}) RETURNING id"
    )
    event = await socket.next("event", lambda frame: frame["data"]["id"] == str(number))
    assert not_told(event["data"], columns) == []
    thread = await shop.gateway.data("GET", "/api/conversations/491/messages?session=12")
    (row,) = (row for row in thread["messages"] if row["id"] == str(number))
    assert not_told(row, columns) == []


async def write_as_the_shop(shop: Shop) -> None:
    """Every kind of statement, on every table."""
    db = shop.db
    for table, key, unique, phone in (
        (INCOMING, "message_id", "message_id", "from_phone"),
        (OUTGOING, "client_id", "wasender_session_id, client_id", "to_phone"),
    ):
        for number in range(3):
            await db.execute(
                f"INSERT INTO {table} ({key}, {phone}, message_text, wasender_session_id) VALUES ($1, '491', 'x', 12)",
                f"shop-{number}",
            )
        await db.execute(
            f"INSERT INTO {table} ({key}, {phone}, wasender_session_id) VALUES ('shop-1', '491', 12)"
            f" ON CONFLICT ({unique}) DO UPDATE SET message_text = 'y'"
        )
        await db.execute(
            f"MERGE INTO {table} AS t USING (VALUES ('shop-2')) AS s(k) ON t.{key} = s.k "
            "WHEN MATCHED THEN UPDATE SET wasender_session_id = 7"
        )
        await db.execute(f"DELETE FROM {table} WHERE {key} = 'shop-0'")
    await db.execute(
        "INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number)"
        " VALUES (900, 'n', '+4'), (901, 'm', '+5')"
    )
    await db.execute("UPDATE whatsapp_sessions SET name = 'o', api_key = 'k' WHERE wasender_session_id = 900")
    await db.execute("DELETE FROM whatsapp_sessions WHERE wasender_session_id = 901")


async def use_everything(shop: Shop) -> None:
    """Every statement of ours that names a table of the shop."""
    gateway: Running = shop.gateway
    number = await shop.create()
    row = await shop.one(
        "SELECT api_key, webhook_secret FROM whatsapp_sessions WHERE wasender_session_id = $1", number
    )

    async def take(body: dict[str, object]) -> None:
        named = {**body, "sessionId": row["api_key"]}
        status, reply = await shop.post(named, secret=row["webhook_secret"], path=f"{HOOK}/{number}")
        assert (status, reply) == (200, {"received": True}), reply

    await take(received("from a LID", "K1", LID))
    await take(received("number behind it", "K2", parts.ANN_JID, key={"senderLid": LID}))
    await take(sent("ours", "K3"))
    await take(moved(3, "K3"))
    await take(parts.envelope("session.status", {"status": "connected", "session_id": number}))
    failed = await shop.db.fetch(
        "SELECT event, reason FROM gateway.journal WHERE outcome NOT IN ('stored', 'duplicate')"
    )
    assert [dict(item) for item in failed if item["event"] != "session.status"] == []

    chats = (await gateway.data("GET", "/api/conversations?limit=1"))["conversations"]
    assert chats
    for query in (
        "filter=unread",
        "filter=unreplied",
        "search=number",
        "search=491",
        "search=Anna",
        f"session={number}",
    ):
        await gateway.data("GET", f"/api/conversations?{query}")
    chat = chats[0]["chat"]
    thread = await gateway.data(
        "GET", f"/api/conversations/{chat}/messages?session={chats[0]['session_id']}&limit=1"
    )
    assert thread["messages"]
    await gateway.data("GET", f"/api/conversations/{parts.ANN_JID}/messages?session={number}")
    await gateway.data("POST", f"/api/conversations/{parts.ANN_JID}/read?session={number}")
    for query in ("", "search=shop", "sort=-created_at", "status=connected", "include=gone", "limit=1"):
        await gateway.data("GET", f"{SESSIONS}?{query}")
    await gateway.data("PUT", f"{SESSIONS}/{number}", {"name": "renamed"})
    await gateway.data("POST", f"{SESSIONS}/{number}/connect")
    await gateway.data("GET", f"{SESSIONS}/{number}/logs")
    await gateway.data("POST", f"{SESSIONS}/sync")
    await gateway.data("POST", f"{SESSIONS}/{number}/disconnect")
    await gateway.data("GET", "/api/journal")
    await gateway.data("DELETE", f"{SESSIONS}/{number}")
    inner: Gateway = gateway.gateway
    repositories = inner.repositories
    for kind in repositories.retention.kinds:
        await repositories.retention.prune(kind, 10)
    while await repositories.conversation_list.step() is Progress.MORE:
        pass
    await repositories.sessions.read_states(None)
    await repositories.sessions.all_secrets()
    await repositories.credentials.account_token()
    await repositories.credentials.set_account_token("a token")
    await repositories.monitor.quiet_sessions(0, 10)
    async with repositories.pool.acquire() as connection, connection.transaction(isolation="serializable"):
        await connection.execute(f"UPDATE {INCOMING} SET is_read = NOT is_read")
    assert (await repositories.unnumbered.number()).transactions in (0, 1)


@pytest.mark.parametrize("part", range(PARTS))
async def test_every_name_may_be_a_column_of_the_shop(
    postgres: EmbeddedPostgres, tmp_path: Path, part: int
) -> None:
    async with clone(postgres, "shop") as dsn:
        before = await connect_direct(dsn)
        listed = await names(before)
        size = -(-len(listed) // PARTS)
        assert size <= COLUMNS_AT_ONCE, "one more part is needed"
        wanted = list(chunks(listed, size))
        assert len(wanted) == PARTS
        # Half of the tables have the columns when they are adopted, the others get them afterwards.
        first = [table for table in TABLES if table not in (OUTGOING, "integrations")][part % 2 :: 2]
        added_to = {table: await add_columns(before, table, wanted[part]) for table in first}
        await migrate(dsn, report=lambda _: None)
        for table in set(TABLES) - set(first):
            added_to[table] = await add_columns(before, table, wanted[part])
        await before.close()
        async with running(settings_for(dsn, tmp_path)) as gateway, opened(gateway, dsn) as shop:
            async with gateway.socket() as socket:
                await socket.subscribe("inbox:*")
                await write_as_the_shop(shop)
                await use_everything(shop)
                assert all(added_to.values())
                for place, own in enumerate(chunks(added_to[INCOMING], VALUES_IN_A_ROW)):
                    await check_values(shop, socket, f"last {place}", own)
            await until(lambda: gateway.gateway.stale_since is None, "nothing has failed")
