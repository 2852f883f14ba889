"""A gateway with the simulator, a linked number, and a customer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from gateway.postgres.connection.pool import connect_direct
from gateway.runtime.context import DEFAULT_TIMINGS
from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for

ANN = "15550002222"
ANN_JID = f"{ANN}@s.whatsapp.net"
DEADLINE_S = 30.0
QUICK = {"sent_delay_s": 0.0, "delivered_delay_s": 0.0, "read_delay_s": 0.0, "account_protection": False}
OUTGOING = "whatsapp_outgoing_messages"


def text(client_id: str, words: str, **more: Any) -> dict[str, Any]:
    """The body of a text message."""
    return {"client_id": client_id, "text": words, **more}


class Shop:
    """One running gateway, and a connection of our own to its database."""

    def __init__(self, gateway: Running, db: asyncpg.Connection) -> None:
        self.gateway = gateway
        self.db = db

    # ------------------------------------------------------------------ the other side

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """Steers the simulator."""
        return await self.gateway.data(method, f"/_simulator{path}", body)

    async def linked(self, **fields: Any) -> int:
        """A number that is linked; the service is as quick as can be, unless it is told otherwise later."""
        await self.control("POST", "/settings", QUICK)
        wish = {"name": "Shop", "phone_number": "+15550001111", **fields}
        session_id = int((await self.gateway.data("POST", "/api/whatsapp-sessions", wish))["id"])
        await self.gateway.data("POST", f"/api/whatsapp-sessions/{session_id}/connect")
        await self.eventually(
            lambda: self.gateway.data("GET", f"/api/whatsapp-sessions/{session_id}/qr-code"),
            lambda code: bool(code["qrCode"]),
        )
        await self.control("POST", f"/sessions/{session_id}/scan")
        await self.has_status(session_id, "connected")
        return session_id

    async def has_status(self, session_id: int, status: str) -> None:
        """Returns once the session has that status here."""
        await self.eventually(
            lambda: self.db.fetchval(
                "SELECT lower(status) FROM whatsapp_sessions WHERE wasender_session_id = $1", session_id
            ),
            lambda found: found == status,
        )

    async def customer_writes(self, session_id: int, words: str, phone: str = ANN) -> dict[str, Any]:
        """A customer's message; its row once it is here."""
        await self.control("POST", f"/sessions/{session_id}/inbound", {"from": phone, "text": words})
        row = await self.eventually(
            lambda: self.db.fetchrow(
                "SELECT * FROM whatsapp_incoming_messages WHERE message_text = $1 AND from_phone = $2",
                words,
                phone,
            )
        )
        return dict(row)

    async def sends(self) -> list[dict[str, Any]]:
        """Every send that the simulator has accepted."""
        return list(await self.control("GET", "/sends"))

    async def fault(self, **fault: Any) -> None:
        """What goes wrong next."""
        await self.control("POST", "/faults", fault)

    # ------------------------------------------------------------------ our side

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        status, reply = await self.gateway.call(method, path, body, **more)
        return status, reply

    async def post(
        self, session_id: int, body: Any, chat: str = ANN, **more: Any
    ) -> tuple[int, dict[str, Any]]:
        """Status and answer of a message to send."""
        return await self.call(
            "POST", f"/api/conversations/{chat}/messages?session={session_id}", body, **more
        )

    async def queue(self, session_id: int, body: Any, chat: str = ANN, **more: Any) -> dict[str, Any]:
        """The row of a message that was queued."""
        status, reply = await self.post(session_id, body, chat, **more)
        assert status == 202, (status, reply)
        return dict(reply["data"])

    async def rows(self) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.db.fetch(f"SELECT * FROM {OUTGOING} ORDER BY id")]

    async def row(self, row_id: str) -> dict[str, Any]:
        (row,) = await self.db.fetch(f"SELECT * FROM {OUTGOING} WHERE id = $1", int(row_id))
        return dict(row)

    async def until(self, row_id: str, *statuses: str) -> dict[str, Any]:
        """The row once it has one of these statuses."""
        found: dict[str, Any] = await self.eventually(
            lambda: self.row(row_id), lambda row: row["status"] in statuses
        )
        return found

    async def eventually(
        self, look: Callable[[], Any], is_right: Callable[[Any], bool] = lambda found: found is not None
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
            raise AssertionError(f"it did not come true; last seen: {found!r}") from None


@asynccontextmanager
async def opened(dsn: str, tmp_path: Path, **settings: Any) -> AsyncIterator[Shop]:
    """A gateway on that database."""
    async with running(settings_for(dsn, tmp_path, **settings), timings=DEFAULT_TIMINGS) as gateway:
        db = await connect_direct(dsn)
        try:
            yield Shop(gateway, db)
        finally:
            await db.close(timeout=5)
