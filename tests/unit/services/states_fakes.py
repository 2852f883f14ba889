"""Rows of states, a store and an outlet in memory, for the tests of states."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gateway.domain.errors import StoreUnavailable
from gateway.domain.linking import Attempt
from gateway.domain.session import Session, SessionId
from gateway.services.live.session_states import SessionStates
from gateway.services.live.state_publisher import StatePublisher
from gateway.services.live.state_values import CodePictures, StateRow, StateValue, StateValues

DEADLINE_S = 30.0


def session(number: int = 7, **changes: object) -> Session:
    made = Session(
        id=SessionId(number),
        name="Shop",
        phone_number="+49",
        status="connected",
        account_protection=None,
        log_messages=None,
        webhook_url=None,
        webhook_enabled=None,
        webhook_events=None,
        user_info=None,
        last_connected_at=None,
        created_at=None,
        updated_at=datetime(2026, 1, 1, tzinfo=UTC),
        checked_at=None,
        source=None,
        version=1,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def attempt(number: int = 7, **changes: object) -> Attempt:
    now = time.time()
    made = Attempt(
        id=1, session_id=number, holder=None, actor="Ann", started_at=now, moved_at=now, code="2@a", seq=3,
        number=1, issued_at=now, expires_at=now + 45,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


class Store:
    def __init__(self) -> None:
        self.rows: dict[int, StateRow] = {}
        self.asked: list[list[int] | None] = []
        self.failures = 0

    def put(
        self, version: int, held: Session | None = None, link: Attempt | None = None, number: int = 7
    ) -> None:
        self.rows[number] = StateRow(number, version, held, link)

    async def read_states(self, session_ids: Sequence[int] | None) -> list[StateRow]:
        self.asked.append(None if session_ids is None else list(session_ids))
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        if session_ids is None:
            return [row for row in self.rows.values() if row.session is not None]
        return [self.rows.get(number, StateRow(number, 0, None, None)) for number in session_ids]


class SocketTransport:
    def __init__(self) -> None:
        self.published: list[StateValue] = []
        self.watched = {"session:7"}
        self.moved = asyncio.Event()

    def publish_state(self, value: StateValue) -> None:
        self.published.append(value)
        self.moved.set()

    def is_watched(self, topic: str) -> bool:
        return topic in self.watched

    def events(self) -> list[tuple[str, int]]:
        return [(value.event, value.version) for value in self.published]

    async def has(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.published) < count:
                self.moved.clear()
                await self.moved.wait()


class House:
    """States between a store and an outlet, and what was drawn."""

    def __init__(self) -> None:
        self.store = Store()
        self.transport = SocketTransport()
        self.drawn: list[str] = []
        self.changed: list[int] = []
        self._values = StateValues(CodePictures(lambda code: self.draw(code)))
        publisher = StatePublisher(self.transport, self._values)
        self.states = SessionStates(self.store, publisher, on_change=self._on_change)

    def values(self, session_id: int | None = None) -> list[StateValue]:
        """What a client is shown of one session, or of all."""
        if session_id is None:
            return self._values.of_all(self.states.rows())
        return self._values.of_session(self.states.row(session_id))

    def _on_change(
        self, session_id: int, attempt: Attempt | None, status: str | None, row_version: int | None
    ) -> None:
        self.changed.append(session_id)

    def draw(self, code: str) -> str:
        self.drawn.append(code)
        return f"picture of {code}"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.states.open()
        task = asyncio.create_task(self.states.run(), name="states")
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
