"""The audit trail of a session, merged with upstream's own log on request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

UPSTREAM_PAGE = 100
MAX_UPSTREAM_PAGES = 10

_FOREVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TrailNote:
    """A row of the audit trail, to be written together with what it tells of."""

    event: str
    sentence: str
    metadata: dict[str, Any]


Log = Callable[[int, str, str, dict[str, Any]], Awaitable[None]]
"""(session id, event type, sentence, metadata) → one row of the audit trail."""


@dataclass(frozen=True, slots=True)
class TrailRow:
    id: int
    event_type: str
    message: str | None
    metadata: dict[str, Any] | None
    created_at: datetime | None
    source: Literal["gateway", "upstream"]


@dataclass(frozen=True, slots=True)
class TrailPage:
    rows: list[TrailRow]
    """Newest first."""
    next: tuple[datetime, int] | None
    """Where the next page begins; None on the last one."""


class TrailStore(Protocol):
    async def read(
        self, session_id: int, event_type: str | None, limit: int, before: tuple[datetime, int] | None
    ) -> list[TrailRow]: ...


class UpstreamLogs(Protocol):
    async def get_session_logs(self, session_id: int, page: int, per_page: int) -> dict[str, Any]:
        """Upstream's paginator: `data` is a list of rows, newest first, `last_page` a number."""


class Trail:
    def __init__(self, store: TrailStore, upstream: UpstreamLogs) -> None:
        self._store = store
        self._upstream = upstream

    async def page(
        self,
        session_id: int,
        *,
        event_type: str | None,
        limit: int,
        before: tuple[datetime, int] | None,
        with_upstream: bool,
    ) -> TrailPage:
        """One page of our own rows, and with them upstream's of the same span of time."""
        found = await self._store.read(session_id, event_type, limit + 1, before)
        rows, has_more = found[:limit], len(found) > limit
        last = rows[-1] if rows else None
        following = (last.created_at or _FOREVER, last.id) if has_more and last else None
        if with_upstream:
            oldest = following[0] if following else None
            newest = before[0] if before else None
            rows += await self._of_upstream(session_id, event_type, newest, oldest)
            rows.sort(key=lambda row: row.created_at or datetime.min.replace(tzinfo=UTC), reverse=True)
        return TrailPage(rows, following)

    async def _of_upstream(
        self, session_id: int, event_type: str | None, newest: datetime | None, oldest: datetime | None
    ) -> list[TrailRow]:
        """Upstream's rows older than `newest` and not older than `oldest`; None = no bound."""
        rows: list[TrailRow] = []
        for number in range(1, MAX_UPSTREAM_PAGES + 1):
            answer = await self._upstream.get_session_logs(session_id, number, UPSTREAM_PAGE)
            page = [row for item in answer.get("data") or [] if (row := _row(item)) is not None]
            for row in page:
                is_in = (newest is None or _at(row) < newest) and (oldest is None or _at(row) >= oldest)
                if is_in and (event_type is None or row.event_type == event_type):
                    rows.append(row)
            is_past = oldest is not None and bool(page) and _at(page[-1]) < oldest
            if is_past or not page or number >= int(answer.get("last_page") or 1):
                break
        return rows


def _row(item: object) -> TrailRow | None:
    if not isinstance(item, dict):
        return None
    try:
        at = datetime.fromisoformat(str(item.get("occurred_at") or item.get("created_at")))
    except ValueError:
        return None
    status = str(item.get("status") or "").lower() or None
    number = item.get("id")
    return TrailRow(
        id=number if isinstance(number, int) else 0,
        event_type=str(item.get("event_type") or "unknown"),
        message=f"WasenderAPI: {status}." if status else "WasenderAPI.",
        metadata={"status": status},
        created_at=at if at.tzinfo else at.replace(tzinfo=UTC),
        source="upstream",
    )


def _at(row: TrailRow) -> datetime:
    return row.created_at or _FOREVER
