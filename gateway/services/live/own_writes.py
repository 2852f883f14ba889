"""What this gateway commits itself goes to the hub without another look at Postgres.

The write brings back what the stream holds of it. It is published where it follows what the hub has; anything else is
read, as after every notification. The notification of such a write says that its writer knows: it is held back while
the write is under way (it may be heard before the write returns), and passed over once its events are published.
Whatever this misjudges, the feed's regular look at everything puts right.

Lifecycle: `begin` before a write on a connection, `end` after it; `forget` when notifications may have been lost.
"""

from collections.abc import Callable

from gateway.domain.streams import OwnWrite


class OwnWrites:
    """Publishes own writes, and decides which of their notifications say nothing new."""

    def __init__(self, publish: Callable[[OwnWrite], bool], read: Callable[[str], None]) -> None:
        """`publish` says whether the events followed what the hub has; `read` takes a notification's payload."""
        self._publish = publish
        self._read = read
        self._under_way: dict[int, list[str]] = {}
        """Notifications that came while their writer's write was under way."""
        self._expected: dict[int, int] = {}
        """How many notifications of a writer are still to come whose events are published."""

    def begin(self, writer: int) -> None:
        """A write begins on the connection of this process at the server."""
        self._under_way[writer] = []

    def end(self, writer: int, written: OwnWrite | None) -> None:
        """Publishes what the write brought back; what was heard meanwhile is read if that could not be."""
        held = self._under_way.pop(writer, [])
        if written is not None and self._publish(written):
            if not held:
                self._expected[writer] = self._expected.get(writer, 0) + 1
            held = held[1:]
        for payload in held:
            self._read(payload)

    def heard(self, payload: str, writer: int) -> None:
        """A notification whose writer knows what it is about. Never waits."""
        if writer in self._under_way:
            self._under_way[writer].append(payload)
        elif self._expected.get(writer):
            self._expected[writer] -= 1
        else:
            self._read(payload)

    def forget(self) -> None:
        """Notifications may have been lost: none is expected any more, and everything is read."""
        self._expected.clear()
