"""`/api/journal`, for admins: what became of each webhook, and processing again those that went wrong."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal
from gateway.domain.errors import NotFound
from gateway.domain.session import iso_utc
from gateway.http.api.journal_schemas import JournalQuery, RetryQuery
from gateway.http.auth import Gate
from gateway.http.cursors import make_cursor, parse_cursor
from gateway.http.requests import number_in_path, query_of
from gateway.http.responses import success
from gateway.services.webhooks.journal import Entry, Journal, Wanted, parse_outcomes

BASE = "/api/journal"


class JournalRoutes:
    """Serves the journal of webhooks to admins."""

    def __init__(self, gate: Gate, journal: Journal) -> None:
        self._gate = gate
        self._journal = journal

    def routes(self) -> list[Route]:
        """The routes, behind the gate."""
        guard = self._gate.guard
        return [
            Route(BASE, guard(self._list), methods=["GET"]),
            Route(f"{BASE}/retry", guard(self._retry_all), methods=["POST"]),
            Route(f"{BASE}/{{entry}}", guard(self._show), methods=["GET"]),
            Route(f"{BASE}/{{entry}}/retry", guard(self._retry), methods=["POST"]),
        ]

    async def _list(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        asked = query_of(request, JournalQuery)
        entries, following = await self._journal.page(_wanted(asked, principal), asked.limit)
        return success([_data(entry) for entry in entries], next_cursor=_cursor(following))

    async def _show(self, request: Request, principal: Principal) -> Response:
        entry = await self._covered(request, principal)
        return success({**_data(entry), "body": entry.body})

    async def _retry(self, request: Request, principal: Principal) -> Response:
        entry = await self._covered(request, principal)
        retried = await self._journal.retry(entry.id, principal.actor)
        return success({**_data(retried), "body": retried.body})

    async def _retry_all(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.MANAGE)
        asked = query_of(request, RetryQuery)
        wanted = _wanted(asked, principal)
        counts, following = await self._journal.retry_all(wanted, asked.limit, principal.actor)
        return success(
            {"processed": sum(counts.values()), "outcomes": counts}, next_cursor=_cursor(following)
        )

    async def _covered(self, request: Request, principal: Principal) -> Entry:
        """The entry of the path. Raises NotFound also for one of a session that this login does not cover."""
        principal.require(Act.MANAGE)
        number = number_in_path(request, "entry", "an entry")
        entry = await self._journal.entry(number)
        if principal.sessions is not None and not principal.covers(entry.session_id or 0):
            raise NotFound(f"The journal has no entry {number}. Entries are kept for 30 days.")
        return entry


def _wanted(asked: JournalQuery | RetryQuery, principal: Principal) -> Wanted:
    if asked.session is not None:
        principal.require(Act.MANAGE, asked.session)
    sessions = principal.sessions if asked.session is None else {asked.session}
    before = parse_cursor(asked.cursor, int)
    outcomes = parse_outcomes(asked.outcome) if asked.outcome else None
    return Wanted(outcomes, sessions, before[0] if before else None)


def _cursor(following: int | None) -> str | None:
    return None if following is None else make_cursor(following)


def _data(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "received_at": iso_utc(entry.received_at),
        "session_id": entry.session_id,
        "event": entry.event,
        "outcome": entry.outcome,
        "reason": entry.reason,
        "note": entry.note,
        "retries": entry.retries,
        "retried_at": iso_utc(entry.retried_at),
        "retried_by": entry.retried_by,
        "has_body": entry.has_body,
    }
