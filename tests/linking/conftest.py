"""Gateways that share one database and one upstream, and what a test does with them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest
import pytest_asyncio

from gateway.runtime.context import DEFAULT_TIMINGS
from tests.launcher.running import Reached, Running, Socket, running
from tests.launcher.settings import SECRET, settings_for
from tests.linking.upstream import LINK_EVENTS, PATIENCE_S, Upstream, upstream_with

POLL_S = 0.1
SELDOM_S = 60.0
"""A poll that a test does not live to see: whatever comes, comes by webhook."""

WEBHOOK_PATH = "/api/whatsapp/webhook"

LEASE_CLASS = 0x57A6 << 12
"""The upper half of the numbers of leases: other advisory locks come and go."""


@pytest_asyncio.fixture
async def upstream(request: pytest.FixtureRequest) -> AsyncIterator[Upstream]:
    """One that moves quickly; a parameter holds settings of the simulator for this test."""
    async with upstream_with(**getattr(request, "param", {})) as served:
        yield served


Serve: TypeAlias = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def serve(database: str, tmp_path: Path, upstream: Upstream) -> Serve:
    """Starts one more gateway of the cluster; settings as for `settings_for`."""

    @contextlib.asynccontextmanager
    async def start(**settings: Any) -> AsyncIterator[Running]:
        known = {
            "simulator": False,
            "secret": SECRET,
            "wasender_base_url": upstream.base,
            "wasender_token": upstream.simulator.account_token,
            "link_poll_s": POLL_S,
        }
        async with running(
            settings_for(database, tmp_path, **{**known, **settings}), timings=DEFAULT_TIMINGS
        ) as gateway:
            yield gateway

    return start


@pytest_asyncio.fixture
async def a(serve: Serve) -> AsyncIterator[Running]:
    async with serve() as gateway:
        yield gateway


@pytest_asyncio.fixture
async def b(serve: Serve) -> AsyncIterator[Running]:
    """A second gateway of the same cluster."""
    async with serve() as gateway:
        yield gateway


class Rows:
    """What Postgres holds."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def attempts(self, session_id: int) -> list[asyncpg.Record]:
        """All attempts of a session, oldest first."""
        return await self.connection.fetch(
            "SELECT * FROM gateway.whatsapp_link_attempts WHERE wasender_session_id = $1 ORDER BY id",
            session_id,
        )

    async def log(self, session_id: int) -> list[str]:
        """The events of the session's trail, oldest first."""
        found = await self.connection.fetch(
            """
            SELECT l.event_type
            FROM whatsapp_session_logs l JOIN whatsapp_sessions s ON s.id = l.session_id
            WHERE s.wasender_session_id = $1
            ORDER BY l.id
            """,
            session_id,
        )
        return [row["event_type"] for row in found]

    async def session(self, session_id: int) -> asyncpg.Record:
        row = await self.connection.fetchrow(
            "SELECT * FROM whatsapp_sessions WHERE wasender_session_id = $1", session_id
        )
        assert row is not None
        return row

    async def leases(self) -> list[int]:
        """The sessions whose pollers hold a lease, in the whole cluster. (0 is the lease of upkeep.)"""
        found = await self.connection.fetch(
            """
            SELECT l.objid::bigint AS session_id
            FROM pg_locks l JOIN pg_database d ON d.oid = l.database
            WHERE l.locktype = 'advisory' AND l.granted AND l.objid <> 0 AND d.datname = current_database()
              AND l.classid = $1::bigint::oid
            ORDER BY l.objid
            """,
            LEASE_CLASS,
        )
        return [row["session_id"] for row in found]

    async def until_unleased(self, session_id: int) -> None:
        await self.until(
            """
            SELECT NOT EXISTS (
                SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                WHERE l.locktype = 'advisory' AND l.objid = $1::bigint::oid AND d.datname = current_database())
            """,
            session_id,
        )

    async def until(self, sql: str, *arguments: Any) -> None:
        """Looks often until the query says true; for what rings no bell that a test could hear."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    if await self.connection.fetchval(sql, *arguments):
                        return
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"never came true: {sql.strip()}") from None

    async def until_logged(self, session_id: int, event: str) -> None:
        await self.until(
            """
            SELECT EXISTS (
                SELECT FROM whatsapp_session_logs l JOIN whatsapp_sessions s ON s.id = l.session_id
                WHERE s.wasender_session_id = $1 AND l.event_type = $2)
            """,
            session_id,
            event,
        )


@pytest_asyncio.fixture
async def rows(database: str) -> AsyncIterator[Rows]:
    connection = await asyncpg.connect(database)
    try:
        yield Rows(connection)
    finally:
        await connection.close()


async def new_session(gateway: Reached, *, webhooks_to: Reached | None = None) -> int:
    """A session that has never been linked. Without `webhooks_to` only polls find anything out."""
    wish: dict[str, Any] = {"name": "Shop", "phone_number": "+4915112345678"}
    wish |= {"account_protection": False, "log_messages": True}
    if webhooks_to is not None:
        wish |= {
            "webhook_url": webhooks_to.url + WEBHOOK_PATH,
            "webhook_enabled": True,
            "webhook_events": LINK_EVENTS,
        }
    number: int = (await gateway.data("POST", "/api/whatsapp-sessions", wish))["id"]
    return number


def path_of(session_id: int, verb: str = "") -> str:
    return f"/api/whatsapp-sessions/{session_id}" + (f"/{verb}" if verb else "")


async def connect(gateway: Reached, session_id: int) -> dict[str, Any]:
    data: dict[str, Any] = await gateway.data("POST", path_of(session_id, "connect"))
    return data


async def status_of(gateway: Reached, session_id: int) -> str:
    return str((await gateway.data("GET", path_of(session_id)))["status"])


@contextlib.asynccontextmanager
async def watching(gateway: Reached, session_id: int) -> AsyncIterator[Socket]:
    """A browser with the session's modal open."""
    async with gateway.socket() as socket:
        await socket.subscribe(f"session:{session_id}")
        yield socket


async def code_on(socket: Socket, code: str | None = None) -> str:
    """The next code that is shown; or this one, once it is."""
    frame = await socket.next(
        "state",
        lambda frame: frame["event"] == "session.qr" and code in (None, frame["data"]["qrCode"]),
    )
    return str(frame["data"]["qrCode"])


async def end_on(socket: Socket) -> dict[str, Any]:
    """`data` of the end of the attempt."""
    data: dict[str, Any] = (await socket.state("session.link_ended"))["data"]
    return data
