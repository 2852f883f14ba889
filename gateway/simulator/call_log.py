"""How the API was called: counts per session, path and status, and the most calls that were under way at once.

For tests of a client's manners. It holds no key, no body and no number of a person.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.simulator.engine import Engine

_PART = re.compile(r"/[^/]*[0-9@+%][^/]*")


@dataclass(slots=True)
class CallLog:
    """Counts the calls of clients."""

    counts: Counter[tuple[int | None, str, str, int]] = field(default_factory=Counter)
    """By session (None: not by a session's key), method, path with `{}` for what varies, and status (0: cut)."""
    now: Counter[tuple[int | None, str]] = field(default_factory=Counter)
    most: Counter[tuple[int | None, str]] = field(default_factory=Counter)

    def begin(self, session_id: int | None, path: str) -> None:
        """Notes that a call has come."""
        for name in ("all", path):
            place = (session_id, name)
            self.now[place] += 1
            self.most[place] = max(self.most[place], self.now[place])

    def end(self, session_id: int | None, method: str, path: str, status: int) -> None:
        """Notes that a call is over, and how."""
        for name in ("all", path):
            self.now[session_id, name] -= 1
        self.counts[session_id, method, path, status] += 1

    def listed(self) -> list[dict[str, Any]]:
        """The counts as the control shows them."""
        return [
            {
                "session": session_id,
                "method": method,
                "path": path,
                "status": status,
                "count": count,
                "most_at_once": self.most[session_id, path],
                "most_of_session": self.most[session_id, "all"],
            }
            for (session_id, method, path, status), count in self.counts.items()
        ]

    def clear(self) -> None:
        """Forgets what is over; calls under way stay counted."""
        self.counts.clear()
        self.most.clear()


class CountedCalls:
    """ASGI: counts what comes to the API, also what a fault answers."""

    def __init__(self, app: ASGIApp, engine: Engine, log: CallLog) -> None:
        self.app = app
        self.engine = engine
        self.log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        path = _PART.sub("/{}", scope["path"].removeprefix(scope.get("root_path", "")) or "/")
        session_id = self._session_of(scope)
        self.log.begin(session_id, path)
        try:
            await self.app(scope, receive, watched)
        finally:
            self.log.end(session_id, scope["method"], path, status)

    def _session_of(self, scope: Scope) -> int | None:
        token = dict(scope["headers"]).get(b"authorization", b"").decode("latin-1").partition(" ")[2].strip()
        session = self.engine.session_of_key(token) if token else None
        return session.id if session else None
