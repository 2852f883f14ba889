"""A deliverer in a world of its own: tables, streams and receiver in memory, and a clock that is moved."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest

from gateway.domain.errors import StoreUnavailable
from gateway.domain.session import SessionSecrets
from gateway.domain.streams import Event, Extent, Inbox
from gateway.domain.webhook_targets import HELD_S, RESET, Answer, Cursor, Tries
from gateway.services.webhook_targets import deliverer as module
from gateway.services.webhook_targets.deliverer import Deliverer, DeliveryContext, DeliveryPace
from gateway.services.webhook_targets.ports import Due, Ended, Found, Target

NOW = 1_800_000_000.0
EPOCH = "6f1c9b1e-9d0c-4a57-8f0e-0c9f0f3f6f11"


class World:
    """Everything that a deliverer is given."""

    def __init__(self) -> None:
        self.now = NOW
        self.events: list[Event] = []
        self.epoch = EPOCH
        self.floor = 0
        self.row: Target | None = Target(1, "https://shop.example/", None, None, "standard", {})
        self.waiting: dict[int, tuple[Found, Ended]] = {}
        self.states: dict[int, str] = {}
        self.sent: list[tuple[str, str]] = []
        self.taken: list[tuple[str, str]] = []
        self.answer = Answer(200)
        self.is_away = False
        self.takes_no_ends = False
        self.holder = True
        self.turns = 0
        self.moved = asyncio.Event()

    def write(self, chat: str, text: str) -> None:
        """A customer's message, committed."""
        off = len(self.events) + 1
        record = {"id": off, "chat": chat, "message_text": text, "wasender_session_id": 12}
        self.events.append(
            Event(
                Inbox(12),
                off,
                "whatsapp_incoming_messages",
                "INSERT",
                "2026-11-30T00:00:00Z",
                record,
                {"id": off},
            )
        )

    # ------------------------------------------------------------------------------------------ store

    def _check(self) -> None:
        if self.is_away:
            raise StoreUnavailable("Postgres is away.")

    async def target(self, target_id: int) -> Target | None:
        self.turns += 1
        self.moved.set()
        self._check()
        return self.row

    async def active(self) -> tuple[list[int], bool]:
        return [1], False

    async def secrets(self, target_id: int) -> list[str]:
        return ["whsec_c2VjcmV0LW9mLXRoZS10ZXN0cw=="]

    async def pending(self, target_id: int, most: int) -> int:
        self._check()
        return len(self.waiting)

    async def raw_after(self, off: int, limit: int) -> list[Found]:
        return []

    async def keys(self, session_id: int) -> SessionSecrets | None:
        return None

    async def add_found(self, target: Target, moved: Cursor, found: Sequence[Found]) -> bool:
        self._check()
        assert self.row is not None
        if self.row.cursor != target.cursor:
            return False
        self.row = replace(self.row, cursor=moved)
        for item in found:
            number = len(self.states) + 1
            self.states[number] = "pending"
            self.waiting[number] = (item, Ended(number, "pending", Tries()))
        return True

    async def due(self, target_id: int, at: float, busy: Collection[int], most: int) -> list[Due]:
        self._check()
        heads: dict[str, int] = {}
        for number, (item, _) in sorted(self.waiting.items()):
            heads.setdefault(item.chat, number)
        return [
            self._due(number)
            for number in sorted(heads.values())
            if number not in busy and (self.waiting[number][1].due_at or 0.0) <= at
        ][:most]

    def _due(self, number: int) -> Due:
        item, standing = self.waiting[number]
        event = None if item.event == RESET or item.off <= self.floor else self.events[item.off - 1]
        made_at = datetime.fromtimestamp(self.now, UTC)
        return Due(
            number,
            item.inbox,
            item.off,
            item.epoch,
            item.session_id,
            item.event,
            standing.tries,
            made_at,
            event,
        )

    async def end(self, target_id: int, ended: Sequence[Ended], at: float) -> None:
        self._check()
        if self.takes_no_ends:
            raise StoreUnavailable("Postgres is away.")
        for item in ended:
            self.states[item.id] = item.state
            if item.state == "pending":
                self.waiting[item.id] = (self.waiting[item.id][0], item)
            else:
                del self.waiting[item.id]

    async def pause(self, target_id: int, reason: str) -> None:
        assert self.row is not None
        self.row = replace(self.row, paused_reason=reason)

    # ------------------------------------------------------------------------------------------ streams, receiver

    async def extents(self, inboxes: Sequence[int] | None = None) -> dict[int, Extent]:
        self._check()
        return {12: Extent(len(self.events), self.floor, self.epoch)}

    async def read_after(
        self, offsets: Mapping[int, int], limit: int, max_bytes: int | None = None
    ) -> list[Event]:
        return [event for event in self.events if event.off > max(offsets.get(12, 10**9), self.floor)][:limit]

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        said = orjson.loads(body)
        named = headers["webhook-id"], str(said["data"].get("message_text", said["type"]))
        self.sent.append(named)
        self.moved.set()
        await asyncio.sleep(0)
        if self.answer.status == 200:
            self.taken.append(named)
        return self.answer

    async def acquire(self, target_id: int) -> bool:
        return self.holder

    async def release(self, target_id: int) -> None:
        return None


HASTY = DeliveryPace(rest_s=0.0, tick_s=0.001, idle_s=0.001)
"""Turns follow each other at once."""


def deliverer_of(world: World) -> Deliverer:
    context = DeliveryContext(
        world, world, world, world, world.keys, UTC, lambda: world.now, lambda: 1.0, pace=HASTY
    )
    return Deliverer(1, context)


@contextlib.asynccontextmanager
async def delivering(world: World) -> AsyncIterator[Deliverer]:
    """A deliverer at work; it ends with the block, as the gateway ends it."""
    one = deliverer_of(world)
    task = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        one.close()
        await asyncio.wait_for(task, 10)


async def until(world: World, is_so: Callable[[], bool]) -> None:
    """Lets the deliverer work until it is so."""
    async with asyncio.timeout(20):
        while not is_so():
            await world.moved.wait()
            world.moved.clear()


async def turns(world: World, count: int) -> None:
    """Lets the deliverer look so many times."""
    end = world.turns + count
    await until(world, lambda: world.turns >= end)


def texts(sent: list[tuple[str, str]]) -> list[str]:
    return [text for _, text in sent]


async def test_each_chat_is_sent_in_order_and_every_event_once() -> None:
    world = World()
    for number in range(200):
        world.write(f"{number % 7}@s.whatsapp.net", f"{number % 7}:{number:03}")
    async with delivering(world):
        await until(world, lambda: len(world.taken) == 200)
    for chat in range(7):
        mine = [text for text in texts(world.sent) if text.startswith(f"{chat}:")]
        assert mine == sorted(mine)
    assert len({name for name, _ in world.sent}) == len(world.sent) == 200


async def test_many_chats_are_all_sent_while_writing_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    for number in range(3 * module.READY):
        world.write(f"{number}@s.whatsapp.net", str(number))
    end = world.end

    async def slowly(target_id: int, ended: Sequence[Ended], at: float) -> None:
        for _ in range(50):  # what was under way ends meanwhile
            await asyncio.sleep(0)
        await end(target_id, ended, at)

    monkeypatch.setattr(world, "end", slowly)
    async with delivering(world):
        await until(world, lambda: len(world.taken) == 3 * module.READY)


async def test_a_receiver_that_is_away_for_two_hours_costs_few_tries_and_no_event() -> None:
    world = World()
    world.answer = Answer(None, "connection refused")
    for number in range(100):
        world.write(f"{number % 50}@s.whatsapp.net", str(number))
    async with delivering(world):
        for _ in range(240):
            world.now += 30.0
            tried = len(world.sent)
            await turns(world, 3)
            assert len(world.sent) <= tried + module.AT_ONCE
        assert len(world.sent) < 60, "a receiver that is away is asked by one event at a time"
        world.answer = Answer(200)
        world.now += 601.0
        await until(world, lambda: len(world.taken) == 100)
    assert len({name for name, _ in world.taken}) == len(world.taken)
    assert set(world.states.values()) == {"delivered"}


async def test_what_a_receiver_took_while_the_store_was_away_is_not_sent_again() -> None:
    world = World()
    world.write("a", "one")
    world.takes_no_ends = True
    async with delivering(world):
        await until(world, lambda: len(world.sent) == 1)
        await turns(world, 2)
        world.is_away = True
        await turns(world, 2)
        world.write("a", "two")
        world.is_away = world.takes_no_ends = False
        await until(world, lambda: len(world.taken) == 2)
    assert texts(world.sent) == ["one", "two"]


async def test_a_refused_event_is_a_dead_letter_after_a_day_and_its_chat_goes_on() -> None:
    world = World()
    world.write("a", "poison")
    world.answer = Answer(500)
    async with delivering(world):
        await until(world, lambda: world.waiting != {} and world.waiting[1][1].tries.failures > 0)
        world.write("a", "next")
        world.now += HELD_S
        await until(world, lambda: world.states[1] == "dead")
        world.answer = Answer(200)
        world.now += 601.0
        await until(world, lambda: texts(world.taken) == ["next"])


async def test_a_paused_target_is_left_alone_and_its_event_waits() -> None:
    world = World()
    world.answer = Answer(401)
    world.write("a", "one")
    one = deliverer_of(world)
    await asyncio.wait_for(one.run(), 10)
    assert world.row is not None
    assert "401" in str(world.row.paused_reason)
    assert world.states == {1: "pending"}
    assert len(world.sent) == 1


async def test_a_new_history_is_told_once_and_what_follows_it_is_sent() -> None:
    world = World()
    world.write("a", "one")
    async with delivering(world):
        await until(world, lambda: len(world.taken) == 1)
        world.epoch = EPOCH.replace("6", "7")
        world.write("a", "two")
        await until(world, lambda: len(world.taken) == 3)
    assert sorted(texts(world.taken)) == [RESET, "one", "two"]


async def test_without_the_lease_nothing_is_sent() -> None:
    world = World()
    world.holder = False
    world.write("a", "one")
    await asyncio.wait_for(deliverer_of(world).run(), 10)
    assert world.sent == []
