"""What the hunt does to a town. Each trouble is a sentence in the plan, begins, lasts, and ends by itself."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import asyncpg

from tests.faults.browser import Browser
from tests.faults.proxy import Proxy
from tests.faults.restores import Restores
from tests.faults.town import APPLICATIONS, House, Town

KEEPALIVE_S = 19.0
"""When TCP itself finds out that nobody is there: ten seconds of silence, and three questions three seconds apart."""


@dataclass(frozen=True, slots=True)
class Trouble:
    at_s: float
    kind: str
    house: int
    lasts_s: float
    size: float
    """0 … 1: what it means depends on the kind."""

    def __str__(self) -> str:
        return (
            f"{self.at_s:5.2f} s  {self.kind} (gateway {self.house}, {self.lasts_s:.2f} s, {self.size:.2f})"
        )


class Scene:
    """What troubles act on. Troubles of the same thing queue up, so that one does not undo another's middle."""

    def __init__(self, town: Town, browsers: Sequence[Browser], restores: Restores) -> None:
        self.town = town
        self.browsers = browsers
        self.restores = restores
        self.server_turn = asyncio.Lock()
        self.house_turns = [asyncio.Lock() for _ in town.houses]


Act = Callable[[Scene, Trouble], Awaitable[None]]
_acts: dict[str, tuple[Act, float]] = {}


def _trouble(kind: str, weight: float = 1.0) -> Callable[[Act], Act]:
    def register(act: Act) -> Act:
        _acts[kind] = act, weight
        return act

    return register


def plan(dice: random.Random, houses: int, within_s: float) -> list[Trouble]:
    """Four to ten troubles."""
    kinds, weights = list(_acts), [weight for _, weight in _acts.values()]
    chosen = dice.choices(kinds, weights, k=dice.randint(4, 10))
    troubles = [
        Trouble(
            dice.random() * within_s,
            kind,
            dice.randrange(houses),
            0.1 + dice.random() ** 2 * 3,
            dice.random(),
        )
        for kind in chosen
    ]
    return sorted(troubles, key=lambda trouble: trouble.at_s)


async def make(scene: Scene, troubles: Sequence[Trouble]) -> None:
    """All of them at their times; returns when the last has ended."""
    async with asyncio.TaskGroup() as group:
        for trouble in troubles:
            group.create_task(_one(scene, trouble), name=trouble.kind)


async def _one(scene: Scene, trouble: Trouble) -> None:
    await asyncio.sleep(trouble.at_s)
    scene.restores.ledger.events[trouble.kind] += 1
    await _acts[trouble.kind][0](scene, trouble)


def _house(scene: Scene, trouble: Trouble) -> House:
    return scene.town.houses[trouble.house]


# ---------------------------------------------------------------------------------------------- gateways


@_trouble("kill -9 the gateway", 2)
async def _kill(scene: Scene, trouble: Trouble) -> None:
    async with scene.house_turns[trouble.house]:
        child = _house(scene, trouble).child
        await child.kill()
        await asyncio.sleep(trouble.lasts_s / 3)
        await child.start_when_possible()


@_trouble("stop the gateway")
async def _stop(scene: Scene, trouble: Trouble) -> None:
    async with scene.house_turns[trouble.house]:
        child = _house(scene, trouble).child
        await child.stop()
        await child.start_when_possible()


@_trouble("freeze the gateway", 1.5)
async def _freeze(scene: Scene, trouble: Trouble) -> None:
    async with scene.house_turns[trouble.house]:
        child = _house(scene, trouble).child
        child.freeze()
        await asyncio.sleep(trouble.lasts_s)
        child.thaw()


# ---------------------------------------------------------------------------------------------- Postgres


@_trouble("restart Postgres immediately", 1.5)
async def _crash(scene: Scene, trouble: Trouble) -> None:
    async with scene.server_turn:
        await scene.town.server.crash()


@_trouble("Postgres is away")
async def _away(scene: Scene, trouble: Trouble) -> None:
    async with scene.server_turn, scene.town.server.away():
        await asyncio.sleep(trouble.lasts_s)


@_trouble("Postgres is read-only")
async def _read_only(scene: Scene, trouble: Trouble) -> None:
    async with scene.server_turn, scene.town.server.read_only():
        await asyncio.sleep(trouble.lasts_s)


@_trouble("end the listeners' backends", 1.5)
async def _end_listeners(scene: Scene, trouble: Trouble) -> None:
    await _end_backends(scene, APPLICATIONS[1:])


@_trouble("end all backends of the gateways")
async def _end_all(scene: Scene, trouble: Trouble) -> None:
    await _end_backends(scene, APPLICATIONS)


async def _end_backends(scene: Scene, names: Sequence[str]) -> None:
    async with scene.server_turn:
        connection = await asyncpg.connect(scene.town.dsn)
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = ANY ($1) AND datname = current_database()",
                list(names),
            )
        finally:
            await connection.close()


@_trouble("lock the table")
async def _lock(scene: Scene, trouble: Trouble) -> None:
    async with scene.server_turn:
        connection = await asyncpg.connect(scene.town.dsn)
        try:
            async with connection.transaction():
                await connection.execute(
                    "LOCK TABLE whatsapp_incoming_messages IN ACCESS EXCLUSIVE MODE", timeout=3
                )
                await asyncio.sleep(trouble.lasts_s)
        except TimeoutError:
            pass
        finally:
            connection.terminate()


@_trouble("restore a dump", 1.5)
async def _restore(scene: Scene, trouble: Trouble) -> None:
    """Into another database or over the same tables; now and then a dump that was restored before."""
    restores = scene.restores
    if restores.dumps and trouble.size % 0.5 < 0.15:
        dump = restores.dumps[0]
    else:
        async with scene.server_turn:
            dump = await restores.dump()
        await asyncio.sleep(trouble.lasts_s / 2)
    over = trouble.size < 0.5
    async with scene.server_turn:
        if await restores.restore(dump, over=over):
            restores.ledger.events[
                "restored over the tables" if over else "restored into another database"
            ] += 1
        else:
            restores.ledger.events["restore that met a deadlock each time"] += 1


# ---------------------------------------------------------------------------------------------- networks


def _wire(scene: Scene, trouble: Trouble) -> Proxy:
    house = _house(scene, trouble)
    return house.to_postgres if trouble.size < 0.6 else house.to_clients


@_trouble("cut connections", 1.5)
async def _cut(scene: Scene, trouble: Trouble) -> None:
    _wire(scene, trouble).cut()


@_trouble("a black hole", 1.5)
async def _black_hole(scene: Scene, trouble: Trouble) -> None:
    wire = _wire(scene, trouble)
    wire.hold()
    await asyncio.sleep(trouble.lasts_s)
    wire.release()


@_trouble("half-open connections", 1.5)
async def _half_open(scene: Scene, trouble: Trouble) -> None:
    _wire(scene, trouble).half_open(KEEPALIVE_S)


@_trouble("delays")
async def _delay(scene: Scene, trouble: Trouble) -> None:
    wire = _wire(scene, trouble)
    wire.delay_s = 0.05 + trouble.size * 0.3
    await asyncio.sleep(trouble.lasts_s)
    wire.delay_s = 0.0


@_trouble("slices")
async def _slice(scene: Scene, trouble: Trouble) -> None:
    wire = _wire(scene, trouble)
    wire.slice_bytes = 1 + int(trouble.size * 100)
    await asyncio.sleep(trouble.lasts_s)
    wire.slice_bytes = None


@_trouble("a narrow line")
async def _narrow(scene: Scene, trouble: Trouble) -> None:
    wire = _wire(scene, trouble)
    wire.bytes_per_s = 5_000 + trouble.size * 50_000
    await asyncio.sleep(trouble.lasts_s)
    wire.bytes_per_s = None


@_trouble("refused connections")
async def _refuse(scene: Scene, trouble: Trouble) -> None:
    wire = _wire(scene, trouble)
    wire.is_refusing = True
    await asyncio.sleep(trouble.lasts_s)
    wire.is_refusing = False


# ---------------------------------------------------------------------------------------------- clients


def _some(scene: Scene, trouble: Trouble) -> Sequence[Browser]:
    count = 1 + int(trouble.size * (len(scene.browsers) - 1))
    return scene.browsers[:count]


@_trouble("clients leave")
async def _leave(scene: Scene, trouble: Trouble) -> None:
    for browser in _some(scene, trouble):
        browser.leave()


@_trouble("clients read nothing", 1.5)
async def _stall(scene: Scene, trouble: Trouble) -> None:
    browsers = _some(scene, trouble)
    for browser in browsers:
        browser.stall()
    await asyncio.sleep(trouble.lasts_s)
    for browser in browsers:
        browser.go_on()
