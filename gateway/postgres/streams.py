"""Reading and pruning the streams. Their writing is Postgres' own work (`sql/`): it sees every writer.

A reader that finds the first event of an inbox further than one past its offset has been overtaken by
pruning, or by a flood; `extents` says which, and from where to go on.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import asyncpg

from gateway.domain.errors import Invalid, RowRefused
from gateway.domain.streams import Event, Extent, Inbox, OwnWrite, Place, Position, Snapshot
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.connection.readers import Reader

_MIN_SHARE_BYTES = 16 * 1024

_EXTENTS_SQL = """
SELECT inbox, off, floor, epoch::text AS epoch
FROM gateway.inboxes
WHERE $1::bigint[] IS NULL OR inbox = ANY ($1)
"""

_MOVED_SQL = "SELECT inbox, off, epoch FROM gateway.moved_since_v1($1::text::pg_snapshot, $2)"

_ENSURE_SQL = "SELECT off, floor, epoch::text AS epoch FROM gateway.ensure_inbox_v1($1)"

# One index range per inbox, each with its own limit; the join with the counter hides what a new epoch left behind. The
# sum runs in the order of the result, so what is cut off is always a tail, of whichever inboxes come last.
_PAGE_SQL = """
SELECT inbox, off, tbl, op, record, old, at
FROM (
    SELECT p.inbox, p.off, p.tbl, p.op, p.record, p.old,
        to_char(p.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at,
        sum(coalesce(octet_length(p.record::text), 0)) OVER (ORDER BY p.inbox, p.off)
            - coalesce(octet_length(p.record::text), 0) AS before
    FROM unnest($1::bigint[], $2::bigint[]) AS o (inbox, off)
    JOIN gateway.inboxes AS i ON i.inbox = o.inbox
    CROSS JOIN LATERAL (
        SELECT s.inbox, s.off, s.at, s.tbl, s.op, s.record, s.old
        FROM gateway.stream AS s
        WHERE s.inbox = o.inbox AND s.off > greatest(o.off, i.floor)
        ORDER BY s.off
        LIMIT $3
    ) AS p
) AS sized
WHERE $4::bigint IS NULL OR before < $4
ORDER BY inbox, off
"""

# Counters and events of one moment. Of an inbox without an offset only the counter is asked for.
UNREAD_SQL = """
SELECT i.inbox, i.off AS top, i.floor, i.epoch::text AS epoch, p.off, p.tbl, p.op, p.record, p.old,
    to_char(p.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at
FROM unnest($1::bigint[], $2::bigint[]) AS o (inbox, off)
JOIN gateway.inboxes AS i ON i.inbox = o.inbox
LEFT JOIN LATERAL (
    SELECT sized.*
    FROM (
        SELECT s.off, s.at, s.tbl, s.op, s.record, s.old,
            sum(coalesce(octet_length(s.record::text), 0)) OVER (ORDER BY s.off)
                - coalesce(octet_length(s.record::text), 0) AS before
        FROM (
            SELECT *
            FROM gateway.stream
            WHERE inbox = o.inbox AND off > greatest(o.off, i.floor)
            ORDER BY off
            LIMIT $3
        ) AS s
    ) AS sized
    WHERE sized.before < $4
) AS p ON o.off IS NOT NULL
ORDER BY i.inbox, p.off
"""

# `at` grows with `off` within an inbox, so the oldest rows of the whole table are the lowest of their
# inboxes.
_EXPIRED_SQL = """
SELECT inbox, max(off) AS off
FROM (SELECT inbox, off FROM gateway.stream WHERE at < now() - $1::interval ORDER BY at LIMIT $2) AS oldest
GROUP BY inbox
ORDER BY inbox
"""

_RAISE_FLOOR_SQL = "UPDATE gateway.inboxes SET floor = greatest(floor, $2) WHERE inbox = $1 AND floor < $2"

_SWEEP_SQL = """
WITH swept AS (
    DELETE FROM gateway.stream AS s
    USING (
        SELECT p.inbox, p.off
        FROM gateway.inboxes AS i
        CROSS JOIN LATERAL (
            SELECT s.inbox, s.off
            FROM gateway.stream AS s
            WHERE s.inbox = i.inbox AND s.off <= i.floor
            ORDER BY s.off
            LIMIT $1
        ) AS p
        LIMIT $1
    ) AS dead
    WHERE s.inbox = dead.inbox AND s.off = dead.off
    RETURNING 1
)
SELECT count(*) FROM swept
"""


class StreamStore:
    """The streams in Postgres. Raises StoreUnavailable when it is away."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def extents(self, inboxes: Sequence[int] | None = None) -> dict[int, Extent]:
        """What is kept of these inboxes (None: of all, the sessions' own stream included)."""
        with mapped_errors():
            rows = await self._reader.fetch(_EXTENTS_SQL, None if inboxes is None else list(inboxes))
        return {row["inbox"]: Extent(row["off"], row["floor"], row["epoch"]) for row in rows}

    async def ensure(self, inbox: int) -> Extent:
        """The extent of an inbox; its counter is made when it is missing."""
        with mapped_errors():
            (row,) = await self._reader.fetch(_ENSURE_SQL, inbox)
        return Extent(row["off"], row["floor"], row["epoch"])

    async def moved_since(self, snapshot: Snapshot) -> dict[int, Position] | None:
        """Where inboxes that have moved since stood in a snapshot; below 0 where that is not known any more.

        None where the snapshot is of another history. Raises StoreUnavailable, Invalid for what is no snapshot.
        """
        try:
            with mapped_errors():
                rows = await self._reader.fetch(_MOVED_SQL, snapshot.seen, snapshot.history)
        except RowRefused:
            raise Invalid("This position is not one that a page gave out.") from None
        if any(row["inbox"] is None for row in rows):
            return None
        return {
            row["inbox"]: Position(-1 if row["off"] is None else row["off"], row["epoch"]) for row in rows
        }

    async def read_after(
        self, offsets: Mapping[int, int], limit: int, max_bytes: int | None = None
    ) -> list[Event]:
        """Events past the given offsets, ordered by inbox and offset: at most `limit` of each inbox.

        With `max_bytes` (of their records, all inboxes together) later ones are left out; the first always
        comes.
        """
        if not offsets:
            return []
        with mapped_errors():
            rows = await self._reader.fetch(
                _PAGE_SQL, list(offsets.keys()), list(offsets.values()), limit, max_bytes
            )
        return [event_of(row) for row in rows]

    async def read_unread(
        self, offsets: Mapping[int, int | None], limit: int, max_bytes: int
    ) -> tuple[dict[int, Extent], list[Event]]:
        """`extents` and `read_after` in one question, of one moment; no events where the offset is None.

        `max_bytes` (of the records) is shared out among the inboxes; the first of each always comes.
        """
        if not offsets:
            return {}, []
        share = max(_MIN_SHARE_BYTES, max_bytes // len(offsets))
        with mapped_errors():
            rows = await self._reader.fetch(UNREAD_SQL, list(offsets), list(offsets.values()), limit, share)
        extents = {row["inbox"]: Extent(row["top"], row["floor"], row["epoch"]) for row in rows}
        return extents, [event_of(row) for row in rows if row["off"] is not None]

    async def check_history(self) -> bool:
        """Begins all streams anew if the database was restored or another server took over; True if so."""
        with mapped_errors():
            (row,) = await self._reader.fetch("SELECT gateway.check_history_v1()")
        return bool(row[0])

    async def begin_anew(self, inbox: int, epoch: str) -> bool:
        """Begins all streams anew, because this one has become shorter; False if another gateway did it."""
        with mapped_errors():
            (row,) = await self._reader.fetch("SELECT gateway.renew_epochs_once_v1($1, $2)", inbox, epoch)
        return bool(row[0])

    async def prune(self, older_than: timedelta, batch: int) -> int:
        """Forgets events of that age, and what a new epoch left behind; returns how many rows went.

        Deletes at most about `batch` rows, in short transactions: call again until it returns 0. The floor
        is raised before rows go, so that no reader can take a hole for the end.
        """
        with mapped_errors():
            for row in await self._reader.fetch(_EXPIRED_SQL, older_than, batch):
                await self._reader.fetch(_RAISE_FLOOR_SQL, row["inbox"], row["off"])
            (swept,) = await self._reader.fetch(_SWEEP_SQL, batch)
        return int(swept[0])


def own_write_of(row: asyncpg.Record) -> OwnWrite | None:
    """What `gateway.number_own_v1` says; None where it left the numbering to the commit."""
    if row["box"] is None:
        return None
    first = row["top"] - len(row["ops"]) + 1
    columns = zip(row["tbls"], row["ops"], row["ats"], row["records"], row["olds"], strict=True)
    events = [
        event_of({"inbox": row["box"], "off": first + place, **dict(zip(_COLUMNS, item, strict=True))})
        for place, item in enumerate(columns)
    ]
    return OwnWrite(Inbox(row["box"]), Extent(row["top"], row["floor"], row["epoch"]), events)


_COLUMNS = ("tbl", "op", "at", "record", "old")


def event_of(row: asyncpg.Record | dict[str, Any]) -> Event:
    """The event that a row of the stream is."""
    old = row["old"]
    row_before, came_from = old.pop("row", None), old.pop("from", None)
    # A row before that cannot be told is not told; `record` says so for the row itself.
    old.pop("", None)
    return Event(
        inbox=Inbox(row["inbox"]),
        off=row["off"],
        table=row["tbl"],
        operation=row["op"],
        at=row["at"],
        record=row["record"],
        old=old,
        row_before=row_before,
        comes_after=None if came_from is None else Place(came_from["inbox"], came_from["off"]),
    )
