"""A server that is scripted, and a reader that remembers: what a topic of the client is tried against.

The line between them is a list of frames, so that a test can lose, double, swap or cut what is on its way.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from gateway.client.errors import Refused
from gateway.client.items import Event, Live, Reset, StreamItem
from gateway.client.topics import StreamTopic

Json = dict[str, Any]


@dataclass
class History:
    """One inbox on the server: the events that are kept are `floor + 1 … top`."""

    epoch: str = "e0"
    top: int = 0
    floor: int = 0


@dataclass
class ScriptedServer:
    """Streams as contract and protocol have them, for one connection that follows `inbox:*`."""

    inboxes: dict[str, History] = field(default_factory=dict)
    line: list[Json] = field(default_factory=list)
    sent: dict[str, int] = field(default_factory=dict)
    """How far each inbox has been sent on this connection."""
    is_followed: bool = False
    is_away: bool = False
    """It answers `unavailable`."""
    names_new: bool = True
    """An inbox that is made later is named before its first event, as the gateway does."""

    # ------------------------------------------------------------------------------------------ what happens

    def write(self, inbox: str) -> None:
        if inbox not in self.inboxes:
            self.inboxes[inbox] = History(epoch=f"{inbox}-0")
            if self.is_followed and self.names_new:
                self.sent[inbox] = 0
                self._confirm(self.ref, [inbox])
        self.inboxes[inbox].top += 1
        if self.is_followed:
            self._push(inbox)

    def begin_anew(self, inbox: str) -> None:
        """Too much changed to tell: the next offset stands for all of it."""
        history = self.inboxes[inbox]
        history.top += 1
        history.floor = history.top
        history.epoch += "+"
        if self.is_followed:
            self._reset(inbox, "epoch_changed")
            self._confirm(self.ref)

    def forget(self, inbox: str) -> None:
        """Retention takes the older half."""
        history = self.inboxes[inbox]
        history.floor += (history.top - history.floor) // 2

    def restore(self, inbox: str) -> None:
        """While the client is away: an older backup comes back, and the same offsets stand for something else."""
        history = self.inboxes[inbox]
        history.top //= 2
        history.floor = min(history.floor, history.top)
        history.epoch += "-"

    def beat(self) -> None:
        tops = {f"inbox:{inbox}": off for inbox, off in self.sent.items()}
        self.line.append({"type": "heartbeat", "tops": tops})

    def cut(self) -> None:
        self.line.clear()
        self.sent.clear()
        self.is_followed = False

    # ------------------------------------------------------------------------------------------ what is asked

    def hear(self, frame: Json) -> None:
        ref = frame["ref"]
        if frame["type"] == "unsubscribe":
            self.is_followed = False
            self.sent.clear()
            self.line.append({"type": "unsubscribed", "ref": ref, "topic": "inbox:*"})
        elif self.is_away:
            self.line.append({"type": "error", "ref": ref, "code": "unavailable", "message": "Away."})
        else:
            self._follow(ref, frame.get("after"))

    def _follow(self, ref: str, after: Json | None) -> None:
        self.ref = ref
        self.is_followed = True
        for inbox, history in self.inboxes.items():
            start = {"off": history.top if after is None else history.floor, "epoch": history.epoch}
            wished = (after or {}).get(inbox, start)
            if wished["epoch"] != history.epoch:
                self._reset(inbox, "epoch_changed")
            elif wished["off"] > history.top:
                self._reset(inbox, "offset_unknown")
            elif wished["off"] < history.floor:
                self._reset(inbox, "offset_expired")
            else:
                self.sent[inbox] = wished["off"]
                self._push(inbox)
        self._confirm(ref)

    def _push(self, inbox: str) -> None:
        history = self.inboxes[inbox]
        for off in range(self.sent.get(inbox, 0) + 1, history.top + 1):
            self.line.append(event_frame(inbox, off, history.epoch))
        self.sent[inbox] = history.top

    def _reset(self, inbox: str, reason: str) -> None:
        history = self.inboxes[inbox]
        self.sent[inbox] = history.top
        self.line.append(
            {
                "type": "reset",
                "topic": f"inbox:{inbox}",
                "reason": reason,
                "off": history.top,
                "epoch": history.epoch,
            }
        )

    def _confirm(self, ref: str, inboxes: Iterable[str] | None = None) -> None:
        named = sorted(self.sent if inboxes is None else inboxes)
        tops = {inbox: {"off": self.sent[inbox], "epoch": self.inboxes[inbox].epoch} for inbox in named}
        self.line.append({"type": "subscribed", "ref": ref, "topic": "inbox:*", "tops": tops})


def event_frame(inbox: str, off: int, epoch: str) -> Json:
    return {
        "type": "event",
        "topic": f"inbox:{inbox}",
        "off": off,
        "event": "message.created",
        "at": "2026-01-01T00:00:00Z",
        "data": {"id": f"{inbox}/{epoch}/{off}"},
    }


@dataclass
class Reader:
    """What is shown per inbox: up to which offset, and what came since the last load. Fails on a double or a hole."""

    shown: dict[str, int] = field(default_factory=dict)
    epochs: dict[str, set[str]] = field(default_factory=dict)
    """Of which histories the events are that came since the last load."""
    items: list[StreamItem] = field(default_factory=list)

    def take(self, item: StreamItem) -> None:
        self.items.append(item)
        match item:
            case Event(inbox=inbox, off=off, data=data):
                assert off == self.shown.get(inbox, 0) + 1, f"{inbox}: {off} after {self.shown.get(inbox)}"
                self.shown[inbox] = off
                self.epochs.setdefault(inbox, set()).add(data["id"].split("/")[1])
            case Reset(inbox=inbox, reason=reason, position=position):
                # A load by REST shows everything up to there, and maybe more.
                if reason in ("gap", "offset_expired"):
                    assert position["off"] >= self.shown.get(inbox, 0), "within a history no reset goes back"
                self.shown[inbox] = position["off"]
                self.epochs[inbox] = set()
            case Live(position=position):
                for inbox, here in position.items():
                    assert self.shown.setdefault(inbox, here["off"]) == here["off"]


class Bench:
    """A StreamTopic between a scripted server and a reader."""

    def __init__(self, after: Any = None) -> None:
        self.server = ScriptedServer()
        self.reader = Reader()
        self.topic = StreamTopic("inbox:*", self, self.reader.take, after)
        self.asked: list[Json] = []
        self.retries: list[Callable[[], None]] = []

    def send(self, frame: Json) -> str:
        ref = str(len(self.asked) + 1)
        self.asked.append({**frame, "ref": ref})
        self.server.hear(self.asked[-1])
        return ref

    def later(self, retry: Callable[[], None]) -> None:
        self.retries.append(retry)

    def deliver(self, count: int | None = None) -> None:
        """The next frames reach the client; all that are on their way if no count is given."""
        line = self.server.line
        while line and count != 0:
            self.topic.receive(line.pop(0))
            count = None if count is None else count - 1

    def reconnect(self) -> None:
        self.server.cut()
        self.topic.lose()
        self.topic.join()

    def refused_by(self, frame: Json) -> Refused | None:
        try:
            self.topic.receive(frame)
        except Refused as refusal:
            return refusal
        return None
