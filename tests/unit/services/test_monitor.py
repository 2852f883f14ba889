"""Looking after all sessions: when, by whom, and what a probe asks. On the virtual clock."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from gateway.domain.errors import GatewayError, SessionNotFound, UpstreamFailed, UpstreamUnauthorized
from gateway.domain.session import SYSTEM, Actor, Heard, SessionId, SessionSecrets, StatusSource
from gateway.domain.webhook_health import WebhookState
from gateway.services.sessions.monitor import DEFAULT_PACE, Monitor, MonitorPace
from gateway.services.sessions.reconcile import SyncReport
from gateway.services.sessions.status_probe import StatusProbe
from gateway.services.sessions.webhook_watch import SessionFacts, WebhookWatch
from tests.clock import now, virtual_time
from tests.unit.services.link_fakes import LeaseBoard


@dataclass
class World:
    """One database and one WasenderAPI, with any number of gateways."""

    leases: LeaseBoard = field(default_factory=LeaseBoard)
    syncs: list[tuple[float, str]] = field(default_factory=list)
    quiet: list[int] = field(default_factory=list)
    keys: dict[int, str | None] = field(default_factory=dict)
    upstream_keys: dict[int, str] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    """By the key they are asked with."""
    asked: list[str] = field(default_factory=list)
    refreshed: list[int] = field(default_factory=list)
    recorded: list[tuple[int, str, str]] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    fault: Exception | None = None
    roll: float = 0.5
    first_s: float = 0.0

    def upkeep(self, name: str = "a") -> "House":
        return House(self, name)

    @contextlib.asynccontextmanager
    async def running(self, *names: str) -> AsyncIterator[dict[str, asyncio.Task[None]]]:
        tasks = {name: asyncio.create_task(self.upkeep(name).upkeep.run(), name=name) for name in names}
        try:
            yield tasks
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.wait(tasks.values())


class House:
    """One gateway's upkeep, and all that it needs."""

    def __init__(self, world: World, name: str) -> None:
        self.world, self.name = world, name
        probe = StatusProbe(self, self, self, clock=now)
        webhooks = WebhookWatch(self, self, None, clock=now)
        pace = MonitorPace(first_s=world.first_s, roll=lambda: world.roll)
        self.upkeep = Monitor(self, probe, webhooks, world.leases.of(name), pace=pace)

    async def sync(self, actor: Actor = SYSTEM) -> SyncReport:
        if self.world.fault is not None:
            raise self.world.fault
        self.world.syncs.append((now(), self.name))
        return SyncReport()

    async def quiet_sessions(self, quiet_s: float, limit: int) -> list[int]:
        quiet, self.world.quiet = self.world.quiet[:limit], []
        return quiet

    async def note_probe(self, session_id: int) -> None: ...
    async def facts(self) -> list[SessionFacts]:
        return []

    async def show_webhook(self, session_id: int, state: WebhookState, note: str) -> None: ...
    async def former_urls(self, now: str) -> list[str]:
        return []

    async def forget_former_urls(self, now: str) -> None: ...
    async def repair_webhook(self, session_id: int, actor: Actor) -> None: ...

    async def secrets(self, session_id: int) -> SessionSecrets | None:
        return SessionSecrets(SessionId(session_id), self.world.keys.get(session_id), None)

    async def refresh_secrets(self, session_id: int) -> SessionSecrets | None:
        self.world.refreshed.append(session_id)
        if session_id not in self.world.upstream_keys:
            raise SessionNotFound("no such session")
        self.world.keys[session_id] = self.world.upstream_keys[session_id]
        return await self.secrets(session_id)

    async def get_status(self, api_key: str) -> str:
        self.world.asked.append(api_key)
        if api_key not in self.world.statuses:
            raise UpstreamUnauthorized("Invalid API key")
        return self.world.statuses[api_key]

    async def record_status(self, session_id: int, status: str, source: StatusSource, as_of: float) -> Heard:
        self.world.recorded.append((session_id, status, source))
        return Heard(is_changed=True, is_old=False)

    async def mark_gone(self, session_id: int) -> bool:
        self.world.gone.append(session_id)
        return True


@virtual_time
async def test_a_sync_is_made_at_the_start_and_every_ten_minutes_give_or_take() -> None:
    w = World()
    async with w.running("a"):
        await asyncio.sleep(3 * 3600)

    times = [at for at, _ in w.syncs]
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    assert times[0] < now() - 3 * 3600 + 10
    assert all(0.8 * DEFAULT_PACE.sync_every_s <= gap <= 1.2 * DEFAULT_PACE.sync_every_s + 75 for gap in gaps)


@virtual_time
async def test_of_many_gateways_one_looks_after_the_sessions_and_another_when_it_dies() -> None:
    w = World()
    async with w.running("a", "b", "c") as tasks:
        await asyncio.sleep(3600)
        (first,) = {name for _, name in w.syncs}
        assert 5 <= len(w.syncs) <= 8
        tasks[first].cancel()
        w.leases.drop(first)
        before = len(w.syncs)
        await asyncio.sleep(3600)

    (second,) = {name for _, name in w.syncs[before:]}
    assert second != first


@virtual_time
async def test_gateways_that_start_together_do_not_sync_in_the_same_instant() -> None:
    starts = []
    for roll in (0.0, 0.5, 0.99):
        w = World(roll=roll)
        began = now()
        async with w.running("a"):
            await asyncio.sleep(10)
        starts.append(w.syncs[0][0] - began)

    assert starts[0] < starts[1] < starts[2]


@virtual_time
async def test_the_first_round_waits_for_as_long_as_it_is_told() -> None:
    w = World(first_s=86_400)
    async with w.running("a"):
        await asyncio.sleep(86_400 - 1)
        assert w.syncs == []
        await asyncio.sleep(10)
        assert len(w.syncs) == 1


@virtual_time
async def test_nothing_that_fails_in_a_round_ends_the_upkeep() -> None:
    for fault in (UpstreamFailed("500"), ZeroDivisionError("a bug")):
        w = World(fault=fault)
        async with w.running("a") as tasks:
            await asyncio.sleep(600)
            w.fault = None
            await asyncio.sleep(2 * DEFAULT_PACE.sync_every_s)
            assert not tasks["a"].done()
        assert w.syncs


@virtual_time
async def test_a_quiet_session_is_asked_with_its_own_key() -> None:
    w = World(quiet=[12], keys={12: "K"}, statuses={"K": "LOGGED_OUT"})
    async with w.running("a"):
        await asyncio.sleep(60)

    assert w.asked == ["K"]
    assert w.recorded == [(12, "logged_out", "probe")]


@virtual_time
async def test_a_key_that_is_refused_is_fetched_anew_and_asked_with_once_more() -> None:
    w = World(quiet=[12, 13], keys={12: "old", 13: "dead"}, upstream_keys={12: "new", 13: "dead"})
    w.statuses = {"new": "connected"}
    async with w.running("a"):
        await asyncio.sleep(60)

    assert w.asked == ["old", "new", "dead"]
    assert w.refreshed == [12, 13]
    assert w.recorded == [(12, "connected", "probe")]


@virtual_time
async def test_a_session_whose_key_cannot_be_fetched_because_it_is_gone_is_gone() -> None:
    w = World(quiet=[12, 13], keys={12: None, 13: "K"}, statuses={"K": "connected"})
    async with w.running("a"):
        await asyncio.sleep(60)

    assert w.gone == [12]
    assert w.recorded == [(13, "connected", "probe")]


@virtual_time
async def test_a_probe_that_fails_stops_no_other() -> None:
    w = World(quiet=[12, 13], keys={12: "broken", 13: "K"}, statuses={"K": "connected"})

    class Broken(House):
        async def get_status(self, api_key: str) -> str:
            if api_key == "broken":
                raise GatewayError("no")
            return await super().get_status(api_key)

    house = Broken(w, "a")
    await house.upkeep.round()
    assert w.recorded == [(13, "connected", "probe")]
