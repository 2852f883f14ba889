"""The audit log of a session, merged with upstream's own log on request."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

from gateway.domain.errors import SessionNotFound

UPSTREAM_PAGE = 100
MAX_UPSTREAM_PAGES = 10

UNDATED = datetime.fromtimestamp(0, UTC)
"""Where a row without a time stands: at the very end."""


@dataclass(frozen=True, slots=True)
class AuditNote:
    """A row of the audit log, to be written together with what it tells of."""

    event: str
    sentence: str
    metadata: dict[str, Any]


Log = Callable[[int, str, str, dict[str, Any]], Awaitable[None]]
"""(session id, event type, sentence, metadata) → one row of the audit log."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry of the log, ours or upstream's."""

    id: int
    event_type: str
    message: str | None
    metadata: dict[str, Any] | None
    created_at: datetime | None
    source: Literal["gateway", "upstream"]


AuditKey = tuple[datetime, int, int]
"""Where a row stands: its time, whether it is ours (1) or upstream's (0), and its number there. Newest is greatest."""


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Rows of the log, and where the next page begins."""

    rows: list[AuditRow]
    """Newest first."""
    next: AuditKey | None
    """The last row of the page; None on the last one."""


class AuditLogStore(Protocol):
    """Our own rows of the log. Raises StoreUnavailable."""

    async def read(
        self, session_id: int, event_type: str | None, limit: int, before: tuple[datetime, int] | None
    ) -> list[AuditRow]:
        """Our own rows, newest first; those before this time and number."""


class UpstreamLogs(Protocol):
    """Upstream's rows of the log. Raises UpstreamError."""

    async def get_session_logs(self, session_id: int, page: int, per_page: int) -> dict[str, Any]:
        """Upstream's paginator: `data` is a list of rows, newest first, `last_page` a number."""


class AuditLog:
    """Reads the log page by page, ours alone or merged with upstream's."""

    def __init__(
        self, store: AuditLogStore, upstream: UpstreamLogs, on_gone: Callable[[int], Awaitable[object]]
    ) -> None:
        """`on_gone` is told of a session that upstream does not have."""
        self._store = store
        self._upstream = upstream
        self._on_gone = on_gone

    async def page(
        self,
        session_id: int,
        *,
        event_type: str | None,
        limit: int,
        before: AuditKey | None,
        with_upstream: bool,
    ) -> AuditPage:
        """The next `limit` rows behind `before`, of our own log or of both merged."""
        rows = await self._store.read(session_id, event_type, limit + 1, _before_of_ours(before))
        if with_upstream:
            rows += await self._of_upstream(session_id, event_type, limit + 1, before)
            rows.sort(key=_key, reverse=True)
        shown = rows[:limit]
        return AuditPage(shown, _key(shown[-1]) if len(rows) > limit else None)

    async def _of_upstream(
        self, session_id: int, event_type: str | None, limit: int, before: AuditKey | None
    ) -> list[AuditRow]:
        rows: list[AuditRow] = []
        for number in range(1, MAX_UPSTREAM_PAGES + 1):
            try:
                answer = await self._upstream.get_session_logs(session_id, number, UPSTREAM_PAGE)
            except SessionNotFound:
                await self._on_gone(session_id)
                raise
            page = [row for item in answer.get("data") or [] if (row := _row(item)) is not None]
            rows += [
                row
                for row in page
                if (before is None or _key(row) < before)
                and (event_type is None or row.event_type == event_type)
            ]
            if len(rows) >= limit or not page or number >= int(answer.get("last_page") or 1):
                break
        return sorted(rows, key=_key, reverse=True)[:limit]


def _key(row: AuditRow) -> AuditKey:
    return (row.created_at or UNDATED, int(row.source == "gateway"), row.id)


def _before_of_ours(before: AuditKey | None) -> tuple[datetime, int] | None:
    """As a place among our own rows, which come before upstream's of the same moment."""
    if before is None:
        return None
    at, is_ours, number = before
    return (at, number if is_ours else 0)


def _row(item: object) -> AuditRow | None:
    if not isinstance(item, dict):
        return None
    try:
        at = datetime.fromisoformat(str(item.get("occurred_at") or item.get("created_at")))
    except ValueError:
        return None
    status = str(item.get("status") or "").lower() or None
    number = item.get("id")
    return AuditRow(
        id=number if isinstance(number, int) else 0,
        event_type=str(item.get("event_type") or "unknown"),
        message=f"WasenderAPI: {status}." if status else "WasenderAPI.",
        metadata={"status": status},
        created_at=at if at.tzinfo else at.replace(tzinfo=UTC),
        source="upstream",
    )
