"""What the tests of the simulator stand on: a served one, a webhook receiver, and a clock that is moved."""

import asyncio
import contextlib
import heapq
import itertools
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiohttp
import uvicorn
from aiohttp import web
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from gateway.simulator import Clock, Simulator, SimulatorSettings, Timer
from gateway.simulator.page import PageMount

PATIENCE_S = 30.0
"""Deadline of everything that is waited for; a test that passes never gets near it."""

QUICK = SimulatorSettings(
    account_token="1|account",
    connect_delay_s=0.01,
    finishing_delay_s=0.01,
    sent_delay_s=0.01,
    delivered_delay_s=0.01,
    read_delay_s=0.01,
    webhook_timeout_s=0.2,
    webhook_retry_delays_s=(0.01,),
)

ALL_EVENTS = [
    "session.status",
    "qrcode.updated",
    "messages.received",
    "messages-personal.received",
    "messages-group.received",
    "messages-newsletter.received",
    "messages.upsert",
    "messages.update",
    "messages.delete",
    "message.sent",
]


class _MovedTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class MovedClock(Clock):
    """Time stands still until `move`; then everything that falls due happens, in order."""

    def __init__(self) -> None:
        self.time = 1_750_000_000.0
        self._due: list[tuple[float, int, _MovedTimer]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self.time

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = _MovedTimer(callback)
        heapq.heappush(self._due, (self.time + delay_s, next(self._order), timer))
        return timer

    def move(self, seconds: float) -> None:
        end = self.time + seconds
        while self._due and self._due[0][0] <= end:
            self.time, _, timer = heapq.heappop(self._due)
            if timer.callback is not None:
                timer.callback()
        self.time = end


@dataclass
class Webhook:
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.raw)
        return parsed

    @property
    def event(self) -> str:
        return str(self.body["event"])


@dataclass
class Receiver:
    """A webhook endpoint that records what it gets and answers as told."""

    url: str = ""
    got: list[Webhook] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    """Statuses of the next answers; then 200."""
    hold: bool = False
    """Whether requests are kept open until `let_go` is set."""
    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, request: web.Request) -> web.Response:
        raw = await request.read()
        async with self._news:
            self.got.append(Webhook(dict(request.headers), raw))
            self._news.notify_all()
        if self.hold:
            await self.let_go.wait()
        elsewhere = {"Location": f"{self.url}/elsewhere"}  # only a redirect may be tempted by it
        return web.Response(status=self.answers.pop(0) if self.answers else 200, headers=elsewhere)

    async def wait_for(self, enough: Callable[["Receiver"], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._news:
            await self._news.wait_for(lambda: enough(self))

    async def wait_for_events(self, *events: str) -> list[Webhook]:
        """The first webhook of each of these events, once all have come."""
        await self.wait_for(lambda r: set(events) <= {hook.event for hook in r.got})
        return [next(hook for hook in self.got if hook.event == event) for event in events]

    async def wait_for_count(self, count: int) -> list[Webhook]:
        await self.wait_for(lambda r: len(r.got) >= count)
        return self.got


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{tail:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/hook"
    try:
        yield receiver
    finally:
        receiver.let_go.set()
        await runner.cleanup()


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def data(self) -> Any:
        return self.json["data"]


class Served:
    """A simulator behind a real server, and a client for it."""

    def __init__(self, simulator: Simulator, base: str, http: aiohttp.ClientSession) -> None:
        self.simulator = simulator
        self.base = base
        self.http = http

    async def call(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> Reply:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        url = path if path.startswith("http") else self.base + path
        async with self.http.request(method, url, json=body, headers=sent) as reply:
            return Reply(reply.status, dict(reply.headers), await reply.text())

    async def account(self, method: str, path: str, body: Any = None) -> Reply:
        return await self.call(method, "/api" + path, body, token=self.simulator.account_token)

    async def control(self, method: str, path: str, body: Any = None) -> Reply:
        return await self.call(method, "/_simulator" + path, body)

    async def create(self, receiver: Receiver | None = None, **fields: Any) -> dict[str, Any]:
        wish: dict[str, Any] = {
            "name": "Shop",
            "phone_number": "+4915112345678",
            "account_protection": False,
            "log_messages": True,
        }
        if receiver is not None:
            wish |= {"webhook_url": receiver.url, "webhook_enabled": True, "webhook_events": ALL_EVENTS}
        reply = await self.account("POST", "/whatsapp-sessions", wish | fields)
        assert reply.status == 201, reply.text
        session: dict[str, Any] = reply.data
        return session

    async def wait_for_status(self, session_id: int, status: str) -> None:
        """Follows the simulator's own changes; no polling."""
        version = -1
        async with asyncio.timeout(PATIENCE_S):
            while True:
                reply = (await self.control("GET", "/sessions")).json
                if any(row["id"] == session_id and row["status"] == status for row in reply["data"]):
                    return
                version = reply["version"]
                await self.control("GET", f"/changes?after={version}")

    async def link(self, session_id: int) -> None:
        connected = await self.account("POST", f"/whatsapp-sessions/{session_id}/connect")
        assert connected.data["status"] == "NEED_SCAN", connected.text
        assert (await self.control("POST", f"/sessions/{session_id}/scan")).status == 200
        await self.wait_for_status(session_id, "connected")


def embedding_app(simulator: Simulator) -> Starlette:
    """An app that has the simulator beside things of its own."""

    async def own(request: Request) -> PlainTextResponse:
        return PlainTextResponse("the gateway")

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with simulator.running():
            yield

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/api/whatsapp-sessions", own),
            Mount("/simulator/api", routes=simulator.api_routes()),
            Mount("/_simulator", routes=simulator.control_routes()),
            PageMount("/simulator", routes=simulator.page_routes()),
        ],
    )


@contextlib.asynccontextmanager
async def serving(
    state: Path | None = None,
    settings: SimulatorSettings = QUICK,
    clock: Clock | None = None,
    *,
    http_protocol: Literal["auto", "h11", "httptools"] = "auto",
    embedded: bool = False,
) -> AsyncIterator[Served]:
    """A simulator on a real server: alone, or embedded as `gateway demo` has it."""
    simulator = Simulator(state, settings=settings, clock=clock)
    config = uvicorn.Config(
        embedding_app(simulator) if embedded else simulator.standalone_app(),
        host="127.0.0.1",
        port=0,
        http=http_protocol,
        # Longer than clients keep a connection: one must not end just as the next request is sent on it.
        timeout_keep_alive=75,
        lifespan="on",
        log_config=None,
        access_log=False,
    )
    # Driven by hand: uvicorn's own loop looks for its end only ten times a second.
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    assert server.started, "the simulator did not start"
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            yield Served(simulator, f"http://127.0.0.1:{port}", http)
    finally:
        simulator.release()
        async with asyncio.timeout(PATIENCE_S):
            for listening in server.servers:
                listening.close()
            for connection in list(server.server_state.connections):
                connection.shutdown()
            await server.lifespan.shutdown()


HELLO = {"from": "+49 170 1234567", "text": "hello", "push_name": "Ann"}
"""An inbound message."""


async def finished(served: Served, count: int = 1, event: str = "messages.received") -> list[dict[str, Any]]:
    """The deliveries of an event, oldest first, once `count` of them are over."""
    version = -1
    while True:
        version = (await served.control("GET", f"/changes?after={version}")).data["version"]
        rows: list[dict[str, Any]] = (await served.control("GET", f"/deliveries?event={event}")).data
        if len([row for row in rows if row["outcome"] != "waiting"]) >= count:
            return rows[::-1]


async def linked(served: Served, receiver: Receiver, **fields: Any) -> dict[str, Any]:
    session = await served.create(receiver, **fields)
    await served.link(session["id"])
    return session
