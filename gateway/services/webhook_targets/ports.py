"""What webhooks out need of the rooms above: the tables, the streams, the leases, and the way to a receiver."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from gateway.domain.raw_webhooks import RawBody
from gateway.domain.session import SessionSecrets
from gateway.domain.streams import Event, Extent
from gateway.domain.webhook_targets import Answer, Cursor, Mode, Tries, message_id

State = Literal["pending", "delivered", "dead"]
STATES: tuple[State, ...] = ("pending", "delivered", "dead")

Keys = Callable[[int], Awaitable[SessionSecrets | None]]
"""Key and secret of a session; None where it is not known. Raises StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class Target:
    """One row of `gateway.webhook_targets`, without its secrets."""

    id: int
    url: str
    sessions: tuple[int, ...] | None
    events: tuple[str, ...] | None
    mode: Mode
    cursor: Cursor
    paused_reason: str | None = None
    paused_at: datetime | None = None
    delivered_at: datetime | None = None
    created_at: datetime | None = None
    changed_at: datetime | None = None
    waiting: int = 0
    """Deliveries that wait, where they were counted: many are counted up to 10,000."""
    dead: int = 0
    """Dead letters, counted the same way."""


@dataclass(frozen=True, slots=True)
class NewTarget:
    """What a target is made of."""

    url: str
    sessions: tuple[int, ...] | None
    events: tuple[str, ...] | None
    mode: Mode
    created_by: str


@dataclass(frozen=True, slots=True)
class Found:
    """An event of the stream, or a kept webhook, that a target is to be sent."""

    inbox: int
    off: int
    epoch: str
    session_id: int
    chat: str
    event: str


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that may begin."""

    id: int
    inbox: int
    off: int
    epoch: str
    session_id: int
    name: str
    tries: Tries
    made_at: datetime
    event: Event | None
    """None for a reset, for a kept webhook, and where the stream has it no longer."""
    is_raw: bool = False
    """Whether it is a kept webhook: then `epoch` names it."""
    raw: RawBody | None = None
    """The kept webhook; None where it is kept no longer."""

    @property
    def message_id(self) -> str:
        """The id that the receiver is told."""
        return message_id(self.inbox, self.epoch, self.off, self.name, is_raw=self.is_raw)


@dataclass(frozen=True, slots=True)
class Ended:
    """What has become of a delivery, to be written."""

    id: int
    state: State
    tries: Tries
    due_at: float | None = None
    """Unix seconds; None: at once."""
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One delivery as the API lists it."""

    id: int
    message_id: str
    session_id: int
    chat: str
    event: str
    state: State
    failures: int
    answer: str | None
    due_at: datetime | None
    made_at: datetime | None
    ended_at: datetime | None


class TargetStore(Protocol):
    """Targets, for admins. Raises StoreUnavailable, whatever is asked."""

    async def all(self) -> list[Target]:
        """All targets, the oldest first."""

    async def target(self, target_id: int) -> Target | None:
        """The target of that number, if there is one."""

    async def add(self, new: NewTarget, secret: str) -> Target:
        """The new target, which is sent what happens from now on."""

    async def change(self, target_id: int, changes: Mapping[str, Any]) -> Target | None:
        """Changes columns; `secret` is a new one, beside which the former signs for a day. None if there is none."""

    async def delete(self, target_id: int) -> bool:
        """Deletes a target with its deliveries; False if there was none."""

    async def deliveries(
        self, target_id: int, state: State | None, limit: int, before: int | None
    ) -> list[DeliveryRow]:
        """Deliveries below that number, the newest first."""

    async def secrets(self, target_id: int) -> list[str]:
        """What signs: the newest secret, and the former one for as long as it does."""

    async def some_session(self) -> int | None:
        """A session whose key and secret are known, to test a target of all sessions with."""

    async def redrive(self, target_id: int, ids: Collection[int] | None) -> int:
        """Makes dead letters due again, all or those; how many."""


class DeliveryStore(Protocol):
    """What the deliverer of a target reads and writes. Raises StoreUnavailable, whatever is asked."""

    async def target(self, target_id: int) -> Target | None:
        """The target of that number, if there is one."""

    async def active(self) -> tuple[list[int], bool]:
        """Numbers of the targets that are not paused, and whether any target is in raw mode."""

    async def secrets(self, target_id: int) -> list[str]:
        """What signs: the newest secret, and the former one for as long as it does."""

    async def pending(self, target_id: int, most: int) -> int:
        """How many deliveries wait in chats that nothing holds up, counted up to `most`."""

    async def raw_after(self, off: int, limit: int) -> list[Found]:
        """Kept webhooks past that place, in their order."""

    async def add_found(self, target: Target, moved: Cursor, found: Sequence[Found]) -> bool:
        """Adds deliveries and moves the cursor; False if the cursor is not the target's any more."""

    async def due(self, target_id: int, at: float, busy: Collection[int], most: int) -> list[Due]:
        """Deliveries that may begin at that time and are not `busy`: the first of each chat."""

    async def end(self, target_id: int, ended: Sequence[Ended], at: float) -> None:
        """Writes what has become of deliveries."""

    async def pause(self, target_id: int, reason: str) -> None:
        """Nothing is sent any more until an admin resumes."""


class Streams(Protocol):
    """The streams of events. Raises StoreUnavailable."""

    async def extents(self, inboxes: Sequence[int] | None = None) -> dict[int, Extent]:
        """What is kept of these inboxes (None: of all)."""

    async def read_after(
        self, offsets: Mapping[int, int], limit: int, max_bytes: int | None = None
    ) -> list[Event]:
        """Events past the given offsets, ordered by inbox and offset."""


class Leases(Protocol):
    """The right to deliver to a target, in the whole cluster."""

    async def acquire(self, target_id: int) -> bool:
        """Whether this gateway holds the lease now. Raises StoreUnavailable."""

    async def release(self, target_id: int) -> None:
        """Gives the lease back."""


class Receiver(Protocol):
    """The way to the receivers. Never raises what a receiver does."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """One delivery, made once."""
