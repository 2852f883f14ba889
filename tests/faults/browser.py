"""A lossless client as docs/protocol.md describes it, which writes down whatever the gateway should not have done.

It keeps its offsets over any number of connections, comes back by itself, drops what it has seen, and shows one row
per message. `complaints` is empty as long as the gateway keeps its promises.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

PATIENCE_S = 3.0
"""Silence after a ping that is taken for a dead connection."""

PING_S = 1.0
_GONE = (OSError, WebSocketException, TimeoutError, EOFError)
_MAY_HAPPEN = {"unavailable"}
"""Codes of `error` frames that say: try again."""

RowKey = tuple[int, str, str]
"""Inbox, direction, id."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One event, once."""

    off: int
    event: str
    key: str
    """WhatsApp's id of the message, as far as the event tells."""


class Browser:
    """`address` is asked before each connection; `after` is what it says the first time (None: from now)."""

    def __init__(
        self,
        name: str,
        address: Callable[[], str],
        token: str,
        *,
        topics: tuple[str, ...] = ("inbox:*",),
        after: dict[int, dict[str, Any]] | None = None,
        states: bool = False,
    ) -> None:
        self.name = name
        self.address = address
        self.token = token
        self._topics = topics
        self._from_now = after is None
        self._states = states
        self.offs: dict[int, int] = {}
        self.epochs: dict[int, str] = {}
        for inbox, position in (after or {}).items():
            self.offs[inbox], self.epochs[inbox] = position["off"], position["epoch"]
        self.starts: dict[int, int] = dict(self.offs)
        self.shown: dict[int, list[Shown]] = {}
        self.rows: dict[RowKey, dict[str, Any]] = {}
        self.sessions: dict[int, dict[str, Any]] = {}
        self.complaints: list[str] = []
        self.resets: list[dict[str, Any]] = []
        self.unloaded: set[int] = set()
        """Inboxes that are to be loaded by REST, after a reset."""
        self.not_loaded = ""
        """Why the last attempt failed."""
        self.touched: set[RowKey] = set()
        """Rows that came by events since the reset of their inbox: what REST says of them may be older."""
        self.doubles = 0
        self.connections = 0
        self.is_stale = False
        self.is_subscribed = False
        self.anew = 0
        """How often an inbox was begun anew, by a reset or without one."""
        self._from_beginning: set[int] = set()
        """Inboxes that were dropped, and are replayed from as far back as they are kept."""
        self._wire: dict[int, int] = {}
        """Last offset on this very connection."""
        self._waiting: set[str] = set()
        self._reads = asyncio.Event()
        self._reads.set()
        self._socket: ClientConnection | None = None

    # ------------------------------------------------------------------------------------------ behaviour

    def stall(self) -> None:
        """Reads nothing from now on; the connection stays."""
        self._reads.clear()

    def go_on(self) -> None:
        self._reads.set()

    def leave(self) -> None:
        """Vanishes without a farewell; `run` comes back at once."""
        if self._socket is not None:
            self._socket.transport.abort()

    async def run(self, pause: Callable[[], float] = lambda: 0.05) -> None:
        """Lives until cancelled; `pause()` is how long it waits between two connections."""
        while True:
            with contextlib.suppress(*_GONE):
                async with self._connected() as socket:
                    await self._converse(socket)
            await asyncio.sleep(pause())

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[ClientConnection]:
        headers = {"Authorization": f"Bearer {self.token}"}
        address = self.address().replace("http", "ws", 1) + "/ws"
        async with connect(
            address, additional_headers=headers, compression=None, ping_interval=None, max_queue=4,
            open_timeout=PATIENCE_S, close_timeout=0.2, proxy=None, max_size=None,
        ) as socket:  # fmt: skip
            self._socket = socket
            self.connections += 1
            try:
                yield socket
            finally:
                self._socket = None
                self.is_subscribed = False
                socket.transport.abort()

    async def _converse(self, socket: ClientConnection) -> None:
        self.come_back()
        self._waiting = set(self._topics) | ({"sessions"} if self._states else set())
        self.is_stale = False
        for topic in sorted(self._waiting):
            await self._subscribe(socket, topic)
        while True:
            await self._reads.wait()
            try:
                async with asyncio.timeout(PING_S):
                    text = await socket.recv()
            except TimeoutError:
                if not self._reads.is_set():
                    continue
                await socket.send(json.dumps({"type": "ping", "ref": "alive"}))
                async with asyncio.timeout(PATIENCE_S):
                    text = await socket.recv()
            await self._take(socket, json.loads(text))

    async def _subscribe(self, socket: ClientConnection, topic: str) -> None:
        frame: dict[str, Any] = {"type": "subscribe", "ref": topic, "topic": topic}
        after = {inbox: {"off": self.offs[inbox], "epoch": epoch} for inbox, epoch in self.epochs.items()}
        if topic == "inbox:*":
            if not self._from_now:
                frame["after"] = {str(inbox): position for inbox, position in after.items()}
        elif topic.startswith("inbox:") and int(topic[6:]) in after:
            frame["after"] = after[int(topic[6:])]
        await socket.send(json.dumps(frame))

    # ------------------------------------------------------------------------------------------ frames

    async def _take(self, socket: ClientConnection, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "event":
                self._take_event(frame)
            case "subscribed":
                self._take_subscribed(frame)
            case "heartbeat":
                for topic, off in frame["tops"].items():
                    if off > self.offs.get(int(topic[6:]), 0):
                        self._complain(f"the heartbeat says {topic} is at {off}: {self.offs}")
            case "reset":
                self.take_reset(frame)
            case "state":
                self._take_state(frame)
            case "stale" | "fresh" as word:
                self.is_stale = word == "stale"
            case "error" if frame["code"] in _MAY_HAPPEN:
                await asyncio.sleep(0.2)
                await self._subscribe(socket, frame["ref"])
            case "error":
                self._complain(f"error {frame}")

    def come_back(self) -> None:
        """A new connection: what it has of inboxes whose epoch it was never told is dropped."""
        self._wire = {}
        for inbox in self.offs.keys() - self.epochs.keys():
            self._drop(inbox)

    def _drop(self, inbox: int) -> None:
        """It was cut off before it was told the epoch: after a restore the same offsets stand for something else."""
        del self.offs[inbox]
        self._forget(inbox)
        if not self._from_now:
            self._from_beginning.add(inbox)

    def _forget(self, inbox: int) -> None:
        self.anew += 1
        self.shown[inbox] = []
        for key in [key for key in self.rows if key[0] == inbox]:
            del self.rows[key]
        self.touched = {key for key in self.touched if key[0] != inbox}

    def _take_event(self, frame: dict[str, Any]) -> None:
        inbox, off = int(frame["topic"][6:]), frame["off"]
        if off != self._wire.get(inbox, off - 1) + 1:
            self._complain(f"inbox {inbox}: {off} came after {self._wire[inbox]} on one connection")
        self._wire[inbox] = off
        known = self.offs.get(inbox)
        if known is not None and off <= known:
            self.doubles += 1
            return
        if known is None:
            self.starts[inbox] = off - 1
            self._begin(inbox, off - 1, f"begins with {off}")
        elif off != known + 1:
            self._complain(f"inbox {inbox}: a gap, {off} came after {known}")
        self.offs[inbox] = off
        self._show(inbox, frame)

    def _show(self, inbox: int, frame: dict[str, Any]) -> None:
        data = frame["data"]
        self.shown.setdefault(inbox, []).append(
            Shown(frame["off"], frame["event"], str(data.get("message_id") or data.get("wa_key_id")))
        )
        key = (inbox, data["direction"], data["id"])
        self.touched.add(key)
        if frame["event"] == "message.deleted" and data.get("deleted_at") is None:
            self.rows.pop(key, None)
        else:
            self.rows[key] = data

    def _take_subscribed(self, frame: dict[str, Any]) -> None:
        topic = frame["topic"]
        if "state" in frame:
            for state in frame["state"]:
                self._take_state(state)
        elif topic == "inbox:*":
            for number, top in frame["tops"].items():
                self._stand(int(number), top)
        else:
            self._stand(int(topic[6:]), frame)
        self._waiting.discard(topic)
        self.is_subscribed = not self._waiting
        if "state" not in frame:
            self._from_now = False  # from here on every inbox is followed from where it stands

    def _stand(self, inbox: int, top: dict[str, Any]) -> None:
        known = self.offs.get(inbox)
        if known is None:
            self.starts[inbox] = self.offs[inbox] = top["off"]
            self._begin(inbox, top["off"], f"subscribed at {top['off']}, and nothing of it was sent")
        elif known != top["off"]:
            self._complain(f"inbox {inbox}: subscribed at {top['off']} while {known} was the last sent")
        self.epochs[inbox] = top["epoch"]

    def _begin(self, inbox: int, start: int, what: str) -> None:
        """The first that is heard of it: what is before `start` is not told any more."""
        if start and inbox in self._from_beginning:
            self.unloaded.add(inbox)
        elif start and not self._from_now:
            self._complain(f"inbox {inbox}: {what}")
        self._from_beginning.discard(inbox)

    def take_reset(self, frame: dict[str, Any]) -> None:
        """What it had is of no use: the rows are to be loaded by REST (`reloading`)."""
        inbox = int(frame["topic"][6:])
        self.resets.append(frame)
        self.offs[inbox] = self.starts[inbox] = self._wire[inbox] = frame["off"]
        if frame["epoch"] is None:  # of the Python client, which will be told
            self.epochs.pop(inbox, None)
        else:
            self.epochs[inbox] = frame["epoch"]
        self._from_beginning.discard(inbox)
        self._forget(inbox)
        self.unloaded.add(inbox)

    def _take_state(self, frame: dict[str, Any]) -> None:
        if frame["part"] != "session":
            return
        known = self.sessions.get(frame["session_id"])
        # Another gateway may lag behind the one that told us before.
        if known is None or frame["version"] >= known["version"]:
            self.sessions[frame["session_id"]] = frame

    def _complain(self, what: str) -> None:
        self.complaints.append(f"{self.name}: {what}")
