"""What a sender needs from the rooms around it. They satisfy the protocols by shape; `runtime` passes them in."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from gateway.domain.send_queue import Queue, Terms
from gateway.domain.sending import Answer, Refused, Send


@dataclass(frozen=True, slots=True)
class QueueView:
    """A session's queue as it stands: what can be next, and what decides about it."""

    sends: Collection[Send]
    """Of each chat the next due row, the next one to become due, and rows in `sending`; more do no harm."""
    wrote: frozenset[str]
    """Of their chats, those that ever wrote."""
    connected: bool
    not_connected_since: float | None
    """None while it is connected."""
    protected: bool
    """WasenderAPI's account protection is on."""


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
        """Keeps what is known of the queue, and tells viewers of it. Does nothing for a former holder."""


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
