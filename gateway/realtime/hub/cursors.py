"""Who follows an inbox, how far each has come, and what is on its way to them."""

from collections.abc import Callable
from typing import Protocol

from gateway.domain.streams import Inbox, Place, Position, Standing
from gateway.realtime.hub.pending_frames import PendingFrames
from gateway.realtime.hub.tail import Encoder
from gateway.realtime.transport.framing import Burst, Frame
from gateway.services.live.state_values import StateValue


class StreamSubscriber(Protocol):
    """What the hub asks of a connection that follows streams."""

    def send(self, burst: Burst) -> bool:
        """Writes, or says False: over its write limit (the cursor then falls back to CATCHING_UP)."""

    def catch_up(self) -> None:
        """Some cursor of this connection is CATCHING_UP now."""

    def appear(self, inbox: Inbox, start: Position) -> None:
        """An inbox came into being after this connection said that it wants to know of new ones."""

    def covers(self, inbox: int) -> bool:
        """Whether the subscriber may read the inbox."""

    def has_been_told(self, cursor: "Cursor", place: Place) -> bool:
        """Whether what `cursor` stands beside has been sent that event, or does not follow its inbox."""


class RestSubscriber(StreamSubscriber, Protocol):
    """A connection that stands at the published position of every inbox for which it has no cursor."""

    def join(self, inbox: Inbox) -> None:
        """The inbox is about to move: takes a cursor where the inbox stands now, unless there is one."""


class StateSubscriber(StreamSubscriber, Protocol):
    """What the hub asks of a connection that also watches states."""

    def send_state(self, key: tuple[str, int, str], frame: Frame, expires_at: float | None) -> None:
        """Sends a state's newest value, in place of an unsent older one of the same key."""

    def sees_link(self) -> bool:
        """Whether the subscriber may see codes that link a phone."""


StateEncoder = Callable[[str, StateValue], Frame]
"""What a dialect sends for a new value of a state topic. One object for all of its connections."""


class Cursor:
    """How far one connection has come in one inbox. An inbox that two topics cover may have one cursor."""

    __slots__ = ("connection", "encode", "epoch", "inbox", "off", "send", "since", "standing", "topics")

    def __init__(self, connection: StreamSubscriber, inbox: Inbox, start: Position, encode: Encoder) -> None:
        self.connection = connection
        self.send = connection.send  # kept here: a fan-out touches as few objects for each client as it can
        self.encode = encode
        self.inbox = inbox
        self.standing = Standing.CATCHING_UP
        self.topics: set[str] = set()
        self.start_from(start)

    def start_from(self, start: Position) -> None:
        """Everything after `since` up to `off` has been sent."""
        self.since = self.off = start.off
        self.epoch = start.epoch


class Stream:
    """What the hub knows of an inbox.

    What has been published, what is on its way, and who follows, in which encoding."""

    __slots__ = ("cursors", "epoch", "is_walking", "off", "pending", "rest_version", "unwritten_since")

    def __init__(self, off: int, epoch: str) -> None:
        self.off = off
        self.epoch = epoch
        self.cursors: dict[Encoder, dict[Cursor, None]] = {}
        """In the order in which they came, which is that of their objects in memory, ours and the kernel's: walking
        over thousands of them in another one waits for memory all the way."""
        self.pending: dict[Encoder, PendingFrames] = {}
        self.is_walking = False
        self.rest_version = 0
        """Those who stand beside the hub's inboxes without cursors have joined this one up to here."""
        self.unwritten_since: str | None = None
        """Commit time of the first event that is not written to all yet; None while there is none."""

    def add(self, cursor: Cursor) -> None:
        """Lets a cursor follow the inbox."""
        self.cursors.setdefault(cursor.encode, {})[cursor] = None

    def discard(self, cursor: Cursor) -> None:
        """Lets a cursor no longer follow the inbox. Nothing happens if it does not."""
        same = self.cursors.get(cursor.encode)
        if same is not None:
            same.pop(cursor, None)
            if not same:
                del self.cursors[cursor.encode]

    def all_cursors(self) -> list[Cursor]:
        """Every cursor that follows the inbox, in whatever encoding."""
        return [cursor for same in self.cursors.values() for cursor in same]
