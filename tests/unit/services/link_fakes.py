"""Leases, WasenderAPI and gateways as linking sees them, in memory and on the virtual clock."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.domain.errors import GatewayError
from gateway.domain.linking import Attempt, Limits
from gateway.domain.session import Actor, ConnectReply, SessionId, UpstreamSession
from gateway.services.linking.ports import LinkingContext
from gateway.services.linking.service import Linking
from tests.clock import now
from tests.unit.services.link_store import MemoryStore

ANN = Actor(name="Ann", sub="u1")
HANG = "hang"
Fault = GatewayError | Exception | str


class LeaseBoard:
    """Who holds which lease; each gateway sees it through `of`."""

    def __init__(self) -> None:
        self.owners: dict[int, str] = {}
        self.releases = 0
        self.release_s = 0.001
        self.answer_s = 0.0
        """How long after a lease was given the answer arrives."""

    def of(self, name: str) -> "GatewayLeases":
        return GatewayLeases(self, name)

    def drop(self, name: str) -> None:
        """The listening connection of this gateway ends."""
        self.owners = {session: owner for session, owner in self.owners.items() if owner != name}


@dataclass
class GatewayLeases:
    board: LeaseBoard
    name: str

    async def acquire(self, session_id: int) -> bool:
        await asyncio.sleep(0.001)
        owner = self.board.owners.setdefault(session_id, self.name)
        await asyncio.sleep(self.board.answer_s)
        return owner == self.name

    async def release(self, session_id: int) -> None:
        await asyncio.sleep(self.board.release_s)
        self.board.releases += 1
        if self.board.owners.get(session_id) == self.name:
            del self.board.owners[session_id]


@dataclass
class FakeUpstream:
    """Sessions that follow a script of (seconds after connect, status, code)."""

    script: list[tuple[float, str, str | None]] = field(default_factory=list)
    reply: ConnectReply = field(default_factory=lambda: ConnectReply("connecting"))
    resting: str = "disconnected"
    scripts: dict[int, list[tuple[float, str, str | None]]] = field(default_factory=dict)
    calls: list[tuple[float, str, int]] = field(default_factory=list)
    faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))
    """Per call (`connect`, `status`, `code`): what the next ones get."""
    hanging: set[int] = field(default_factory=set)
    lag_s: float = 0.0
    """How old an answer is when it arrives."""
    connected_at: dict[int, float] = field(default_factory=dict)

    def count(self, call: str, session_id: int | None = None) -> int:
        return len(self.times(call, session_id))

    def times(self, call: str, session_id: int | None = None) -> list[float]:
        return [at for at, name, id_ in self.calls if name == call and session_id in (None, id_)]

    async def _call(self, call: str, session_id: int) -> None:
        self.calls.append((now(), call, session_id))
        await asyncio.sleep(0.01)
        fault = self.faults[call].pop(0) if self.faults[call] else None
        if fault == HANG or session_id in self.hanging:
            await asyncio.Event().wait()
        if isinstance(fault, Exception):
            raise fault

    def _state(self, session_id: int) -> tuple[str, str | None]:
        since = now() - self.connected_at.get(session_id, float("inf"))
        state: tuple[str, str | None] = (self.resting, None)
        for at, status, code in self.scripts.get(session_id, self.script):
            if since >= at:
                state = (status, code)
        return state

    async def connect_session(self, session_id: SessionId) -> ConnectReply:
        await self._call("connect", session_id)
        self.connected_at.setdefault(session_id, now())
        return self.reply

    async def get_session(self, session_id: SessionId) -> UpstreamSession:
        await self._call("status", session_id)
        return UpstreamSession(session_id, status=(await self._lagging(session_id))[0])

    async def get_qr_code(self, session_id: SessionId) -> str | None:
        await self._call("code", session_id)
        return (await self._lagging(session_id))[1]

    async def _lagging(self, session_id: int) -> tuple[str, str | None]:
        state = self._state(session_id)
        await asyncio.sleep(self.lag_s)
        return state


@dataclass
class World:
    """One database and one WasenderAPI, with any number of gateways."""

    upstream: FakeUpstream = field(default_factory=FakeUpstream)
    store: MemoryStore = field(default_factory=MemoryStore)
    leases: LeaseBoard = field(default_factory=LeaseBoard)
    log: list[tuple[int, str, dict[str, Any]]] = field(default_factory=list)
    linked: list[int] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    roll: Callable[[], float] = lambda: 0.5
    is_log_broken: bool = False

    async def _log(self, session_id: int, event: str, sentence: str, metadata: dict[str, Any]) -> None:
        if self.is_log_broken:
            raise RuntimeError("no trail")
        self.log.append((session_id, event, metadata))

    async def _on_connected(self, session_id: int) -> None:
        await asyncio.sleep(0.05)
        self.linked.append(session_id)

    def events(self, session_id: int = 12) -> list[str]:
        return [event for id_, event, _ in self.log if id_ == session_id]

    def attempt(self, session_id: int = 12) -> Attempt:
        row = self.store.newest(session_id)
        assert row is not None
        return row

    async def until(self, condition: Callable[[], bool], within_s: float = 400.0) -> float:
        """Waits on the virtual clock; the time it took. Fails when the condition does not come true."""
        start = now()
        while not condition():
            assert now() - start < within_s, f"not within {within_s} s"
            await asyncio.sleep(0.01)
        return now() - start

    async def until_ended(self, session_id: int = 12) -> Attempt:
        await self.until(lambda: not self.attempt(session_id).running)
        await asyncio.sleep(1)  # virtual: lets what follows the end happen
        return self.attempt(session_id)

    @asynccontextmanager
    async def gateway(self, name: str = "a") -> AsyncIterator["Gateway"]:
        context = LinkingContext(self.store, self.upstream, self._log, self.limits, now, self.roll)
        linking = Linking(context, self.leases.of(name), on_connected=self._on_connected)

        def bell(ids: Iterable[int]) -> None:
            """As states do it: they read what a bell names, and pass it on."""
            for id_ in ids:
                linking.show(id_, self.store.newest(id_), self.store.status(id_), self.store.row_version(id_))

        self.store.bells.append(bell)
        gateway = Gateway(self, name, linking, asyncio.create_task(linking.run(), name=f"gateway {name}"))
        await asyncio.sleep(0.1)
        try:
            yield gateway
        finally:
            await linking.close()
            await asyncio.wait([gateway.task])
            if not gateway.task.cancelled():
                gateway.task.result()


@dataclass
class Gateway:
    world: World
    name: str
    linking: Linking
    task: asyncio.Task[None]

    async def connect(self, session_id: int = 12) -> Attempt:
        return await self.linking.connect(session_id, ANN)

    async def kill(self) -> None:
        """The process dies: its tasks stop in the middle, and its listening connection ends."""
        self.task.cancel()
        await asyncio.wait([self.task])
        self.world.leases.drop(self.name)

    def flap(self) -> None:
        """The listening connection is lost and comes back at once."""
        self.world.leases.drop(self.name)
        self.linking.on_leases_lost()


# ------------------------------------------------------------------------------------------ scripts

A, B, C = "2@one", "2@two", "2@three"
NEVER = float("inf")


def codes(*codes: str, every_s: float = 20.0, until_s: float = NEVER) -> list[tuple[float, str, str | None]]:
    """The script of a phone that does not come: connecting, then a new code every so often."""
    script: list[tuple[float, str, str | None]] = [(0, "connecting", None)]
    script += [(1 + n * every_s, "need_scan", code) for n, code in enumerate(codes)]
    return [line for line in script if line[0] < until_s]


def scanned_at(at: float, linked_after: float = 1.5, *shown: str) -> list[tuple[float, str, str | None]]:
    script = codes(*(shown or (A, B)), until_s=at)
    return [*script, (at, "connecting", None), (at + linked_after, "connected", None)]


def world(script: list[tuple[float, str, str | None]], **changes: Any) -> World:
    return World(FakeUpstream(script), **changes)
