"""A shop with sessions whose keys and secrets are known, and the hands to post webhooks and look at the tables."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import asyncpg

from gateway.postgres.connection.pool import connect_direct
from tests.launcher.running import Running
from tests.unit.wasender import payload_parts as parts

HOOK = "/api/whatsapp/webhook"
SESSIONS = "/api/whatsapp-sessions"
DEADLINE_S = 30.0

INCOMING = "whatsapp_incoming_messages"
OUTGOING = "whatsapp_outgoing_messages"


def key_of(session_id: int) -> str:
    return f"key-of-session-{session_id}-0123456789abcdef"


def secret_of(session_id: int) -> str:
    return f"webhook-secret-of-session-{session_id}"


class Shop:
    """One gateway, one connection of our own to its database."""

    def __init__(self, gateway: Running, connection: asyncpg.Connection, http: aiohttp.ClientSession) -> None:
        self.gateway = gateway
        self.db = connection
        self.http = http

    async def add_session(self, session_id: int, **columns: Any) -> None:
        """A session in the database, as an earlier gateway or the shop left it there."""
        row = {
            "wasender_session_id": session_id,
            "name": f"Session {session_id}",
            "phone_number": f"+4915100000{session_id}",
            "status": "connected",
            "api_key": key_of(session_id),
            "webhook_secret": secret_of(session_id),
            **columns,
        }
        places = ", ".join(f"${number}" for number in range(1, len(row) + 1))
        await self.db.execute(
            f"INSERT INTO whatsapp_sessions ({', '.join(row)}) VALUES ({places})", *row.values()
        )

    async def create(self, **fields: Any) -> int:
        """A session made through the API, so that the simulator has it too."""
        wish = {"name": "Shop", "phone_number": "+15550001111", **fields}
        return int((await self.gateway.data("POST", SESSIONS, wish))["id"])

    async def post(
        self,
        body: Any,
        *,
        secret: str | None = None,
        path: str = HOOK,
        headers: dict[str, str] | None = None,
        gateway: Running | None = None,
    ) -> tuple[int, Any]:
        """Status and JSON of one webhook. `body` may be bytes; a `secret` is sent as upstream sends it."""
        given = dict(headers or {})
        if secret is not None:
            given["X-Webhook-Signature"] = secret
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = (gateway or self.gateway).url + path
        async with self.http.post(url, data=io.BytesIO(raw), headers=given) as reply:
            text = await reply.text()
            return reply.status, json.loads(text) if text.startswith("{") else text

    async def take(self, body: dict[str, Any], session_id: int = 12) -> None:
        """A webhook of that session, which must be answered 200."""
        named = {**body, "sessionId": key_of(session_id)}
        status, reply = await self.post(named, secret=secret_of(session_id))
        assert (status, reply) == (200, {"received": True}), (status, reply)

    async def outcomes(self) -> list[tuple[str, str]]:
        """Event and outcome of every journal entry, in the order of writing."""
        rows = await self.db.fetch("SELECT event, outcome FROM gateway.journal ORDER BY id")
        return [(row["event"], row["outcome"]) for row in rows]

    async def one(self, sql: str, *arguments: Any) -> dict[str, Any]:
        """The one row of a query."""
        (row,) = await self.db.fetch(sql, *arguments)
        return dict(row)

    async def last_entry(self) -> dict[str, Any]:
        row = await self.db.fetchrow("SELECT * FROM gateway.journal ORDER BY id DESC LIMIT 1")
        return dict(row or {})

    async def rows(self, table: str = INCOMING) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.db.fetch(f"SELECT * FROM {table} ORDER BY id")]

    async def row(self, table: str = INCOMING) -> dict[str, Any]:
        """The only row of a table."""
        (row,) = await self.rows(table)
        return row


@contextlib.asynccontextmanager
async def opened(gateway: Running, dsn: str) -> AsyncIterator[Shop]:
    connection = await connect_direct(dsn)
    try:
        async with aiohttp.ClientSession() as http:
            yield Shop(gateway, connection, http)
    finally:
        await connection.close(timeout=5)


@contextlib.asynccontextmanager
async def left_alone(shop: Shop) -> AsyncIterator[None]:
    """Fails if the block has changed a row of the shop's tables. Its own connection only reads meanwhile."""

    async def rows() -> dict[str, str]:
        return {
            table: await shop.db.fetchval(
                f"SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM {table} AS t"
            )
            for table in (INCOMING, OUTGOING, "whatsapp_sessions", "whatsapp_session_logs")
        }

    before = await rows()
    await shop.db.execute("SET default_transaction_read_only = on")
    yield
    after = await rows()
    assert {table for table in before if after[table] != before[table]} == set()


async def add_two_sessions(shop: Shop) -> None:
    """The sessions 12 and 13, of which the gateway has heard when this returns."""
    for number in (12, 13):
        await shop.add_session(number)
        await shop.gateway.gateway.live.states.see(number)


_SWEEP = """
WITH learned AS (
    SELECT oid FROM pg_class
    WHERE relkind = 'r' AND (
        oid = ANY ('{whatsapp_incoming_messages, whatsapp_outgoing_messages, whatsapp_session_logs}'::regclass[])
        OR relnamespace = 'gateway'::regnamespace AND relname NOT IN (
            'gateways', 'inboxes', 'migrations', 'owned_objects', 'owned_triggers', 'projections', 'session_state',
            'settings', 'stream'))
)
SELECT 'LOCK TABLE ' || string_agg(oid::regclass::text, ', ' ORDER BY oid) || ' IN ACCESS EXCLUSIVE MODE' FROM learned
UNION ALL
SELECT string_agg(format('DELETE FROM %s', oid::regclass), '; ' ORDER BY oid) FROM learned
UNION ALL
SELECT string_agg(format('SELECT setval(%L, 1, false)', s.oid::regclass), '; ')
FROM pg_class s JOIN pg_depend d ON d.objid = s.oid AND d.deptype IN ('a', 'i') JOIN learned ON learned.oid = d.refobjid
WHERE s.relkind = 'S'
"""
"""Statements that empty what a gateway learns from webhooks and people. The tables that stay say what the database
is, and where its streams stand. The locks wait for the jobs under way: one that has read rows before would write what
it made of them afterwards, into the next test."""


_SESSIONS = "SELECT jsonb_agg(s ORDER BY id) FROM whatsapp_sessions s"
_RESTORE = """
INSERT INTO whatsapp_sessions SELECT * FROM jsonb_populate_recordset(NULL::whatsapp_sessions, $1)
"""


@contextlib.asynccontextmanager
async def swept(shop: Shop) -> AsyncIterator[None]:
    """Afterwards no row is left but the sessions', which are as they were, and ids begin at 1 again."""
    sessions = await shop.db.fetchval(_SESSIONS)
    yield
    statements = "; ".join(row[0] for row in await shop.db.fetch(_SWEEP))
    while True:
        with contextlib.suppress(
            asyncpg.LockNotAvailableError
        ):  # a job of the gateway wants what is locked here
            async with shop.db.transaction():
                # No trigger makes news of it.
                await shop.db.execute(
                    "SET LOCAL session_replication_role = replica; SET LOCAL lock_timeout = '200ms'"
                )
                await shop.db.execute(statements)
            break
    if await shop.db.fetchval(_SESSIONS) != sessions:
        async with shop.db.transaction():
            await shop.db.execute("DELETE FROM whatsapp_sessions")
            await shop.db.execute(_RESTORE, sessions)
        for number in (12, 13):
            await shop.gateway.gateway.live.states.see(number)


async def eventually(
    look: Callable[[], Awaitable[Any]], is_right: Callable[[Any], bool] = bool, what: str = "it"
) -> Any:
    """What `look` finds, as soon as it is right. For facts of other processes, which tell nobody."""
    found: Any = None
    try:
        async with asyncio.timeout(DEADLINE_S):
            while True:
                found = await look()
                if is_right(found):
                    return found
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{what} did not come true; last seen: {found!r}") from None


# ------------------------------------------------------------------------------------------ bodies


def received(text: str = "Hello", key_id: str = parts.ID, jid: str = parts.ANN_JID, **more: Any) -> Any:
    """`messages.received` of somebody's text."""
    key = {"id": key_id, "fromMe": False, "remoteJid": jid, **more.pop("key", {})}
    content = {"conversation": text}
    return parts.envelope("messages.received", {"messages": parts.message(key, content, **more)})


def sent(text: str = "Hi", key_id: str = parts.ID, jid: str = parts.ANN_JID, **more: Any) -> Any:
    """A message typed on the linked phone itself."""
    key = {"id": key_id, "fromMe": True, "remoteJid": jid}
    return parts.envelope("messages.upsert", {"messages": parts.message(key, {"conversation": text}, **more)})


def moved(status: int, key_id: str = parts.ID) -> Any:
    """`messages.update` with WhatsApp's number of a delivery state."""
    key = {"id": key_id, "fromMe": True, "remoteJid": parts.ANN_JID}
    return parts.envelope("messages.update", {"key": key, "update": {"status": status}}, parts.SENT_MS)


def edited(
    text: str, key_id: str = parts.ID, at_ms: int = parts.SENT_MS, by: dict[str, Any] = parts.PRIVATE
) -> Any:
    content = {
        "protocolMessage": {
            "key": {"id": key_id}, "type": 14, "timestampMs": str(at_ms), "editedMessage": {"conversation": text}
        }
    }  # fmt: skip
    key = {**by, "id": "EDIT" + key_id}
    return parts.envelope("messages.upsert", {"messages": parts.message(key, content)})


def deleted(key_id: str = parts.ID) -> Any:
    return parts.envelope("messages.delete", {"keys": [{**parts.PRIVATE, "id": key_id}]}, parts.SENT_S)
