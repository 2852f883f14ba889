"""What a sender needs from the rooms around it. They satisfy the protocols by shape; `runtime` passes them in."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Protocol

from gateway.domain.media import MediaKind
from gateway.domain.send_queue import Queue, Terms
from gateway.domain.sending import Answer, Refused, Send, SendStatus
from gateway.domain.session import iso_utc


@dataclass(frozen=True, slots=True)
class QueueView:
    """A session's queue as it stands: what can be next, and what decides about it."""

    sends: Collection[Send]
    """Of each chat the next due row, the next one to become due, and rows in `sending`; more do no harm."""
    wrote: frozenset[str]
    """Of their chats, those that ever wrote."""
    connected: bool
    protected: bool
    """WasenderAPI's account protection is on."""
    is_gone: bool = False
    """WasenderAPI has no such session any more."""
    restricted_at: float | None = None
    """When a webhook last told that WhatsApp refuses first contacts."""
    trial: SendStatus | None = None
    """How far the queue's trial has come; None if its row is gone."""
    fetched_at: float | None = None
    """When WasenderAPI last gave the session itself: a later time than before says that it is there."""


@dataclass(frozen=True, slots=True)
class Shown:
    """How a queue stands, as viewers are told."""

    queued: int = 0
    next_at: float | None = None
    paused_until: float | None = None
    reason: str | None = None

    def data(self) -> dict[str, Any]:
        """As part `sending` of the session's state."""
        return {
            "queued": self.queued,
            "next_at": _iso(self.next_at),
            "paused_until": _iso(self.paused_until),
            "reason": self.reason,
        }


def _iso(at: float | None) -> str | None:
    return None if at is None or at == float("-inf") else iso_utc(datetime.fromtimestamp(round(at), UTC))


class Start(Enum):
    """What became of the wish to begin a call."""

    BEGUN = "begun"
    CHANGED = "changed"
    """The row does not stand as it was read: it was cancelled or edited."""
    FENCED = "fenced"
    """Another sender has taken the queue."""


class SendStore(Protocol):
    """The rows of messages on their way out. Every call raises StoreUnavailable.

    A change is written only if the row still stands as its author read it: same call, same status. The start of a
    call is fenced besides: only the session's newest holder may begin one.
    """

    async def take(self, session_id: int, holder: str) -> Queue | None:
        """Makes `holder` the only one that may begin calls; gives what the former one knew of the queue."""

    async def view(self, session_id: int, holder: str) -> QueueView | None:
        """What decides about the next step; None if another sender has taken the queue."""

    async def row(self, send_id: int) -> Send | None:
        """The row as it stands; None if it is gone."""

    async def begin(self, session_id: int, holder: str, before: Send, after: Send) -> Start:
        """Commits `sending` before a call. Unless it is BEGUN, no call may follow."""

    async def replace(self, before: Send, after: Send) -> bool:
        """Commits a change of status. False if the row has changed since `before` was read."""

    async def save_queue(self, session_id: int, holder: str, queue: Queue) -> None:
        """Keeps what is known of the queue. Does nothing for a former holder."""


class QueueStore(SendStore, Protocol):
    """Queues of all sessions. Every call raises StoreUnavailable."""

    async def fault(self) -> str | None:
        """Why nothing can be sent from the table; None if it can."""

    async def busy_sessions(self) -> list[int]:
        """Sessions with something to send, or to find out."""

    async def count(self, session_id: int) -> int:
        """How many messages wait."""

    async def show(self, session_id: int, holder: str, shown: Shown) -> None:
        """Tells viewers how the queue stands. Does nothing for a former holder."""


class Leases(Protocol):
    """The right to send a session's queue, while the listening connection lives."""

    async def acquire(self, session_id: int) -> bool:
        """Whether this process holds the lease now. Never waits for another holder."""

    async def release(self, session_id: int) -> None:
        """Gives the lease back, so that another gateway may take it at once."""


class Upstream(Protocol):
    """WasenderAPI, as far as sending goes. Never raises what upstream does."""

    async def send(self, api_key: str, payload: Mapping[str, Any], /) -> Answer:
        """One call, made once."""


class Preparation(Protocol):
    """What has to be there before a call begins."""

    async def key_of(self, session_id: int, *, fresh: bool) -> str | None:
        """The session's API key; fetched from upstream if `fresh`. None if there is none."""

    async def payload_of(self, send: Send) -> Mapping[str, Any] | Refused:
        """The request's body, with files uploaded and quotes looked up; or why it cannot be made, ever."""


@dataclass(frozen=True, slots=True)
class UploadedMedia:
    """A file of ours that lies at upstream, ready to be sent."""

    kind: MediaKind
    url: str
    name: str | None = None


class Uploads(Protocol):
    """Hands files of ours to upstream."""

    async def upload_for_send(self, session_id: int, api_key: str, media_id: str) -> UploadedMedia | Refused:
        """The file at upstream; or why it can never be sent. Raises UpstreamError and StoreUnavailable."""


@dataclass(frozen=True, slots=True)
class SendingContext:
    """What every sender is given."""

    store: SendStore
    upstream: Upstream
    preparation: Preparation
    clock: Callable[[], float]
    """Unix seconds, to be compared with the rows' times."""
    lease_until: Callable[[int], float]
    """Until when this process surely holds the lease of a session."""
    terms: Terms = field(default_factory=Terms)
    on_step: Callable[[int, "Standing"], None] = lambda session_id, standing: None
    """Told how the queue stands with each step."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a step of the sender says of the queue."""

    next_at: float | None
    """When the next message may go; None while that is not known."""
    paused_until: float | None
    reason: str | None
