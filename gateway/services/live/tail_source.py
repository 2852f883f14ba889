"""The one seam between the feed and what keeps and announces events: today Postgres, for both.

Where one Postgres is outgrown (docs/scaling.md), another engine takes over here: NATS JetStream or Redis Streams. It
has to keep what the protocols say, and nothing else of the gateway changes:

- `Streams` is the tail: events of an inbox in the order of gap-free offsets, from any offset on, with an epoch.
- `Announcements` is the notification: which inboxes have moved. It may be lost, doubled and late.

Writers stay in Postgres: what is committed there is numbered there, and goes to the engine from `gateway.stream`.
tests/house/test_seam.py keeps it narrow: it names who may use these protocols, and who may implement them.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from gateway.domain.streams import Event, Extent, Position, Snapshot


class Announcements(Protocol):
    """Hears that inboxes have moved, and raises the signals `inboxes_moved` and `cut_off`."""

    async def open(self) -> None:
        """Hears from now on. Raises ConfigError."""

    async def run(self) -> None:
        """Goes on hearing until it is cancelled; what was lost meanwhile is announced as `*`."""

    async def close(self) -> None:
        """Hears no more."""

    def is_cut_off(self) -> bool:
        """Whether announcements may be lost now: clients are told that they may miss something."""


class StreamReader(Protocol):
    """Reads streams of inboxes. Everything raises StoreUnavailable."""

    async def extents(self, inboxes: Sequence[int] | None = None) -> dict[int, Extent]:
        """Top, floor and epoch of these inboxes' streams, or of all that exist."""

    async def ensure(self, inbox: int) -> Extent:
        """The extent of an inbox's stream, which exists from then on."""

    async def moved_since(self, snapshot: Snapshot) -> dict[int, Position] | None:
        """Where inboxes that have moved since stood in a snapshot: below 0 where that is lost, None if it is for all.

        Raises Invalid for what is no snapshot.
        """

    async def read_after(
        self, offsets: Mapping[int, int], limit: int, max_bytes: int | None = None
    ) -> list[Event]:
        """Events past each offset, inbox by inbox in order; at most `limit`, and about `max_bytes`."""


Unread = tuple[dict[int, Extent], list[Event]]


class Streams(StreamReader, Protocol):
    """What the feed needs of streams beyond reading pages."""

    async def read_unread(self, offsets: Mapping[int, int | None], limit: int, max_bytes: int) -> Unread:
        """`extents` and `read_after` of these inboxes in one question; no events where the offset is None."""

    async def check_history(self) -> bool:
        """Begins all streams anew if the database is not the one it was (a backup, a standby); True if so."""

    async def begin_anew(self, inbox: int, epoch: str) -> bool:
        """Begins all streams anew unless this one's epoch is another by now; True if it did."""
