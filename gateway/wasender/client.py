"""Calls WasenderAPI. Every answer becomes a value or an error of the domain; nothing else comes out.

Lifecycle: `async with WasenderClient(...)` opens and closes the pool of HTTP connections. Account calls take
their token from the provider given to the constructor, session calls get the session's key as an argument.
All go through `_request`, the one place for pacing and repeating. Nothing is repeated but a call whose token
was renewed: upstream has no idempotency key, so whoever repeats a call must know what it does. (aiohttp
repeats idempotent methods only, and only when a kept-alive connection turns out to be closed.)
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Self

from gateway.domain.errors import UpstreamFailed, UpstreamUnauthorized
from gateway.domain.session import ConnectReply, SendReply, UpstreamSession
from gateway.wasender import payloads
from gateway.wasender.faults import fault, scrub
from gateway.wasender.wire import Wire, api_root

log = logging.getLogger(__name__)

TokenProvider = Callable[[bool], Awaitable[str]]
"""Gives the account token. The argument asks for a fresh one, past any cache, after a 401."""

MAX_PAGES = 200
_TOKEN = re.compile(r"[\x21-\x7e]+")


class WasenderClient:
    """WasenderAPI's calls. Raises ConfigError for a base URL that a token must not be sent to.

    Every method raises `UpstreamError` classes only (see domain/errors.py), and what the token provider
    raises. `UpstreamTimeout` means that nobody knows whether it was done, unless its `details` say
    `{"reason": "not_reached"}`.
    """

    def __init__(
        self,
        base_url: str,
        account_token: TokenProvider,
        *,
        timeout_s: float = 15.0,
        connect_timeout_s: float = 5.0,
    ) -> None:
        self._account_token = account_token
        self._wire = Wire(api_root(base_url), timeout_s=timeout_s, connect_timeout_s=connect_timeout_s)

    async def __aenter__(self) -> Self:
        await self._wire.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._wire.close()

    @property
    def root(self) -> str:
        """Where the calls go, ending in `/api`."""
        return self._wire.root

    # ------------------------------------------------------------------------------------ account token

    async def auth_check(self) -> None:
        """Returns if the account token is accepted."""
        await self._as_account("GET", "/auth-check", about_session=False)

    async def list_sessions(self) -> list[UpstreamSession]:
        """All sessions of the account, or an error: a list with holes would make sessions look deleted."""
        found: dict[int, UpstreamSession] = {}
        for page in range(1, MAX_PAGES + 1):
            params = {"page": str(page)} if page > 1 else None
            body = await self._as_account("GET", "/whatsapp-sessions", params=params, about_session=False)
            items, more = payloads.page_of(body, page)
            for item in items:
                session = payloads.session(item)
                found[session.id] = session
            if not more:
                return list(found.values())
        raise UpstreamFailed(f"WasenderAPI lists its sessions on more than {MAX_PAGES} pages.")

    async def create_session(self, fields: dict[str, Any]) -> UpstreamSession:
        """`fields` as checked by `payloads.session_fields`. The reply holds the session's secrets."""
        body = await self._as_account("POST", "/whatsapp-sessions", json_body=fields, about_session=False)
        return payloads.session(_data(body))

    async def get_session(self, session_id: int) -> UpstreamSession:
        """The session with its `api_key` and `webhook_secret`."""
        return payloads.session(_data(await self._as_account("GET", _path(session_id))))

    async def update_session(
        self, session_id: int, fields: dict[str, Any]
    ) -> tuple[UpstreamSession, str | None]:
        """The updated session, and upstream's warning if it could not apply the settings at once."""
        body = await self._as_account("PUT", _path(session_id), json_body=fields)
        session = payloads.session(_data(body))
        warning = body.get("warning") if isinstance(body, dict) else None
        if not isinstance(warning, str) or not warning:
            return session, None
        return session, scrub(
            warning, [secret for secret in (session.api_key, session.webhook_secret) if secret]
        )

    async def delete_session(self, session_id: int) -> None:
        """Upstream disconnects it first. Raises SessionNotFound if it is gone already."""
        await self._as_account("DELETE", _path(session_id))

    async def connect_session(self, session_id: int) -> ConnectReply:
        """Starts linking. The code may be missing still; `connected` may also mean "is connecting"."""
        body = await self._as_account("POST", _path(session_id, "connect"), json_body={})
        return payloads.connect_reply(_data(body))

    async def get_qr_code(self, session_id: int) -> str | None:
        """The raw code to scan now, or None while there is none."""
        return payloads.qr_code(_data(await self._as_account("GET", _path(session_id, "qrcode"))))

    async def disconnect_session(self, session_id: int) -> str:
        """Ends the connection and returns the status then."""
        body = await self._as_account("POST", _path(session_id, "disconnect"), json_body={})
        try:
            return payloads.status(body)
        except UpstreamFailed:
            return "disconnected"

    async def restart_session(self, session_id: int) -> None:
        """Works on a connected session only; otherwise UpstreamFailed with reason `not_connected`."""
        await self._as_account("POST", _path(session_id, "restart"), json_body={})

    async def regenerate_key(self, session_id: int) -> str:
        """The session's new API key; the old one has stopped working."""
        body = await self._as_account("POST", _path(session_id, "regenerate-key"), json_body={})
        for part in (body, _data(body)):
            key = part.get("api_key") if isinstance(part, dict) else None
            if isinstance(key, str) and key:
                return key
        raise UpstreamFailed("WasenderAPI made a new key but did not say which.")

    async def get_session_logs(self, session_id: int, page: int = 1, per_page: int = 50) -> dict[str, Any]:
        """One page of upstream's own session log, in Laravel's form: `data`, `current_page`, `last_page`."""
        return await self._log_page(session_id, "session-logs", page, per_page)

    async def get_message_logs(self, session_id: int, page: int = 1, per_page: int = 50) -> dict[str, Any]:
        """One page of the log of messages sent through the API, in the same form."""
        return await self._log_page(session_id, "message-logs", page, per_page)

    # ------------------------------------------------------------------------------------ session key

    async def get_status(self, api_key: str) -> str:
        """The session's status now, lower-case."""
        return payloads.status(await self._request("GET", "/status", api_key))

    async def get_user(self, api_key: str) -> dict[str, Any]:
        """The linked account: `id` (a JID, possibly with a device part), `name`, `lid`."""
        user = _data(await self._request("GET", "/user", api_key))
        if not isinstance(user, dict):
            raise UpstreamFailed("WasenderAPI sent something that is not a user.")
        return user

    async def send_message(self, api_key: str, payload: dict[str, Any]) -> SendReply:
        """Hands a message over. After UpstreamTimeout or a 5xx it may have been sent: do not just repeat."""
        return payloads.send_reply(
            _data(await self._request("POST", "/send-message", api_key, json_body=payload))
        )

    # ------------------------------------------------------------------------------------ the wire

    async def _log_page(self, session_id: int, name: str, page: int, per_page: int) -> dict[str, Any]:
        params = {"page": str(page), "per_page": str(per_page)}
        data = _data(await self._as_account("GET", _path(session_id, name), params=params))
        return data if isinstance(data, dict) else {"data": data if isinstance(data, list) else []}

    async def _as_account(
        self,
        method: str,
        path: str,
        *,
        json_body: dict[str, Any] | None = None,
        params: dict[str, str] | None = None,
        about_session: bool = True,
    ) -> Any:
        token = await self._account_token(False)
        try:
            return await self._request(
                method, path, token, json_body=json_body, params=params, about_session=about_session
            )
        except UpstreamUnauthorized:
            renewed = await self._account_token(True)
            if renewed == token:
                raise
        return await self._request(
            method, path, renewed, json_body=json_body, params=params, about_session=about_session
        )

    async def _request(
        self,
        method: str,
        path: str,
        token: str,
        *,
        json_body: dict[str, Any] | None = None,
        params: dict[str, str] | None = None,
        about_session: bool = True,
    ) -> Any:
        """One call over the wire; returns the parsed body of a success (`{}` if it was empty)."""
        if not _TOKEN.fullmatch(token):  # aiohttp would refuse the header with the token in its message
            raise UpstreamUnauthorized("There is no WasenderAPI token, or it has characters no token has.")
        started = time.monotonic()
        outcome: object = "none"
        try:
            answer = await self._wire.exchange(method, path, token, json_body, params)
            outcome = answer.status
        finally:
            ms = (time.monotonic() - started) * 1000
            log.debug("upstream.called method=%s path=%s status=%s ms=%.0f", method, path, outcome, ms)
        body = answer.body
        if 200 <= answer.status < 300 and body is not None and not _says_no(body):
            return body
        safe = scrub(body, (token,))
        raise fault(answer.status, answer.headers, safe, now_s=time.time(), about_session=about_session)


def _says_no(body: Any) -> bool:
    return isinstance(body, dict) and body.get("success") is False


def _path(session_id: int, action: str = "") -> str:
    return f"/whatsapp-sessions/{int(session_id)}" + (f"/{action}" if action else "")


def _data(body: Any) -> Any:
    """The `data` of an envelope; a body without one is its own data."""
    return body["data"] if isinstance(body, dict) and "data" in body else body
