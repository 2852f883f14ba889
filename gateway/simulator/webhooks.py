"""Sends webhooks as WasenderAPI does: one URL per session, the plain secret in a header, a few retries.

Lifecycle: each session with something to send has a lane, a task of its own that sends one event after the
other and ends when nothing is left. So the order within a session is kept, and a receiver that hangs delays
only its own session. What is still waiting when the simulator stops is lost, as upstream promises no delivery
either.
"""

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from gateway.simulator.clock import Clock
from gateway.simulator.settings import SimulatorSettings
from gateway.simulator.shapes import PLAIN, Twist

logger = logging.getLogger(__name__)

Outcome = Literal["waiting", "delivered", "failed", "dropped"]


@dataclass(slots=True)
class Delivery:
    """What became of one webhook. Holds no secret and no body."""

    id: int
    session_id: int
    event: str
    url: str
    """Without user, password and query."""
    key_id: str | None
    created_at: float
    attempts: int = 0
    statuses: list[int | str] = field(default_factory=list)
    """Per attempt: the HTTP status, `timeout`, `unreachable`, or `error` (a fault of the simulator)."""
    outcome: Outcome = "waiting"
    finished_at: float | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """One webhook ready to be sent."""

    session_id: int
    event: str
    url: str
    secret: str = field(repr=False)
    envelope: dict[str, Any] = field(repr=False)
    key_id: str | None = None
    twist: Twist = PLAIN

    def body(self) -> bytes:
        """The bytes that are sent; half of them if the fault is `garbage`."""
        text = json.dumps(self.envelope)
        return (text[: len(text) // 2] if "garbage" in self.twist.modes else text).encode()

    def headers(self) -> dict[str, str]:
        """The headers that are sent, with the secret, or a wrong one if that is the fault."""
        headers = {"Content-Type": "application/json", "User-Agent": "WasenderAPI-Simulator"}
        if "wrong_secret" in self.twist.modes:
            headers["X-Webhook-Signature"] = "not-the-secret"
        elif "no_secret" not in self.twist.modes:
            headers["X-Webhook-Signature"] = self.secret
        return headers


def shown_url(url: str) -> str:
    """A URL without what may be secret in it."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


class WebhookSender:
    """Delivers webhooks, in order for each session, and keeps what became of each."""

    def __init__(self, settings: SimulatorSettings, clock: Clock, on_change: Callable[[], None]) -> None:
        self._settings = settings
        self._clock = clock
        self._on_change = on_change
        self._lanes: dict[int, deque[tuple[Letter, Delivery]]] = {}
        self._workers: dict[int, asyncio.Task[None]] = {}
        self._kept: deque[Delivery] = deque(maxlen=settings.max_kept_deliveries)
        self._next_id = 1
        self._http: aiohttp.ClientSession | None = None
        self._tasks: asyncio.TaskGroup | None = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Delivers for as long as the block lasts."""
        # No limit of connections, so that lanes stay independent; the time limit is set around each call.
        # Idle ones end before common servers end them (uvicorn: 5 s), lest a webhook goes into a closing one.
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=3)
        async with (
            aiohttp.ClientSession(connector=connector) as self._http,
            asyncio.TaskGroup() as self._tasks,
        ):
            for session_id in [n for n, lane in self._lanes.items() if lane]:
                self._start(session_id)
            try:
                yield
            finally:
                for worker in self._workers.values():
                    worker.cancel()
                self._tasks = None

    def post(self, letter: Letter) -> list[Delivery]:
        """Puts a webhook into its session's lane, as often as its twist says; returns at once."""
        if "lose" in letter.twist.modes:
            return [self._record(letter, "dropped")]
        deliveries = []
        for _ in range(letter.twist.copies):
            delivery = self._record(letter, "waiting")
            deliveries.append(delivery)
            if letter.twist.delay_ms:
                self._clock.call_later(letter.twist.delay_ms / 1000, partial(self._enqueue, letter, delivery))
            else:
                self._enqueue(letter, delivery)
        return deliveries

    def _record(self, letter: Letter, outcome: Outcome) -> Delivery:
        delivery = Delivery(
            id=self._next_id,
            session_id=letter.session_id,
            event=letter.event,
            url=shown_url(letter.url),
            key_id=letter.key_id,
            created_at=self._clock.now(),
            outcome=outcome,
        )
        self._next_id += 1
        self._kept.append(delivery)
        self._on_change()
        return delivery

    def _enqueue(self, letter: Letter, delivery: Delivery) -> None:
        lane = self._lanes.setdefault(letter.session_id, deque())
        if len(lane) >= self._settings.max_waiting_webhooks:
            self._finish(delivery, "dropped")
            return
        lane.append((letter, delivery))
        self._start(letter.session_id)

    def _start(self, session_id: int) -> None:
        if self._tasks is not None and session_id not in self._workers:
            work = self._send_lane(session_id)
            self._workers[session_id] = self._tasks.create_task(work, name=f"simulator-webhooks-{session_id}")

    async def _send_lane(self, session_id: int) -> None:
        lane = self._lanes[session_id]
        try:
            while lane:
                letter, delivery = lane[0]
                await self._deliver(letter, delivery)
                if lane and lane[0][1] is delivery:  # not forgotten meanwhile
                    lane.popleft()
        finally:
            # No await between the last look at the lane and this: nothing can be put in unseen.
            del self._workers[session_id]

    async def _deliver(self, letter: Letter, delivery: Delivery) -> None:
        pauses = self._settings.webhook_retry_delays_s or (0.0,)
        for attempt in range(self._settings.webhook_retries + 1):
            if attempt:
                await self._clock.sleep(pauses[min(attempt, len(pauses)) - 1])
            if delivery.outcome != "waiting":
                return
            status = await self._attempt(letter)
            delivery.attempts += 1
            delivery.statuses.append(status)
            if isinstance(status, int) and 200 <= status < 300:
                self._finish(delivery, "delivered")
                return
            self._on_change()
        self._finish(delivery, "failed")
        logger.info(
            "simulator.webhook_failed session=%s event=%s attempts=%s last=%s",
            letter.session_id, letter.event, delivery.attempts, delivery.statuses[-1],
        )  # fmt: skip

    async def _attempt(self, letter: Letter) -> int | str:
        assert self._http is not None
        try:
            async with asyncio.timeout(self._settings.webhook_timeout_s):
                async with self._http.post(
                    letter.url, data=letter.body(), headers=letter.headers(), allow_redirects=False
                ) as reply:
                    return reply.status
        except TimeoutError:
            return "timeout"
        except (aiohttp.ClientError, OSError, ValueError):  # ValueError: a URL that is none
            return "unreachable"
        except Exception:  # a lane must outlive a bug in one delivery
            logger.exception("simulator.webhook_error session=%s event=%s", letter.session_id, letter.event)
            return "error"

    def _finish(self, delivery: Delivery, outcome: Outcome) -> None:
        delivery.outcome = outcome
        delivery.finished_at = self._clock.now()
        self._on_change()

    def forget(self, session_id: int) -> None:
        """Drops what waits for a session. One that is on its way now is not called back."""
        for _, delivery in self._lanes.get(session_id, ()):
            self._finish(delivery, "dropped")
        self._lanes.get(session_id, deque()).clear()

    def clear(self) -> None:
        """Forgets what waits and what was delivered."""
        for session_id in list(self._lanes):
            self.forget(session_id)
        self._kept.clear()

    def recent(
        self, *, session_id: int | None = None, event: str | None = None, limit: int = 100
    ) -> list[dict[str, Any]]:
        """The newest deliveries first."""
        rows = [
            asdict(delivery)
            for delivery in reversed(self._kept)
            if (session_id is None or delivery.session_id == session_id)
            and (event is None or delivery.event == event)
        ]
        return rows[:limit]
