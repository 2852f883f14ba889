"""The Python client as a browser: what it yields is looked at as closely as what comes over the bare wire."""

from collections.abc import Callable
from typing import Any

from gateway.client import Event, Live, Position, Reset, Status, connect
from tests.faults.browser import Browser


class LibraryBrowser(Browser):
    """One gateway for its whole life, because that is what the client is given."""

    async def run(self, pause: Callable[[], float] = lambda: 0.05) -> None:
        async with connect(self.address(), token=self.token, on_status=self._on_status) as client:
            async for item in client.inbox("*", after={}):
                await self._reads.wait()
                match item:
                    case Event(inbox=inbox, off=off, name=name, data=data):
                        self._yielded(int(inbox), off, name, data)
                    case Reset(inbox=inbox, reason=reason, position=position):
                        self.take_reset({"topic": f"inbox:{inbox}", "reason": reason, **position})
                    case Live(position=position):
                        self._live({int(inbox): top for inbox, top in position.items()})

    def _on_status(self, status: Status) -> None:
        self.is_stale = status == "stale"
        if status == "reconnecting":
            self.is_subscribed = False
        elif status == "online" and not self.is_subscribed:
            self.connections += 1

    def _yielded(self, inbox: int, off: int, name: str, data: dict[str, Any]) -> None:
        if off != self.offs.get(inbox, 0) + 1:
            self._complain(f"inbox {inbox}: the client yielded {off} after {self.offs.get(inbox, 0)}")
        self.offs[inbox] = off
        self.starts.setdefault(inbox, off - 1)
        self._show(inbox, {"off": off, "event": name, "data": data})

    def _live(self, tops: dict[int, Position]) -> None:
        for inbox, top in tops.items():
            off, epoch = top["off"], top["epoch"]
            if epoch is not None:
                self.epochs[inbox] = epoch
            if off != self.offs.setdefault(inbox, 0):
                self._complain(
                    f"inbox {inbox}: the client is live at {off} and yielded up to {self.offs[inbox]}"
                )
        self.is_subscribed = True
