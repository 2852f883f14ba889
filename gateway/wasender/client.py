"""Calls WasenderAPI. Every answer becomes a value or an error of the domain; nothing else comes out.

Lifecycle: `async with WasenderClient(...)` opens and closes the pool of HTTP connections. Account calls take
their token from the provider given to the constructor, session calls get the session's key as an argument.
All go through `_request`, the one place for pacing and repeating, by the rules of `rate_limiter` and `calls`. By itself
a client repeats nothing but a call whose token was renewed; `with_retry_policy` gives one that does where it is
safe. (aiohttp repeats idempotent methods only, and only when a kept-alive connection turns out to be closed.)
"""

import asyncio
import copy
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Self
from urllib.parse import quote

from gateway.domain.contacts import ContactFact
from gateway.domain.errors import (
    SessionNotFound,
    UpstreamError,
    UpstreamFailed,
    UpstreamRateLimited,
    UpstreamUnauthorized,
)
from gateway.domain.session import ConnectReply, SendReply, UpstreamSession
from gateway.wasender import calls as calls
from gateway.wasender import payloads
from gateway.wasender.calls import UpstreamCall, of_key, of_session
from gateway.wasender.contact_events import contacts
from gateway.wasender.errors import scrub, spent_for, upstream_error
from gateway.wasender.http_transport import DEFAULT_TIMEOUTS, Answer, HttpTransport, Timeouts, api_root
from gateway.wasender.message_identity import phone_in
from gateway.wasender.rate_limiter import RateLimiter, count
from gateway.wasender.values import number

logger = logging.getLogger(__name__)

TokenProvider = Callable[[bool], Awaitable[str]]
"""Gives the account token. The argument asks for a fresh one, past any cache, after a 401."""

MAX_PAGES = 200
CONTACTS_PER_PAGE = 100
_TOKEN = re.compile(r"[\x21-\x7e]+")


class WasenderClient:
    """WasenderAPI's calls. Raises ConfigError for a base URL that a token must not be sent to.

    Every method raises `UpstreamError` classes only (see domain/errors.py), and what the token provider
    raises. `UpstreamTimeout` means that it cannot be known whether it was done, unless its `details` say
    `{"reason": "not_reached"}`. `clock` gives unix seconds, `roll` 0 ≤ x < 1.
    """

    def __init__(
        self,
        base_url: str,
        account_token: TokenProvider,
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        policy: calls.RetryPolicy = calls.ONCE,
        clock: Callable[[], float] = time.time,
        roll: Callable[[], float] = random.random,
    ) -> None:
        self._account_token = account_token
        self._limiter = RateLimiter(roll=roll)
        self._policy = policy
        self._clock = clock
        self._roll = roll
        self._http_transport = HttpTransport(api_root(base_url), timeouts)
        self.max_pages = MAX_PAGES
        """Of the list of sessions: one that says of every page that there is more has no end."""

    async def __aenter__(self) -> Self:
        await self._http_transport.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http_transport.close()

    def with_retry_policy(self, policy: calls.RetryPolicy) -> Self:
        """This client for other callers: the same connections and the same pace. It is not to be opened."""
        other = copy.copy(self)
        other._policy = policy
        return other

    @property
    def root(self) -> str:
        """Where the calls go, ending in `/api`."""
        return self._http_transport.root

    # ------------------------------------------------------------------------------------ account token

    async def auth_check(self) -> None:
        """Returns if the account token is accepted."""
        await self._as_account(UpstreamCall("auth_check", "GET", "/auth-check"))

    async def list_sessions(self) -> list[UpstreamSession]:
        """All sessions of the account, or an error: a list with holes would make sessions look deleted."""
        found: dict[int, UpstreamSession] = {}
        for page in range(1, self.max_pages + 1):
            params = {"page": str(page)} if page > 1 else None
            call = UpstreamCall("list_sessions", "GET", "/whatsapp-sessions", params=params)
            body = await self._as_account(call)
            items, more = payloads.page_of(body, page)
            for item in items:
                session = payloads.session(item)
                found[session.id] = session
            if not more:
                return list(found.values())
        raise UpstreamFailed(f"WasenderAPI lists its sessions on more than {self.max_pages} pages.")

    async def create_session(self, fields: dict[str, Any]) -> UpstreamSession:
        """`fields` as `domain.session_settings` checks them. The reply holds the session's secrets."""
        call = UpstreamCall("create_session", "POST", "/whatsapp-sessions", json_body=fields)
        return payloads.session(_data(await self._as_account(call)))

    async def get_session(self, session_id: int) -> UpstreamSession:
        """The session with its `api_key` and `webhook_secret`."""
        return payloads.session(_data(await self._as_account(of_session("get_session", "GET", session_id))))

    async def update_session(
        self, session_id: int, fields: dict[str, Any]
    ) -> tuple[UpstreamSession, str | None]:
        """The updated session, and upstream's warning if it could not apply the settings at once."""
        body = await self._as_account(of_session("update_session", "PUT", session_id, json_body=fields))
        session = payloads.session(_data(body))
        warning = body.get("warning") if isinstance(body, dict) else None
        if not isinstance(warning, str) or not warning:
            return session, None
        return session, scrub(
            warning, [secret for secret in (session.api_key, session.webhook_secret) if secret]
        )

    async def delete_session(self, session_id: int) -> None:
        """Upstream disconnects it first. Raises SessionNotFound if it is gone already."""
        await self._as_account(of_session("delete_session", "DELETE", session_id))

    async def connect_session(self, session_id: int) -> ConnectReply:
        """Starts linking. The code may be missing still; `connected` may also mean "is connecting"."""
        body = await self._as_account(_action("connect_session", session_id, "connect"))
        return payloads.connect_reply(_data(body))

    async def get_qr_code(self, session_id: int) -> str | None:
        """The raw code to scan now, or None while there is none."""
        call = of_session("get_qr_code", "GET", session_id, "qrcode")
        return payloads.qr_code(_data(await self._as_account(call)))

    async def disconnect_session(self, session_id: int) -> str:
        """Ends the connection and returns the status then. One that has ended already counts as done."""
        try:
            body = await self._as_account(_action("disconnect_session", session_id, "disconnect"))
        except UpstreamFailed as error:  # perhaps the try before this one did it
            if (error.details or {}).get("reason") == "not_connected":
                return "disconnected"
            raise
        try:
            return payloads.status(body)
        except UpstreamFailed:
            return "disconnected"

    async def restart_session(self, session_id: int) -> None:
        """Works on a connected session only; otherwise UpstreamFailed with reason `not_connected`."""
        await self._as_account(_action("restart_session", session_id, "restart"))

    async def regenerate_key(self, session_id: int) -> str:
        """The session's new API key; the old one has stopped working."""
        body = await self._as_account(_action("regenerate_key", session_id, "regenerate-key"))
        for part in (body, _data(body)):
            key = part.get("api_key") if isinstance(part, dict) else None
            if isinstance(key, str) and key:
                return key
        raise UpstreamFailed("WasenderAPI made a new key but did not say which.")

    async def get_session_logs(self, session_id: int, page: int = 1, per_page: int = 50) -> dict[str, Any]:
        """One page of upstream's own session log, in Laravel's form: `data`, `current_page`, `last_page`."""
        return await self._log_page("get_session_logs", session_id, "session-logs", page, per_page)

    async def get_message_logs(self, session_id: int, page: int = 1, per_page: int = 50) -> dict[str, Any]:
        """One page of the log of messages sent through the API, in the same form."""
        return await self._log_page("get_message_logs", session_id, "message-logs", page, per_page)

    # ------------------------------------------------------------------------------------ session key

    async def get_status(self, api_key: str) -> str:
        """The session's status now, lower-case."""
        return payloads.status(await self._request(of_key("get_status", "GET", "/status", api_key), api_key))

    async def get_user(self, api_key: str) -> dict[str, Any]:
        """The linked account: `id` (a JID, possibly with a device part), `name`, `lid`."""
        user = _data(await self._request(of_key("get_user", "GET", "/user", api_key), api_key))
        if not isinstance(user, dict):
            raise UpstreamFailed("WasenderAPI sent something that is not a user.")
        return user

    async def get_phone_of_lid(self, api_key: str, lid: str) -> str | None:
        """The digits of the number behind a LID; None where WhatsApp does not tell it."""
        call = of_key("get_phone_of_lid", "GET", f"/pn-from-lid/{quote(lid, safe='@')}", api_key)
        try:
            data = _data(await self._request(call, api_key))
        except SessionNotFound:
            return None
        return phone_in(data.get("pn") if isinstance(data, dict) else data)

    async def get_contacts(self, api_key: str, page: int) -> tuple[list[ContactFact], bool]:
        """One page of the phone's address book, and whether there are more."""
        params = {"paginated": "true", "page": str(page), "limit": str(CONTACTS_PER_PAGE)}
        call = replace(of_key("get_contacts", "GET", "/contacts", api_key), params=params)
        data = _data(await self._request(call, api_key))
        items = data.get("items") if isinstance(data, dict) else data
        pagination = data.get("pagination") if isinstance(data, dict) else None
        pages = number(pagination.get("totalPages")) if isinstance(pagination, dict) else None
        return contacts(items), bool(items) and pages is not None and page < pages

    async def block_contact(self, api_key: str, phone: str, *, is_blocked: bool) -> None:
        """Blocks a number for the session of that key, or takes it back."""
        action = "block" if is_blocked else "unblock"
        await self._request(of_key("block_contact", "POST", f"/contacts/{phone}/{action}", api_key), api_key)

    async def send_message(self, api_key: str, payload: dict[str, Any]) -> SendReply:
        """Hands a message over. After UpstreamTimeout or a 5xx it may have been sent: do not just repeat."""
        call = of_key(calls.SEND, "POST", "/send-message", api_key, payload)
        return payloads.send_reply(_data(await self._request(call, api_key)))

    async def by_key(self, call: UpstreamCall, api_key: str) -> Any:
        """Any other call with a session's key: the `data` of its answer, or all of it where it has none."""
        return _data(await self._request(call, api_key))

    def pause_left(self, call: UpstreamCall) -> float:
        """For how many seconds upstream wants no more such calls; 0 if it has not said so."""
        return self._limiter.pause_left(call)

    # ------------------------------------------------------------------------------------ the wire

    async def _log_page(
        self, call: str, session_id: int, name: str, page: int, per_page: int
    ) -> dict[str, Any]:
        params = {"page": str(page), "per_page": str(per_page)}
        data = _data(await self._as_account(of_session(call, "GET", session_id, name, params=params)))
        return data if isinstance(data, dict) else {"data": data if isinstance(data, list) else []}

    async def _as_account(self, call: UpstreamCall) -> Any:
        token = await self._account_token(False)
        try:
            return await self._request(call, token)
        except UpstreamUnauthorized:
            renewed = await self._account_token(True)
            if renewed == token:
                raise
        return await self._request(call, renewed)

    async def _request(self, call: UpstreamCall, token: str) -> Any:
        """One call, made as often as the caller's patience allows; the body of a success (`{}` if empty)."""
        if not _TOKEN.fullmatch(token):  # aiohttp would refuse the header with the token in its message
            raise UpstreamUnauthorized("There is no WasenderAPI token, or it has characters no token has.")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._policy.total_s
        failures = 0
        while True:
            try:
                return await self._try(call, token, deadline)
            except UpstreamError as error:
                failures += 1
                left_s, roll = deadline - loop.time(), self._roll()
                wait_s = calls.repeat_after(call, error, failures, self._policy, left_s, roll)
                if wait_s is None:
                    raise
                logger.info("upstream.repeats call=%s failures=%d error=%s", call.name, failures, error.code)
            await asyncio.sleep(wait_s)

    async def _try(self, call: UpstreamCall, token: str, deadline: float) -> Any:
        """One exchange, in its turn. What it says about pace is heeded before the next one has its turn."""
        async with self._limiter.turn(call, self._policy, deadline):
            outcome: UpstreamError | str = "cancelled"
            try:
                body = self._read(call, await self._exchange(call, token), token)
                outcome = "ok"
                return body
            except UpstreamError as error:
                outcome = error
                if isinstance(error, UpstreamRateLimited):
                    self._pause(call, error.retry_after_s or 0.0, refused=True)
                raise
            finally:
                count(call, outcome)

    async def _exchange(self, call: UpstreamCall, token: str) -> Answer:
        started = time.monotonic()
        status: object = "none"
        try:
            answer = await self._http_transport.exchange(
                call.method,
                call.path,
                token,
                call.json_body,
                call.params,
                call.upload,
                own_connection=call.needs_own_connection,
            )
            status = answer.status
            return answer
        finally:
            ms = (time.monotonic() - started) * 1000
            method, path = call.method, call.path
            logger.debug("upstream.called method=%s path=%s status=%s ms=%.0f", method, path, status, ms)

    def _read(self, call: UpstreamCall, answer: Answer, token: str) -> Any:
        body, now_s = answer.body, self._clock()
        if 200 <= answer.status < 300 and body is not None and not _says_no(body):
            if self._limiter.believes(call) and (spent_s := spent_for(answer.headers, now_s)) is not None:
                self._pause(call, spent_s, refused=False)
            return body
        safe = scrub(body, (token,))
        raise upstream_error(
            answer.status, answer.headers, safe, now_s=now_s, about_session=call.is_about_session
        )

    def _pause(self, call: UpstreamCall, seconds: float, *, refused: bool) -> None:
        if self._limiter.pause(call, seconds, refused=refused):
            logger.info("upstream.pauses call=%s path=%s seconds=%.1f", call.name, call.path, seconds)


def _says_no(body: Any) -> bool:
    return isinstance(body, dict) and body.get("success") is False


def _action(name: str, session_id: int, action: str) -> UpstreamCall:
    return of_session(name, "POST", session_id, action, json_body={})


def _data(body: Any) -> Any:
    """The `data` of an envelope; a body without one is its own data."""
    return body["data"] if isinstance(body, dict) and "data" in body else body
