"""A store and an upstream for senders, both with troubles of their own, and books to compare."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from gateway.domain.errors import StoreUnavailable
from gateway.domain.send_queue import Queue
from gateway.domain.sending import STEPS, Accepted, Answer, NotSent, Refused, Send, SendStatus, Unclear
from gateway.services.sending.ports import QueueView, Start
from tests.clock import now

T = TypeVar("T")

Trouble = Callable[[str], str | None]
"""By the name of a call: None, `before` or `after` (it is done, and its caller does not hear of it)."""


class MemoryStore:
    """The twin of the table. One session."""

    def __init__(self, trouble: Trouble = lambda name: None) -> None:
        self.rows: dict[int, Send] = {}
        self.were_unknown: set[int] = set()
        self.wrote: set[str] = set()
        self.connected = True
        self.protected = False
        self.fetched_at: float | None = None
        self.holder: str | None = None
        self.queue: Queue | None = None
        self.trouble = trouble
        self.late_commits: list[Callable[[], Start]] = []
        """Starts whose commit is still under way after their sender has given up."""
        self.given_up = asyncio.Event()
        self.changed = asyncio.Event()

    def write(self, chat: str, *, send_at: float | None = None, content: str = "ok") -> Send:
        send = Send(len(self.rows) + 1, chat, queued_at=now(), content=content, send_at=send_at)
        self.put(send)
        return send

    def connect(self, connected: bool) -> None:
        if connected != self.connected:
            self.connected = connected

    def put(self, send: Send) -> None:
        former = self.rows.get(send.id)
        assert former is None or former.status == send.status or send.status in STEPS[former.status]
        self.rows[send.id] = send
        if send.status is SendStatus.UNKNOWN:
            self.were_unknown.add(send.id)
        self.changed.set()
        self.changed = asyncio.Event()

    async def _reached(self, name: str) -> str | None:
        """Lets time pass on the way; what is to go wrong on the way back is returned."""
        trouble = self.trouble(name)
        await asyncio.sleep(0.001)
        if trouble == "before":
            raise StoreUnavailable(f"Postgres is away ({name}).")
        return trouble

    async def take(self, session_id: int, holder: str) -> Queue | None:
        await self._reached("take")
        self.holder = holder
        return self.queue

    async def view(self, session_id: int, holder: str) -> QueueView | None:
        await self._reached("view")
        if holder != self.holder:
            return None
        waiting = (SendStatus.QUEUED, SendStatus.SENDING)
        sends = [send for send in self.rows.values() if send.status in waiting]
        trial = None if self.queue is None else self.rows.get(self.queue.trial or 0)
        return QueueView(
            sends,
            frozenset(self.wrote),
            self.connected,
            self.protected,
            trial=None if trial is None else trial.status,
            fetched_at=self.fetched_at,
        )

    async def row(self, send_id: int) -> Send | None:
        await self._reached("row")
        return self.rows.get(send_id)

    async def begin(self, session_id: int, holder: str, before: Send, after: Send) -> Start:
        trouble = await self._reached("begin")
        if trouble == "late":
            self.late_commits.append(partial(self._begin, holder, before, after))
            self.given_up.set()
            raise StoreUnavailable("Postgres is away (begin).")
        start = self._begin(holder, before, after)
        return self._heard(trouble, start)

    @staticmethod
    def _heard(trouble: str | None, done: T) -> T:
        if trouble == "after":
            raise StoreUnavailable("Postgres is away; it was done.")
        return done

    def _begin(self, holder: str, before: Send, after: Send) -> Start:
        if holder != self.holder:
            return Start.FENCED
        if self.rows[before.id] != before:
            return Start.CHANGED
        self.put(after)
        return Start.BEGUN

    async def replace(self, before: Send, after: Send) -> bool:
        trouble = await self._reached("replace")
        current = self.rows[before.id]
        done = (current.call, current.status) == (before.call, before.status)
        if done:
            self.put(after)
        return self._heard(trouble, done)

    async def save_queue(self, session_id: int, holder: str, queue: Queue) -> None:
        await self._reached("save_queue")
        if holder == self.holder:
            self.queue = queue


@dataclass
class FakeUpstream:
    """Takes messages, or not, and answers, or not."""

    moods: Callable[[], str] = lambda: "accepts"
    delay_s: Callable[[], float] = lambda: 0.2
    accepted: list[tuple[int, int]] = field(default_factory=list)
    """Row and attempt, in upstream's order."""
    calls: Counter[tuple[int, int]] = field(default_factory=Counter)
    at_once: int = 0
    most_at_once: int = 0
    keys: list[str] = field(default_factory=list)

    async def send(self, api_key: str, payload: Mapping[str, Any], /) -> Answer:
        mood = self.moods()
        place = (payload["id"], payload["attempt"])
        self.keys.append(api_key)
        self.calls[place] += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.delay_s() / 2)
            if mood in ("accepts", "accepts_silently"):
                self.accepted.append(place)
            number = 100_000 + len(self.accepted)
            await asyncio.sleep(self.delay_s() / 2)
        finally:
            self.at_once -= 1
        match mood:
            case "accepts":
                return Accepted(number)
            case "accepts_silently" | "resets":
                return Unclear("WasenderAPI did not answer.")
            case "limits":
                return NotSent("rate_limit", "slow", 4.0)
            case "refuses":
                return Refused("JID does not exist", "not_on_whatsapp")
            case "not_connected" | "unauthorized" | "not_reached" | "gone":
                return NotSent(mood, mood)
        raise AssertionError(mood)


@dataclass
class FakePreparation:
    """Knows one key, and makes a body that says which attempt it is for."""

    keys: list[str | None] = field(default_factory=lambda: ["key"])
    refused: dict[int, Refused] = field(default_factory=dict)
    troubles: dict[int, Iterator[Exception]] = field(default_factory=dict)
    """By row, what making its body comes to, one after the other."""
    fetched: int = 0

    async def key_of(self, session_id: int, *, fresh: bool) -> str | None:
        self.fetched += fresh
        return self.keys[min(self.fetched, len(self.keys) - 1)]

    async def payload_of(self, send: Send) -> Mapping[str, Any] | Refused:
        if (trouble := next(self.troubles.get(send.id, iter(())), None)) is not None:
            raise trouble
        return self.refused.get(send.id) or {"id": send.id, "attempt": send.attempt + 1}
