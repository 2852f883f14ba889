"""A shop that sends: gateways that can be killed and frozen, on one database, with one simulator that outlives them.

`Street` is what a hunt drives: `gateways` (each a `Child`), `served` (the simulator), `queue` (a message by REST), and
`check`, which compares the rows with the simulator's own list of accepted sends.
"""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from gateway.postgres.connection.pool import connect_direct
from tests.launcher.child import Child
from tests.launcher.running import mint
from tests.simulator.support import Served, serving

ENDED = {"accepted", "sent", "delivered", "read", "played", "failed", "unknown", "cancelled"}
WAIT_S = 60.0
NEWS_S = 0.05


class Street:
    """Some gateways of one shop, its number, and what upstream has taken."""

    def __init__(
        self, served: Served, gateways: list[Child], db: asyncpg.Connection, http: aiohttp.ClientSession
    ) -> None:
        self.served = served
        self.gateways = gateways
        self.db = db
        self._http = http
        self.session_id = 0

    async def open(self) -> None:
        """A number that is linked, without account protection; its webhooks go to the first gateway."""
        made = await self.call(
            "POST",
            "/api/whatsapp-sessions",
            {"name": "Shop", "phone_number": "+15550001111", "log_messages": True},
        )
        self.session_id = made["data"]["id"]
        await self.served.control("POST", "/settings", {"account_protection": False})
        await self.served.link(self.session_id)
        await self.until(
            "SELECT count(*) FROM whatsapp_sessions WHERE lower(status) = 'connected'", lambda n: n == 1
        )

    async def call(
        self, method: str, path: str, body: Any = None, gateway: Child | None = None
    ) -> dict[str, Any]:
        """The answer of a gateway that runs. Raises aiohttp.ClientError where it does not."""
        url = (gateway or self.gateways[0]).url + path
        headers = {"Authorization": f"Bearer {mint()}"}
        async with self._http.request(method, url, json=body, headers=headers) as reply:
            answer: dict[str, Any] = await reply.json()
            assert reply.status < 300, (reply.status, answer)
            return answer

    async def queue(self, text: str, phone: str = "15550002222", gateway: Child | None = None) -> str:
        """Id of the row of a message; its text is its `client_id`, too."""
        path = f"/api/conversations/{phone}/messages?session={self.session_id}"
        return str((await self.call("POST", path, {"client_id": text, "text": text}, gateway))["data"]["id"])

    async def fault(self, **fault: Any) -> None:
        """What goes wrong next at `/send-message`."""
        reply = await self.served.control("POST", "/faults", {"path": "/send-message", **fault})
        assert reply.status < 300, reply.text

    async def calls(self) -> int:
        """How many sends the simulator was asked for."""
        listed = (await self.served.control("GET", "/calls")).json["data"]
        return sum(row["count"] for row in listed["calls"] if row["path"].endswith("/send-message"))

    async def until(self, query: str, is_right: Callable[[Any], bool], *arguments: Any) -> Any:
        """The value of a query once it is right: facts of other processes, which tell nobody."""
        found: Any = None
        try:
            async with asyncio.timeout(WAIT_S):
                while True:
                    found = await self.db.fetchval(query, *arguments)
                    if is_right(found):
                        return found
                    await asyncio.sleep(NEWS_S)
        except TimeoutError:
            raise AssertionError(f"{query} did not come true; last seen: {found!r}") from None

    async def status(self, row_id: str, *wanted: str) -> str:
        """The row's status once it is one of these."""
        found: str = await self.until(
            "SELECT status FROM whatsapp_outgoing_messages WHERE id = $1",
            lambda word: word in wanted,
            int(row_id),
        )
        return found

    async def at_rest(self) -> None:
        """Returns once nothing waits or is being sent."""
        await self.until(
            "SELECT count(*) FROM whatsapp_outgoing_messages WHERE status IN ('queued', 'sending')",
            lambda n: n == 0,
        )

    async def check(self) -> Counter[str]:
        """What the rows came to. Fails where upstream's list says otherwise."""
        taken = Counter(row["text"] for row in (await self.served.control("GET", "/sends")).json["data"])
        rows = await self.db.fetch(
            "SELECT message_text AS text, status, attempt, send_no FROM whatsapp_outgoing_messages ORDER BY id"
        )
        assert len({row["text"] for row in rows}) == len(rows), "a message stands there twice"
        for row in rows:
            times = taken[row["text"]]
            assert times <= row["attempt"], (dict(row), times)
            assert row["status"] in ENDED, dict(row)
            if row["status"] in ("failed", "cancelled"):
                assert times < row["attempt"] or times == 0, ("failed, and it was sent", dict(row))
            if row["status"] in ("accepted", "sent", "delivered", "read", "played"):
                assert times >= 1, ("sent, and upstream never took it", dict(row))
        return Counter(row["status"] for row in rows)


def free_port() -> int:
    """A port that was free a moment ago."""
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.asynccontextmanager
async def street(dsn: str, folder: Path, gateways: int = 1) -> AsyncIterator[Street]:
    """So many gateways on that database, and a simulator."""
    async with serving() as served, aiohttp.ClientSession() as http, contextlib.AsyncExitStack() as stack:
        port = free_port()
        children = []
        for number in range(gateways):
            settings: dict[str, Any] = {"port": port} if number == 0 else {}
            child = Child(
                dsn,
                folder / f"gateway-{number}",
                wasender_base_url=served.base,
                wasender_token=served.simulator.account_token,
                public_url=f"http://127.0.0.1:{port}",
                media_url=(folder / "media").as_uri(),
                **settings,
            )
            stack.push_async_callback(child.stop)
            await child.start()
            children.append(child)
        db = await connect_direct(dsn)
        stack.push_async_callback(db.close, timeout=5)
        place = Street(served, children, db, http)
        await place.open()
        yield place
