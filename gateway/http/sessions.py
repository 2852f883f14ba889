"""`/api/whatsapp-sessions`: WasenderAPI's REST shapes, answered by the gateway."""

from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.domain.access import Act, Principal, Role
from gateway.domain.errors import Invalid, NotLinking, UpstreamError
from gateway.domain.linking import Attempt
from gateway.domain.session import Session, SessionStatus, session_data
from gateway.http.api import session_schemas as schemas
from gateway.http.auth import Gate
from gateway.http.cursors import make_cursor, parse_cursor
from gateway.http.requests import body_as, query_of
from gateway.http.responses import json_reply, session_id_of, success
from gateway.services.sessions.cache import SessionKey, SessionQuery
from gateway.services.sessions.reconcile import Reconciler
from gateway.services.sessions.service import Linker, Sessions

_NO_STORE = {"Cache-Control": "no-store"}


class Attempts(Protocol):
    """Where attempts to link a phone are read."""

    async def current(self, session_id: int) -> Attempt | None:
        """The session's newest attempt, or None. Raises StoreUnavailable."""


class Pictures(Protocol):
    """QR codes as pictures."""

    def code_data(self, attempt: Attempt) -> dict[str, Any]:
        """The attempt's code as answers show it."""

    def svg(self, code: str) -> str:
        """The code as an SVG picture."""

    def png(self, code: str) -> bytes:
        """The code as a PNG picture."""


class SessionRoutes:
    """Serves sessions, what is done to them, and the QR codes of those that are being linked."""

    def __init__(
        self,
        gate: Gate,
        sessions: Sessions,
        reconciler: Reconciler,
        linking: Linker,
        attempts: Attempts,
        pictures: Pictures,
    ) -> None:
        self._gate = gate
        self._sessions = sessions
        self._reconciler = reconciler
        self._linking = linking
        self._attempts = attempts
        self._pictures = pictures

    def routes(self) -> list[Route]:
        """The routes, WasenderAPI's and the shop's old ones, behind the gate."""
        base, one = "/api/whatsapp-sessions", "/api/whatsapp-sessions/{id}"
        guard = self._gate.guard
        table = [
            ("GET", base, self._list),
            ("GET", f"{base}/list.php", self._list),
            ("POST", base, self._create),
            ("POST", f"{base}/sync", self._sync),
            ("POST", f"{base}/sync.php", self._sync),
            ("GET", one, self._get),
            ("PUT", one, self._update),
            ("DELETE", one, self._delete),
            ("POST", f"{one}/refresh", self._refresh),
            ("POST", f"{one}/connect", self._connect),
            ("GET", f"{one}/qr-code", self._qr_code),
            ("GET", f"{one}/qrcode", self._qr_code),
            ("GET", f"{one}/status", self._status),
            ("POST", f"{one}/disconnect", self._disconnect),
            ("POST", f"{one}/restart", self._restart),
            ("POST", f"{one}/regenerate-key", self._regenerate_key),
            ("POST", f"{one}/repair-webhook", self._repair_webhook),
        ]
        return [Route(path, guard(endpoint), methods=[method]) for method, path, endpoint in table]

    # ------------------------------------------------------------------------------------------ reading

    async def _list(self, request: Request, principal: Principal) -> Response:
        principal.require(Act.READ)
        asked = query_of(request, schemas.SessionListQuery)
        if _asks_upstream(asked, principal):
            principal.require_everything(Act.MANAGE)
            await self._reconciler.sync(principal.actor)
        sort = asked.sort
        query = SessionQuery(
            only=principal.sessions,
            status=asked.status or None,
            search=asked.search or None,
            sort=schemas.sort_fields(sort),
            limit=asked.limit,
            after=_parse_after(asked.cursor, sort),
            include_gone=asked.include == "gone",
        )
        page = await self._sessions.page(query)
        cursor = make_cursor(sort, page.next.values, page.next.id) if page.next else None
        return success([_data(session) for session in page.sessions], next_cursor=cursor)

    async def _get(self, request: Request, principal: Principal) -> Response:
        session_id = session_id_of(request)
        principal.require(Act.READ, session_id)
        if query_of(request, schemas.SessionDetailQuery).reveal:
            return await self._reveal(principal, session_id)
        return success(_data(await self._session(request, principal, session_id)))

    async def _session(self, request: Request, principal: Principal, session_id: int) -> Session:
        """The session, from upstream if that is asked for or it is not known here; but never by a browser's GET.

        A viewer must ask for it, which counts: made-up numbers would have WasenderAPI asked for each.
        """
        asks = _asks_upstream(query_of(request, schemas.SessionQuery), principal)
        if principal.by_cookie or (principal.role is Role.VIEWER and not asks):
            return await self._sessions.known(session_id)
        return await self._sessions.get(session_id, refresh=asks)

    async def _reveal(self, principal: Principal, session_id: int) -> Response:
        principal.require(Act.MANAGE, session_id)
        if principal.by_cookie:
            await self._sessions.known(session_id)
        session, secrets = await self._sessions.reveal(session_id, principal.actor)
        shown = {"api_key": secrets.api_key or "", "webhook_secret": secrets.webhook_secret or ""}
        return success({**_data(session), **shown}, headers=_NO_STORE)

    async def _status(self, request: Request, principal: Principal) -> Response:
        session_id = session_id_of(request)
        principal.require(Act.READ, session_id)
        data = _data(await self._session(request, principal, session_id))
        shown = {key: data[key] for key in ("id", "status", "checked_at", "source", "stale", "version")}
        return json_reply({"success": True, "status": data["status"], "data": shown})

    # ------------------------------------------------------------------------------------------ changing

    async def _refresh(self, request: Request, principal: Principal) -> Response:
        """Asks upstream how the session is now."""
        session_id = session_id_of(request)
        principal.require(Act.READ, session_id)
        return success(_data(await self._sessions.get(session_id, refresh=True)))

    async def _create(self, request: Request, principal: Principal) -> Response:
        principal.require_everything(Act.MANAGE)
        wish = await body_as(request, schemas.NewSession)
        session = await self._sessions.create(wish.settings(), principal.actor)
        return success(_data(session), 201)

    async def _update(self, request: Request, principal: Principal) -> Response:
        session_id = session_id_of(request)
        principal.require(Act.MANAGE, session_id)
        wish = await body_as(request, schemas.SessionFields)
        session, warning = await self._sessions.update(session_id, wish.settings(), principal.actor)
        beside: dict[str, Any] = {"warning": warning} if warning else {}
        return success(_data(session), **beside)

    async def _delete(self, request: Request, principal: Principal) -> Response:
        session_id = session_id_of(request)
        principal.require(Act.MANAGE, session_id)
        await self._sessions.delete(session_id, principal.actor)
        return success(None)

    async def _disconnect(self, request: Request, principal: Principal) -> Response:
        session_id = session_id_of(request)
        principal.require(Act.MANAGE, session_id)
        status = await self._sessions.disconnect(session_id, principal.actor)
        return success({"status": status})

    async def _restart(self, request: Request, principal: Principal) -> Response:
        session_id = session_id_of(request)
        principal.require(Act.MANAGE, session_id)
        status = await self._sessions.restart(session_id, principal.actor)
        return success({"status": status})

    async def _regenerate_key(self, request: Request, principal: Principal) -> Response:
        session_id = session_id_of(request)
        principal.require(Act.MANAGE, session_id)
        await self._sessions.regenerate_key(session_id, principal.actor)
        # Beside `data` as well: that is where WasenderAPI's own SDK looks for it.
        return success({"api_key": ""}, api_key="")

    async def _repair_webhook(self, request: Request, principal: Principal) -> Response:
        session_id = session_id_of(request)
        principal.require(Act.MANAGE, session_id)
        return success(_data(await self._sessions.repair_webhook(session_id, principal.actor)))

    async def _sync(self, request: Request, principal: Principal) -> Response:
        principal.require_everything(Act.MANAGE)
        report = await self._reconciler.sync(principal.actor)
        data = {
            "created": report.created,
            "updated": report.updated,
            "gone": report.gone,
            "unchanged": report.unchanged,
            "synced_count": report.created + report.updated + report.unchanged,
            "total_sessions": report.total,
            "errors": report.errors,
        }
        return success(data)

    # ------------------------------------------------------------------------------------------ linking

    async def _connect(self, request: Request, principal: Principal) -> Response:
        """Answers at once with the state; codes follow by push, or from `/qr-code`."""
        session_id = session_id_of(request)
        principal.require(Act.CONNECT, session_id)
        session = await self._sessions.get(session_id)
        if session.status == SessionStatus.CONNECTED and await self._is_linked(session_id):
            return success({"session_id": session_id, "status": session.status}, headers=_NO_STORE)
        attempt = await self._linking.connect(session_id, principal.actor)
        code = self._pictures.code_data(attempt) if attempt is not None else {}
        status = session.status
        if attempt is not None and attempt.ended_at is None:
            status = str(SessionStatus.NEED_SCAN if attempt.code else SessionStatus.CONNECTING)
        data = {"session_id": session_id, "status": status, **code}
        return success(data, headers=_NO_STORE)

    async def _is_linked(self, session_id: int) -> bool:
        """What upstream says; our own word may be a ghost's. False if it cannot be asked now."""
        try:
            session = await self._sessions.get(session_id, refresh=True)
        except UpstreamError as error:
            if not error.retryable:
                raise
            return False
        return session.status == SessionStatus.CONNECTED

    async def _qr_code(self, request: Request, principal: Principal) -> Response:
        session_id = session_id_of(request)
        principal.require(Act.SEE_QR, session_id)
        wanted = query_of(request, schemas.CodeQuery).format
        attempt = await self._attempts.current(session_id)
        if attempt is None or attempt.ended_at is not None:
            raise NotLinking("This session is not being linked. Start with connect.")
        now = datetime.now(UTC).timestamp()
        is_shown = attempt.code is not None and (attempt.expires_at or now) > now and not attempt.scanned_at
        if wanted == "json":
            data = self._pictures.code_data(attempt)
            if not is_shown:
                data |= {"qr_code": None, "qrCode": None}
            return success(data, headers=_NO_STORE, qr_code=data["qr_code"])
        if not is_shown or attempt.code is None:
            raise NotLinking("There is no code to scan right now. Try again in a moment.")
        if wanted == "svg":
            return Response(self._pictures.svg(attempt.code), media_type="image/svg+xml", headers=_NO_STORE)
        if wanted == "png":
            return Response(self._pictures.png(attempt.code), media_type="image/png", headers=_NO_STORE)
        return Response(attempt.code, media_type="text/plain", headers=_NO_STORE)


def _asks_upstream(asked: schemas.SessionListQuery | schemas.SessionQuery, principal: Principal) -> bool:
    """Whether `?refresh=1` counts: a browser's GET changes nothing, also when a foreign page made it send one."""
    return bool(asked.refresh) and not principal.by_cookie


def _data(session: Session) -> dict[str, Any]:
    return session_data(session, datetime.now(UTC))


def _parse_after(cursor: str, sort: str) -> SessionKey | None:
    """The end of the page before. Raises Invalid for a cursor of a list in another order."""
    found = parse_cursor(cursor, str, list, int)
    if found is None:
        return None
    order, values, session_id = found
    is_whole = len(values) == len(schemas.sort_fields(sort))
    if order != sort or not is_whole or not all(value is None or isinstance(value, str) for value in values):
        raise Invalid("This cursor belongs to a list in another order. Begin at the first page.")
    return SessionKey(tuple(values), session_id)
