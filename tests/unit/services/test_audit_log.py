"""The audit trail merged with upstream's own log, page by page."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.domain.errors import SessionNotFound
from gateway.services.sessions.audit_log import UPSTREAM_PAGE, AuditKey, AuditLog, AuditRow

START = datetime(2026, 3, 1, tzinfo=UTC)


class Store:
    """Our own rows: one every other minute, two of a minute each, the newest last."""

    def __init__(self, count: int) -> None:
        self.rows = [
            AuditRow(n, "ours", None, None, START + timedelta(minutes=n - n % 2), "gateway")
            for n in range(1, count + 1)
        ]

    async def read(
        self, session_id: int, event_type: str | None, limit: int, before: tuple[datetime, int] | None
    ) -> list[AuditRow]:
        found = [
            row
            for row in reversed(self.rows)
            if row.created_at
            and (before is None or (row.created_at, row.id) < before)
            and event_type in (None, row.event_type)
        ]
        return found[:limit]


class Upstream:
    """Its log: `count` rows, one a minute, the newest first."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.asked: list[int] = []
        self.error: Exception | None = None

    async def get_session_logs(self, session_id: int, page: int, per_page: int) -> dict[str, Any]:
        self.asked.append(page)
        if self.error is not None:
            raise self.error
        numbers = range(self.count, 0, -1)[(page - 1) * per_page : page * per_page]
        return {"data": [self.row(n) for n in numbers], "last_page": -(-self.count // per_page)}

    def row(self, number: int) -> dict[str, Any]:
        at = (START + timedelta(minutes=number)).isoformat()
        return {"id": number, "event_type": "status_change", "status": "connected", "occurred_at": at}


async def nobody(session_id: int) -> None:
    raise AssertionError("nobody is gone")


async def pages(trail: AuditLog, limit: int, event_type: str | None = None) -> list[list[AuditRow]]:
    found: list[list[AuditRow]] = []
    before: AuditKey | None = None
    while True:
        page = await trail.page(12, event_type=event_type, limit=limit, before=before, with_upstream=True)
        found.append(page.rows)
        if page.next is None:
            return found
        before = page.next


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
async def test_pages_of_the_merged_trail_hold_every_row_once_in_order_and_no_more_than_asked(
    limit: int,
) -> None:
    found = await pages(AuditLog(Store(20), Upstream(15), nobody), limit)

    assert all(len(page) == limit for page in found[:-1])
    assert 1 <= len(found[-1]) <= limit
    rows = [row for page in found for row in page]
    assert sorted((row.source, row.id) for row in rows) == [
        *(("gateway", n) for n in range(1, 21)),
        *(("upstream", n) for n in range(1, 16)),
    ]
    times = [row.created_at for row in rows if row.created_at]
    assert times == sorted(times, reverse=True)


async def test_a_page_asks_upstream_no_further_than_it_has_to() -> None:
    upstream = Upstream(5 * UPSTREAM_PAGE)
    page = await AuditLog(Store(3), upstream, nobody).page(
        12, event_type=None, limit=50, before=None, with_upstream=True
    )

    assert len(page.rows) == 50
    assert upstream.asked == [1]


async def test_rows_of_one_kind_are_chosen_from_both() -> None:
    trail = AuditLog(Store(20), Upstream(15), nobody)

    assert {row.source for page in await pages(trail, 4, "ours") for row in page} == {"gateway"}
    assert {row.source for page in await pages(trail, 4, "status_change") for row in page} == {"upstream"}


async def test_a_session_that_upstream_does_not_have_is_told() -> None:
    upstream, gone = Upstream(1), list[int]()
    upstream.error = SessionNotFound("no")

    async def note(session_id: int) -> None:
        gone.append(session_id)

    with pytest.raises(SessionNotFound):
        await pages(AuditLog(Store(1), upstream, note), 5)
    assert gone == [12]
