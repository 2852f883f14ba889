"""WasenderAPI on a server of its own, so that several gateways share it, with a record of what it was asked."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.runtime.http_server import serving as serving_app
from gateway.runtime.listen_socket import address_of, bind
from gateway.simulator import Simulator, SimulatorSettings
from tests.simulator.support import QUICK, Served

PATIENCE_S = 30.0

BEFORE_THE_CALL_ENDS_S = 10.0
"""Less than the 15 s after which the gateway gives up a call that hangs: who is done by then has not waited for it."""

LINK_EVENTS = ["session.status", "qrcode.updated"]


@dataclass(frozen=True, slots=True)
class Call:
    """One request of the API, as it came in. `session_id` is 0 where the path names none."""

    verb: str
    """`connect`, `qrcode`, …; for the session itself the method."""
    session_id: int


class Upstream(Served):
    """The simulator, and every call that reached it, in order."""

    def __init__(self, simulator: Simulator, base: str, http: aiohttp.ClientSession) -> None:
        super().__init__(simulator, base, http)
        self.calls: list[Call] = []
        self._news = asyncio.Event()

    def record(self, call: Call) -> None:
        self.calls.append(call)
        self._news.set()
        self._news = asyncio.Event()

    def count(self, verb: str, session_id: int | None = None) -> int:
        return sum(call.verb == verb and session_id in (None, call.session_id) for call in self.calls)

    async def wait_for_calls(self, verb: str, count: int, session_id: int | None = None) -> None:
        """Until this call has come so many times."""
        async with asyncio.timeout(PATIENCE_S):
            while self.count(verb, session_id) < count:
                await self._news.wait()

    # ------------------------------------------------------------------------------------- what a test does

    async def done(self, method: str, path: str, body: Any = None) -> Any:
        """`data` of a control call that worked."""
        reply = await self.control(method, path, body)
        assert reply.status == 200, reply.text
        return reply.data

    async def fault(self, path: str = "/whatsapp-sessions", *, times: int | None = None, **what: Any) -> None:
        await self.done("POST", "/faults", {"path": path, "times": times, **what})

    async def mode(self, mode: str, **what: Any) -> None:
        await self.done("POST", "/faults", {"mode": mode, **what})

    async def scan(self, session_id: int) -> None:
        await self.done("POST", f"/sessions/{session_id}/scan")

    async def rotate(self, session_id: int) -> str:
        """Replaces the code; the new one."""
        await self.done("POST", f"/sessions/{session_id}/rotate-qr")
        return await self.code(session_id)

    async def webhook(self, session_id: int, event: str, data: Any) -> None:
        await self.done("POST", f"/sessions/{session_id}/event", {"event": event, "data": data})

    async def code(self, session_id: int) -> str:
        return str((await self.account("GET", f"/whatsapp-sessions/{session_id}/qrcode")).data["qrCode"])

    async def status(self, session_id: int) -> str:
        return str((await self.account("GET", f"/whatsapp-sessions/{session_id}")).data["status"])


class _Recorder:
    """ASGI: notes the calls of the API on their way to the simulator, except the test's own."""

    def __init__(self, app: ASGIApp, note: Callable[[Call], None]) -> None:
        self._app = app
        self._note = note

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (b"x-from", b"test") not in scope["headers"]:
            found = re.fullmatch(r"/api/whatsapp-sessions(?:/(\d+)(?:/([a-z-]+))?)?", scope["path"])
            if found:
                self._note(Call(found[2] or scope["method"], int(found[1] or 0)))
        await self._app(scope, receive, send)


@contextlib.asynccontextmanager
async def upstream_with(**settings: Any) -> AsyncIterator[Upstream]:
    """A simulator that moves quickly; `settings` as in SimulatorSettings."""
    # A busy machine may take longer to answer a webhook than tests of the simulator itself give it.
    rules: SimulatorSettings = replace(QUICK, **{"webhook_timeout_s": PATIENCE_S, **settings})
    simulator = Simulator(None, settings=rules)
    sock = bind("127.0.0.1", 0)
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(timeout=timeout, headers={"X-From": "test"}) as http:
        upstream = Upstream(simulator, address_of(sock), http)
        app = _Recorder(simulator.standalone_app(), upstream.record)
        async with serving_app(app, sock, "on"):
            try:
                yield upstream
            finally:
                simulator.release()
