"""Sending by WasenderAPI, and what belongs to it: message info, edits, deletions, typing, read receipts, files.

`send` never raises what upstream does: its answers say whether the message was accepted, surely not sent, refused for
what it is, or neither. It makes one call; a `WasenderClient` repeats no send by itself.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from gateway.domain.errors import (
    NotFound,
    SessionNotFound,
    UpstreamError,
    UpstreamFailed,
    UpstreamInvalid,
    UpstreamLimit,
    UpstreamRateLimited,
    UpstreamUnauthorized,
)
from gateway.domain.message import DeliveryState, bare_jid
from gateway.domain.sending import Accepted, Answer, NotSent, Refused, Unclear
from gateway.services.sending.checks import LoggedSend
from gateway.wasender import calls, payloads
from gateway.wasender.calls import UpstreamCall, of_key
from gateway.wasender.client import WasenderClient
from gateway.wasender.http_transport import NOT_REACHED, Upload
from gateway.wasender.message_events import delivery_state
from gateway.wasender.message_identity import key_id
from gateway.wasender.restrictions import is_restriction
from gateway.wasender.send_log import logged_sends
from gateway.wasender.values import number

Presence = Literal["composing", "recording", "paused"]

_SEND_PATH = "/send-message"
_NOT_DONE_YET = frozenset({307, 308})
"""A redirect with one of these asks for the same call elsewhere (RFC 9110 §15.4); it is not followed."""
_MOVED = frozenset({301, 302})
"""These mean the same where the path stays. To another path they may also come after the work, as from a form."""
_MAYBE_DONE = frozenset({408, 409, 425, 499})
"""Of the 4xx, those that tell of a call that was under way."""
_NOT_ON_WHATSAPP = ("does not exist on whatsapp", "jid does not exist", "not on whatsapp")


@dataclass(frozen=True, slots=True)
class MessageInfo:
    """What upstream knows of one message that it took over."""

    msg_id: int
    key_id: str | None
    """WhatsApp's id; None while WhatsApp has not got it."""
    chat: str | None
    state: DeliveryState | None
    """How far it came; None where that cannot be read."""
    at: float | None = None
    """Unix seconds of the message, whole ones."""


class Messages:
    """The calls about messages, made with a session's own key.

    Raises `UpstreamError` classes, and NotFound for a message that upstream does not know any more.
    """

    def __init__(self, client: WasenderClient) -> None:
        """`client` repeats other calls by its own policy; sends it repeats by none."""
        self._client = client
        self._once = client.with_retry_policy(calls.ONCE)

    async def send(self, api_key: str, payload: Mapping[str, Any]) -> Answer:
        """Hands a message over, once."""
        call = of_key(calls.SEND, "POST", _SEND_PATH, api_key, dict(payload))
        try:
            reply = payloads.send_reply(await self._once.by_key(call, api_key))
        except UpstreamError as error:
            return answer_of(error)
        return Accepted(reply.msg_id, spent_s=self._client.pause_left(call) or None)

    async def info(self, api_key: str, msg_id: int) -> MessageInfo:
        """What became of a message."""
        with _about_message():
            data = await self._call(api_key, "get_message_info", "GET", f"/messages/{int(msg_id)}/info")
        if not isinstance(data, dict):
            raise UpstreamFailed("WasenderAPI sent something that says nothing of the message.")
        key = data.get("key")
        key = key if isinstance(key, dict) else {"id": data.get("id"), "remoteJid": data.get("remoteJid")}
        chat = key.get("remoteJid")
        return MessageInfo(
            msg_id=int(msg_id),
            key_id=key_id(key),
            chat=bare_jid(chat) if isinstance(chat, str) and chat else None,
            state=delivery_state(data.get("status")),
            at=number(data.get("messageTimestamp")),
        )

    async def logged(self, session_id: int, most: int) -> list[LoggedSend]:
        """The newest entries of the log of sends that have not failed; none where no log is kept."""
        return logged_sends(await self._client.get_message_logs(session_id, 1, most))

    async def edit(self, api_key: str, msg_id: int, text: str) -> None:
        """Gives a sent message another text, for everyone."""
        with _about_message():
            await self._call(api_key, "edit_message", "PUT", f"/messages/{int(msg_id)}", {"text": text})

    async def delete(self, api_key: str, msg_id: int) -> None:
        """Deletes a sent message for everyone."""
        with _about_message():
            await self._call(api_key, "delete_message", "DELETE", f"/messages/{int(msg_id)}")

    async def mark_read(self, api_key: str, key: Mapping[str, Any]) -> None:
        """Shows the customer that a message was read. `key` is that of its webhook."""
        await self._call(api_key, "mark_read", "POST", "/messages/read", {"key": dict(key)})

    async def show_presence(self, api_key: str, jid: str, presence: Presence) -> None:
        """Shows the customer that the shop types, records, or has stopped."""
        body = {"jid": jid, "type": presence}
        await self._call(api_key, "send_presence", "POST", "/send-presence-update", body)

    async def is_on_whatsapp(self, api_key: str, address: str) -> bool:
        """Whether a number, JID or LID has WhatsApp. Ask only when a person wants to know: asking gets banned."""
        path = f"/on-whatsapp/{quote(address, safe='')}"
        data = await self._call(api_key, "is_on_whatsapp", "GET", path)
        exists = data.get("exists") if isinstance(data, dict) else None
        if not isinstance(exists, bool):
            raise UpstreamFailed("WasenderAPI did not say whether the number has WhatsApp.")
        return exists

    async def lid_of(self, api_key: str, phone: str) -> str | None:
        """The LID of a phone number; None where upstream knows none."""
        return await self._address(api_key, "get_lid", f"/lid-from-pn/{quote(phone, safe='')}", "lid")

    async def phone_jid_of(self, api_key: str, lid: str) -> str | None:
        """The phone number's JID behind a LID; None where upstream knows none."""
        return await self._address(api_key, "get_phone", f"/pn-from-lid/{quote(lid, safe='')}", "pn")

    async def upload(self, api_key: str, file: Upload) -> str:
        """The address under which upstream holds the file for 24 hours."""
        call = of_key(calls.UPLOAD, "POST", "/upload", api_key)
        data = await self._client.by_key(_with_upload(call, file), api_key)
        url = data.get("publicUrl") if isinstance(data, dict) else None
        if not isinstance(url, str) or not url.startswith(("https://", "http://")):
            raise UpstreamFailed("WasenderAPI took the file but did not say where it is.")
        return url

    async def upload_file(self, api_key: str, chunks: AsyncIterator[bytes], mime: str, size: int) -> str:
        """`upload` of a file that comes in pieces."""
        return await self.upload(api_key, Upload(chunks, mime, size))

    async def _address(self, api_key: str, name: str, path: str, field: str) -> str | None:
        try:
            data = await self._call(api_key, name, "GET", path)
        except SessionNotFound:  # upstream's 404 here is about the person
            return None
        found = data.get(field) if isinstance(data, dict) else None
        return bare_jid(found) if isinstance(found, str) and found else None

    async def _call(
        self, api_key: str, name: str, method: str, path: str, body: dict[str, Any] | None = None
    ) -> Any:
        return await self._client.by_key(of_key(name, method, path, api_key, body), api_key)


@contextlib.contextmanager
def _about_message() -> Iterator[None]:
    """A 404 of these calls is about the message, unless upstream says that the session is gone."""
    try:
        yield
    except SessionNotFound as missing:
        if "session" in missing.message.partition("It says:")[2].lower():
            raise
        raise NotFound("WasenderAPI does not know this message any more.") from None


def _with_upload(call: UpstreamCall, file: Upload) -> UpstreamCall:
    return UpstreamCall(call.name, call.method, call.path, call.bucket, upload=file)


def answer_of(error: UpstreamError) -> Answer:
    """What a failed send means for the message.

    `Unclear` is the rule. Everything else is said only where upstream, or the network, leaves no doubt.
    """
    words = error.message.lower()
    if error.details == NOT_REACHED:
        return NotSent("not_reached", error.message, error.retry_after_s)
    if isinstance(error, UpstreamRateLimited):  # without a status: held back here, and never called
        if error.status in (None, 429):
            return NotSent("rate_limit", error.message, error.retry_after_s)
        return Unclear(error.message)  # words about pace may come after half the work
    if isinstance(error, UpstreamUnauthorized):
        return NotSent("unauthorized", error.message)
    status = error.status
    if (error.details or {}).get("reason") == "not_connected":
        return NotSent("not_connected", error.message)
    if status in _NOT_DONE_YET or (status in _MOVED and _is_same_call_elsewhere(error)):
        return NotSent("not_reached", error.message)
    is_restricted = is_restriction(words) or is_restriction(_field_errors(error))
    if is_restricted and status is not None and (status < 300 or 400 <= status < 500):
        return NotSent("restricted", error.message)  # also beside a 200: this send was refused
    if status is None or not 400 <= status < 500 or status in _MAYBE_DONE:
        return Unclear(error.message, is_restricted)
    return _refusal(error, words)


def _is_same_call_elsewhere(error: UpstreamError) -> bool:
    path = (error.details or {}).get("location")
    return isinstance(path, str) and path.rstrip("/").endswith(_SEND_PATH)


def _field_errors(error: UpstreamError) -> str:
    found = (error.details or {}).get("errors")
    return " ".join(map(str, found.values())) if isinstance(found, dict) else ""


def _refusal(error: UpstreamError, words: str) -> Answer:
    """A 4xx: upstream did not take the message; the words tell whether it ever will."""
    if "not connected" in words:
        return NotSent("not_connected", error.message)
    if isinstance(error, UpstreamLimit):
        return NotSent("subscription", error.message)
    if isinstance(error, SessionNotFound) or error.status == 404:
        return NotSent("gone", error.message)
    if isinstance(error, UpstreamInvalid):
        told = f"{words} {error.details}".lower()
        is_stranger = any(word in told for word in _NOT_ON_WHATSAPP)
        return Refused(error.message, "not_on_whatsapp" if is_stranger else "invalid")
    if error.status == 413:
        return Refused(error.message, "too_large")
    if error.status in (403, 405):  # a firewall in between, or a path that is another's
        return NotSent("not_reached", error.message)
    return Unclear(error.message)
