"""Fault switches: what is to go wrong with the next calls and the next webhooks.

A request fault is chosen by method and path (without the prefix the API is mounted under) before any route
sees the request. A mode changes what the simulator does or sends. Both count down and then go away.
"""

import asyncio
import contextlib
import fnmatch
import re
import socket
import struct
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.simulator.clock import Clock
from gateway.simulator.shapes import WEBHOOK_MODES, Twist

LINK_MODES = frozenset({"slow_qr", "webhook_sync_fails", "connect_fails"})
SEND_ODDITIES = frozenset(
    {
        "sent_early",  # `message.sent` and the echo are delivered before the reply
        "upsert_first",  # the echo comes before `message.sent`
        "msg_id_in_sent",  # `message.sent` names the msgId, which it does not do otherwise
        "sent_as_lid",  # the key names the LID of the recipient, with the number beside it
        "plus_jid",  # `remoteJid: "+491701234567"` in `message.sent`, as the documentation has it
    }
)
SEND_MODES = SEND_ODDITIES | {
    "send_fails",  # accepted, then `message.sent` with success: false
    "restricted",  # a first contact is refused at once (WhatsApp's error 463)
    "restricted_later",  # a first contact is accepted, then fails with error 463
    "states",  # the delivery states of `states`, in this order, and no others
    "never_sent",  # accepted, and nothing is ever heard of it
}
ENGINE_MODES = LINK_MODES | SEND_MODES
MODES = WEBHOOK_MODES | ENGINE_MODES

_PREFIX = re.compile(r"^(/simulator)?/api(?=/|$)")
_BODIES = {
    401: {"success": False, "message": "Invalid API key"},
    403: {"success": False, "message": "Active subscription or trial is required to use the API"},
    404: {"success": False, "error": "The specified session was not found."},
}
_HTML = "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"


@dataclass(slots=True)
class RequestFault:
    """One switch. With several of the same path, the oldest is used up first."""

    path: str
    method: str | None = None
    status: int | None = None
    body: Any = None
    delay_ms: int = 0
    hang: bool = False
    html: bool = False
    empty: bool = False
    drop: Literal["before", "after"] | None = None
    """Cut the connection without an answer: before the request is looked at, or after it was carried out."""
    after: bool = False
    """The request is carried out first; the caller gets the fault all the same."""
    retry_after: int | None = None
    times: int | None = 1
    """How many requests it hits; None: until it is cleared."""

    @property
    def is_carried_out(self) -> bool:
        """Whether the request is done before its caller meets the fault."""
        return self.after or self.drop == "after"

    def matches(self, method: str, path: str) -> bool:
        """Whether the fault is meant for a call of that method and path."""
        if self.method and self.method != method:
            return False
        pattern = re.sub(r"\{[^/}]*\}", "*", _PREFIX.sub("", self.path)) or "/"
        if any(sign in pattern for sign in "*?["):
            return fnmatch.fnmatchcase(path, pattern)
        return path == pattern or path.startswith(pattern.rstrip("/") + "/")


@dataclass(slots=True)
class Mode:
    """A way in which webhooks (or sends, or connect) are odd, for the next `times` of them."""

    mode: str
    event: str | None = None
    """Glob over event names; None: all."""
    session_id: int | None = None
    copies: int = 2
    delay_ms: int = 0
    times: int | None = 1
    states: list[int] | None = None
    """With mode `states`: 0 error, 1 pending, 2 sent, 3 delivered, 4 read, 5 played."""
    status: int | None = None
    """With mode `restricted`: the HTTP status of the refusal."""


@dataclass(slots=True)
class Faults:
    """All switches that are on."""

    clock: Clock
    hang_max_s: float
    requests: list[RequestFault] = field(default_factory=list)
    modes: list[Mode] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Set, and replaced, when held requests shall go."""

    def take_request(self, method: str, path: str) -> RequestFault | None:
        """The fault that this call meets, used up by one; None if it meets none."""
        for fault in self.requests:
            if fault.matches(method, path):
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times <= 0:
                        self.requests.remove(fault)
                return fault
        return None

    def take_mode(self, name: str, session_id: int) -> bool:
        """Whether a mode of the engine is on for this session; uses it up once."""
        return self.use_mode(name, session_id) is not None

    def use_mode(self, name: str, session_id: int) -> Mode | None:
        """The mode of that name that is on for this session, used up once; None if there is none."""
        for mode in list(self.modes):
            if mode.mode == name and self._use(mode, session_id, None):
                return mode
        return None

    def take_twist(self, event: str, session_id: int) -> Twist:
        """What is to be odd about this webhook."""
        twist = Twist()
        for mode in list(self.modes):
            if mode.mode in WEBHOOK_MODES and self._use(mode, session_id, event):
                copies = mode.copies if mode.mode == "duplicate" else 1
                twist |= Twist(frozenset({mode.mode}), copies, mode.delay_ms if mode.mode == "delay" else 0)
        return twist

    def _use(self, mode: Mode, session_id: int, event: str | None) -> bool:
        if mode.session_id not in (None, session_id):
            return False
        if mode.event and (event is None or not fnmatch.fnmatchcase(event, mode.event)):
            return False
        if mode.times is not None:
            mode.times -= 1
            if mode.times <= 0:
                self.modes.remove(mode)
        return True

    def listed(self) -> list[dict[str, Any]]:
        """All switches as the control API shows them."""
        return [asdict(fault) for fault in self.requests] + [asdict(mode) for mode in self.modes]

    def clear(self) -> None:
        """Switches everything off and lets held requests go."""
        self.requests.clear()
        self.modes.clear()
        self.release()

    def release(self) -> None:
        """Lets the requests go that a fault holds."""
        self.released.set()
        self.released = asyncio.Event()


class FaultSwitches:
    """ASGI: lets the faults happen in front of the API."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self.app = app
        self.faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
        fault = self.faults.take_request(scope["method"], path)
        if fault is None:
            await self.app(scope, receive, send)
            return
        reply = await self._carry_out(scope, receive) if fault.is_carried_out else None
        if fault.delay_ms:
            await self.faults.clock.sleep(fault.delay_ms / 1000)
        if fault.hang:
            await self._hold(receive)
            await cut(receive, send)
        elif fault.drop:
            await cut(receive, send)
        elif (answer := _answer(fault)) is not None:
            await answer(scope, receive, send)
        elif reply is not None:
            for message in reply:
                await send(message)
        else:
            await self.app(scope, receive, send)

    async def _hold(self, receive: Receive) -> None:
        """Until the caller gives up, the fault is cleared, or `hang_max_s` has passed."""
        ends = [
            asyncio.create_task(_gone(receive), name="simulator-hang-caller"),
            asyncio.create_task(self.faults.released.wait(), name="simulator-hang-released"),
            asyncio.create_task(self.faults.clock.sleep(self.faults.hang_max_s), name="simulator-hang-limit"),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()
            await asyncio.gather(*ends, return_exceptions=True)

    async def _carry_out(self, scope: Scope, receive: Receive) -> list[Message]:
        """Lets the request be done, and gives the reply that the caller may never see."""
        reply: list[Message] = []

        async def keep(message: Message) -> None:
            reply.append(message)

        await self.app(scope, receive, keep)
        return reply


def _answer(fault: RequestFault) -> Response | None:
    if fault.html:
        return HTMLResponse(_HTML, fault.status or 502)
    if fault.empty:
        return Response(b"", fault.status or 200)
    if fault.status is None and fault.body is None:
        return None
    status = fault.status or 200
    body = fault.body
    if body is None:
        body = _BODIES.get(status, {"success": False, "message": f"Simulated fault with status {status}."})
        if fault.retry_after is not None:
            body = {"message": "Too Many Attempts.", "retry_after": fault.retry_after}
    return Response(status_code=status) if status in (204, 304) else JSONResponse(body, status)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def cut(receive: Receive, send: Send) -> None:
    """Ends the connection without an answer, as a reset where the server lets us at its transport.

    ASGI has no word for this. uvicorn's `receive` is a method of the object that owns the transport; on
    another server the answer is begun and never completed, which a client takes for a broken connection too.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None or not hasattr(transport, "abort"):
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"{", "more_body": True})
        return
    sock = transport.get_extra_info("socket")
    # Linger of zero seconds: close() sends RST instead of FIN.
    with contextlib.suppress(OSError, AttributeError, TypeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    with contextlib.suppress(TimeoutError):
        # The server answers 500 if we return before it knows that the connection is gone.
        async with asyncio.timeout(5):
            await _gone(receive)


def _whole(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def parse_fault(body: dict[str, Any]) -> RequestFault | Mode:
    """A switch as `POST /_simulator/faults` takes it. Raises ValueError with one sentence."""
    times = body.get("times", 1)
    if times is not None and not _whole(times, 1, 10**9):
        raise ValueError("times must be a whole number from 1, or null for until it is cleared.")
    if "mode" in body:
        return _parse_mode(body, times)
    path = body.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise ValueError("A fault needs a path that starts with / (or a mode).")
    unknown = body.keys() - set(RequestFault.__dataclass_fields__)
    if unknown:
        raise ValueError(f"Unknown field: {', '.join(sorted(unknown))}.")
    if body.get("status") is not None and not _whole(body["status"], 200, 599):
        raise ValueError("status must be a whole number from 200 to 599.")
    if not _whole(body.get("delay_ms", 0), 0, 600_000):
        raise ValueError("delay_ms must be a whole number from 0 to 600000.")
    drop = {True: "before", False: None}.get(body.get("drop", False), body.get("drop"))
    if drop not in (None, "before", "after"):
        raise ValueError('drop must be true, "before" or "after".')
    if not isinstance(body.get("after", False), bool):
        raise ValueError("after must be true or false.")
    wishes = ("status", "body", "delay_ms", "hang", "html", "empty")
    if drop is None and not any(body.get(name) for name in wishes):
        raise ValueError("A fault needs one of status, body, delay_ms, hang, html, empty, drop.")
    method = body.get("method")
    return RequestFault(
        path=path,
        method=str(method).upper() if method else None,
        status=body.get("status"),
        body=body.get("body"),
        delay_ms=body.get("delay_ms", 0),
        hang=bool(body.get("hang")),
        html=bool(body.get("html")),
        empty=bool(body.get("empty")),
        drop=drop,  # type: ignore[arg-type]
        after=body.get("after", False),
        retry_after=body.get("retry_after"),
        times=times,
    )


def _parse_mode(body: dict[str, Any], times: int | None) -> Mode:
    if body["mode"] not in MODES:
        raise ValueError(f"mode must be one of {', '.join(sorted(MODES))}.")
    copies, delay_ms = body.get("copies", 2), body.get("delay_ms", 1_000 if body["mode"] == "delay" else 0)
    if not _whole(copies, 1, 100) or not _whole(delay_ms, 0, 600_000):
        raise ValueError("copies must be 1 to 100, delay_ms 0 to 600000.")
    states, status = body.get("states"), body.get("status")
    if (body["mode"] == "states") != (states is not None) or not _are_states(states or []):
        raise ValueError('mode "states" needs states, a list of numbers from 0 to 5.')
    if status is not None and not _whole(status, 400, 599):
        raise ValueError("status must be a whole number from 400 to 599.")
    return Mode(
        body["mode"], body.get("event"), body.get("session_id"), copies, delay_ms, times, states, status
    )


def _are_states(states: Any) -> bool:
    return isinstance(states, list) and len(states) <= 20 and all(_whole(state, 0, 5) for state in states)
