"""One topic as one client hears it: resumes where it stood, drops doubles, sees gaps, keeps the newest state.

Decides only: frames of the server in, frames for the server and items for the reader out.

Phases: IDLE (no connection) → JOINING (subscribe sent, a replay may come) → LIVE. On a gap, or when the reader
is behind: → LEAVING → JOINING again, or PAUSED until the reader has room. LEAVING lasts until the server confirms,
so that events already on their way are not taken for the replay. REFUSED lasts until the next connection.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any, Protocol

from gateway.client.errors import Refused
from gateway.client.items import (
    Live,
    Position,
    PositionMap,
    Reset,
    Snapshot,
    StateItem,
    StreamItem,
    event_of,
    state_of,
)

Frame = Mapping[str, Any]
PREFIX = "inbox:"
AFTER_BYTES = 200 * 1024
"""Of the positions in one subscribe: no frame may be over 256 KiB."""


class Phase(Enum):
    """Where a topic stands between the client and the gateway."""

    IDLE = "idle"
    JOINING = "joining"
    LIVE = "live"
    LEAVING = "leaving"
    PAUSED = "paused"
    WAITING = "waiting"
    """The server could not just now; `again` asks once more."""
    REFUSED = "refused"


class Wire(Protocol):
    """The way to the server, as a topic needs it."""

    def send(self, frame: dict[str, Any]) -> str:
        """Adds a ref, which it returns; never waits."""

    def later(self, retry: Callable[[], None]) -> None:
        """Calls it after a moment."""


class Topic(ABC):
    """What streams and states share."""

    def __init__(self, name: str, wire: Wire) -> None:
        self.name = name
        self.phase = Phase.IDLE
        self._wire = wire
        self._ref = ""
        self._is_behind = False

    # ------------------------------------------------------------------------------------------ what moves it

    def join(self) -> None:
        """A fresh connection, or another try: asks for the topic, unless the reader is behind."""
        if self._is_behind:
            self.phase = Phase.PAUSED
            return
        self.phase = Phase.JOINING
        self._ref = self._wire.send({"type": "subscribe", "topic": self.name, **self._wish()})

    def again(self) -> None:
        """Joins once more after the gateway could not for a moment."""
        if self.phase is Phase.WAITING:
            self.join()

    def lose(self) -> None:
        """The connection is gone. Where we stand stays."""
        self.phase = Phase.IDLE

    def fall_behind(self) -> None:
        """The reader has no room: nothing more is wanted until `catch_up`."""
        self._is_behind = True
        if self.phase in (Phase.JOINING, Phase.LIVE):
            self._leave()

    def catch_up(self) -> None:
        """Joins again from where the topic stands, once its queue has room."""
        self._is_behind = False
        if self.phase is Phase.PAUSED:
            self.join()

    def _leave(self) -> None:
        self.phase = Phase.LEAVING
        self._ref = self._wire.send({"type": "unsubscribe", "topic": self.name})

    def receive(self, frame: Frame) -> None:
        """Any frame of the server; those of other topics are ignored. Raises Refused."""
        match frame.get("type"):
            case "subscribed" if self._is_ours(frame) and self.phase in (Phase.JOINING, Phase.LIVE):
                # LIVE: after a reset, a new login that widened the topic, or an inbox that was made just now.
                is_news = self.phase is Phase.LIVE
                if not frame.get("more"):
                    self.phase = Phase.LIVE
                self._on_subscribed(frame, is_news)
            case "unsubscribed" if self._is_ours(frame) and self.phase is Phase.LEAVING:
                self.join()
            case "unsubscribed" if frame.get("ref") is None and frame.get("topic") == self.name:
                self._refuse("forbidden", "The new login does not cover it.")
            case "error" if self._is_ours(frame):
                self._on_error(frame)
            case _ if self.phase in (Phase.JOINING, Phase.LIVE):
                self._on_other(frame)

    def _is_ours(self, frame: Frame) -> bool:
        return bool(self._ref) and frame.get("ref") == self._ref

    def _on_error(self, frame: Frame) -> None:
        code = str(frame.get("code"))
        if self.phase is Phase.LEAVING:  # it ended on the server before we left
            self.join()
        elif code == "unavailable":
            self.phase = Phase.WAITING
            self._wire.later(self.again)
        else:
            self._refuse(code, str(frame.get("message")))

    def _refuse(self, code: str, message: str) -> None:
        self.phase = Phase.REFUSED
        raise Refused(self.name, code, message)

    @abstractmethod
    def _wish(self) -> dict[str, Any]: ...
    @abstractmethod
    def _on_subscribed(self, frame: Frame, is_news: bool) -> None: ...
    @abstractmethod
    def _on_other(self, frame: Frame) -> None: ...


class StreamTopic(Topic):
    """`inbox:<id>` or `inbox:*`. `after` is where loaded data stands; None: from now."""

    def __init__(
        self,
        name: str,
        wire: Wire,
        emit: Callable[[StreamItem], None],
        after: PositionMap | None = None,
    ) -> None:
        super().__init__(name, wire)
        self._emit = emit
        self._at: PositionMap = dict(after or {})
        self._resumes = self._has_begun = after is not None
        """`_has_begun`: we were given a position, or a replay has ended; from then on we never begin from now again."""
        self._has_asked_back = False
        """Whether what the last subscribe brings should begin where we stood, and not just now."""
        self._unplaced: set[str] = set()
        """Inboxes whose events we had told when we were cut off before their epoch."""
        self._drop_unplaced()

    @property
    def position(self) -> PositionMap:
        """A copy of where the topic stands: offset and epoch by inbox."""
        return dict(self._at)

    def lose(self) -> None:
        """The connection is gone. Where we stand stays, but for inboxes whose epoch we were never told."""
        super().lose()
        self._drop_unplaced()
        self._resumes = self._has_begun or bool(self._at)

    def _drop_unplaced(self) -> None:
        # What we have of them may be of a history that is gone when we come back, where the same offsets stand for
        # something else: they begin anew, and the reader is told with the first that we hear of them.
        for inbox, here in list(self._at.items()):
            if here["epoch"] is None:
                del self._at[inbox]
                if here["off"] > 0:
                    self._unplaced.add(inbox)

    def _wish(self) -> dict[str, Any]:
        known = dict(self._known())
        self._has_asked_back = self._resumes
        if not self._resumes:
            return {}
        if self.name == "inbox:*":
            return {"after": known}
        own = known.get(self.name.removeprefix(PREFIX))
        return {} if own is None else {"after": own}

    def _known(self) -> Iterator[tuple[str, Position]]:
        """As many as a frame can hold; what comes again of the others is dropped by its offset."""
        size = 0
        for inbox, here in self._at.items():
            if here["epoch"] is not None:
                size += len(f'"{inbox}":{here},')
                if size > AFTER_BYTES:
                    return
                yield inbox, here

    def _covers(self, topic: object) -> bool:
        return topic == self.name or (self.name == "inbox:*" and str(topic).startswith(PREFIX))

    def _on_other(self, frame: Frame) -> None:
        match frame.get("type"):
            case "event" if self._covers(frame.get("topic")):
                self._on_event(frame)
            case "reset" if self._covers(frame.get("topic")):
                self._reset(
                    frame["topic"].removeprefix(PREFIX), frame["reason"], frame["off"], frame["epoch"]
                )
            case "heartbeat" if self.phase is Phase.LIVE:
                self._compare(frame.get("tops") or {})

    def _on_event(self, frame: Frame) -> None:
        inbox, off = frame["topic"].removeprefix(PREFIX), frame["off"]
        if inbox in self._unplaced:
            self._reset(inbox, "epoch_unknown", off - 1, None)
        here = self._at.get(inbox)
        if here is not None and off <= here["off"]:
            return  # seen before
        epoch = here["epoch"] if here else None
        if off != (here["off"] if here else 0) + 1:
            # Live: something was lost on the way, and the server has it. In a replay there is nothing left to ask for.
            if self.phase is Phase.LIVE:
                self._leave()
                return
            if here is not None or self._has_asked_back:
                self._reset(inbox, "gap", off - 1, epoch)
        self._move(inbox, off, epoch)
        self._emit(event_of(frame, inbox, epoch))

    def _on_subscribed(self, frame: Frame, is_news: bool) -> None:
        own = self.name.removeprefix(PREFIX)
        tops = frame["tops"] if "tops" in frame else {own: {"off": frame["off"], "epoch": frame["epoch"]}}
        for inbox, top in tops.items():
            self._settle(inbox, top["off"], top["epoch"], is_news)
        if not frame.get("more"):  # with thousands of inboxes it comes in several frames
            self._resumes = self._has_begun = True
            for inbox in sorted(self._unplaced):  # the database that came back does not have these
                self._reset(inbox, "epoch_unknown", 0, None)
            self._emit(Live(self.position))

    def _settle(self, inbox: str, off: int, epoch: str, is_news: bool) -> None:
        """The replay is over: where it ended must be where we stand. Of news it only says what has been sent before."""
        if inbox in self._unplaced:
            self._reset(inbox, "epoch_unknown", off, epoch)
            return
        here = self._at.get(inbox)
        if here is None:
            is_missing = (
                self._has_asked_back and off > 0
            )  # made after we last asked, and past retention by now
        else:
            if here["off"] >= off and (here["epoch"] == epoch or (is_news and here["epoch"] is None)):
                self._move(inbox, here["off"], epoch)
                return
            is_missing = here["epoch"] is not None or here["off"] != off
        if is_missing:
            self._reset(inbox, "gap", off, epoch)
        else:
            self._move(inbox, off, epoch)

    def _compare(self, tops: Mapping[str, int]) -> None:
        """The newest offset sent of each inbox that moved: one ahead of ours is a gap."""
        for topic, off in tops.items():
            here = self._at.get(topic.removeprefix(PREFIX))
            if self._covers(topic) and (here["off"] if here else 0) < off:
                self._leave()
                return

    def _reset(self, inbox: str, reason: str, off: int, epoch: str | None) -> None:
        self._unplaced.discard(inbox)
        self._move(inbox, off, epoch)
        self._emit(Reset(inbox, reason, self._at[inbox]))

    def _move(self, inbox: str, off: int, epoch: str | None) -> None:
        self._at[inbox] = Position(off=off, epoch=epoch)
        self._resumes = True


class StateTopic(Topic):
    """`sessions` or `session:<id>`."""

    def __init__(self, name: str, wire: Wire, emit: Callable[[StateItem], None]) -> None:
        super().__init__(name, wire)
        self._emit = emit
        self._versions: dict[tuple[int, str], int] = {}

    def _wish(self) -> dict[str, Any]:
        return {}

    def _on_subscribed(self, frame: Frame, is_news: bool) -> None:
        # Believed whatever its versions: after the restore of a backup they are lower than the ones we knew.
        states = tuple(state_of(item) for item in frame["state"])
        self._versions = {(state.session_id, state.part): state.version for state in states}
        self._emit(Snapshot(states))

    def _on_other(self, frame: Frame) -> None:
        if frame.get("type") != "state" or frame.get("topic") != self.name or self.phase is not Phase.LIVE:
            return
        state = state_of(frame)
        key = (state.session_id, state.part)
        if state.version > self._versions.get(key, -1):
            self._versions[key] = state.version
            self._emit(state)
