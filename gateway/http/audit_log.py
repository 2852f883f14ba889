"""`GET /api/whatsapp-sessions/{id}/logs`: the audit trail as JSON or CSV."""

import csv
import io
from datetime import datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal
from gateway.domain.session import iso_utc
from gateway.http.api.session_schemas import LogQuery
from gateway.http.auth import Gate
from gateway.http.cursors import make_cursor, parse_cursor
from gateway.http.requests import query_of
from gateway.http.responses import session_id_of, success
from gateway.services.sessions.audit_log import AuditKey, AuditLog, AuditPage, AuditRow

_COLUMNS = ("created_at", "event_type", "message", "actor", "source", "metadata")


class AuditLogRoutes:
    """Serves the audit log of a session."""

    def __init__(self, gate: Gate, audit_log: AuditLog) -> None:
        self._gate = gate
        self._audit_log = audit_log

    def routes(self) -> list[Route]:
        """The route, behind the gate."""
        return [Route("/api/whatsapp-sessions/{id}/logs", self._gate.guard(self._list), methods=["GET"])]

    async def _list(self, request: Request, principal: Principal) -> Response:
        session_id = session_id_of(request)
        principal.require(Act.READ, session_id)
        asked = query_of(request, LogQuery)
        page = await self._audit_log.page(
            session_id,
            event_type=asked.event_type or None,
            limit=asked.limit,
            before=_parse_before(asked.cursor),
            with_upstream=bool(asked.upstream),
        )
        if asked.format == "csv":
            return _csv(session_id, page)
        cursor = make_cursor(page.next[0].isoformat(), *page.next[1:]) if page.next else None
        return success([_data(row) for row in page.rows], next_cursor=cursor)


def _parse_before(text: str) -> AuditKey | None:
    values = parse_cursor(text, datetime, int, int)
    return None if values is None else (datetime.fromisoformat(values[0]), values[1], values[2])


def _data(row: AuditRow) -> dict[str, Any]:
    metadata = row.metadata if isinstance(row.metadata, dict) else {}
    return {
        "id": row.id,
        "event_type": row.event_type,
        "message": row.message,
        "actor": metadata.get("actor"),
        "metadata": row.metadata,
        "created_at": iso_utc(row.created_at),
        "source": row.source,
    }


def _csv(session_id: int, page: AuditPage) -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for row in page.rows:
        data = _data(row)
        data["metadata"] = orjson.dumps(row.metadata).decode() if row.metadata else ""
        writer.writerow([_cell(data[column]) for column in _COLUMNS])
    name = f'attachment; filename="session-{session_id}-logs.csv"'
    return Response(text.getvalue(), media_type="text/csv", headers={"Content-Disposition": name})


def _cell(value: object) -> str:
    """A cell that a spreadsheet shows and does not run: names in it come from outside."""
    text = "" if value is None else str(value)
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
