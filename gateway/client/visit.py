"""One connection from its first frame to its close: what is said on it, how long its silence may last, its login."""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.client.login import Login

logger = logging.getLogger(__name__)

UNAUTHORISED = 4501
WELCOME_WITHIN_S = 10.0
SPEAK_EVERY_S = 55.0
"""The server closes (4009) whom it has not heard for 90 s."""


class Visit:
    """Frames go to `receive`; `welcomed` is called when the server has let us in."""

    def __init__(
        self,
        login: Login,
        receive: Callable[[Mapping[str, Any]], None],
        welcomed: Callable[[], None],
        check_every_s: float,
    ) -> None:
        self._check_every_s = check_every_s
        self._login = login
        self._on_frame = receive
        self._on_welcome = welcomed
        self._loop = asyncio.get_running_loop()
        self._outgoing: asyncio.Queue[str] = asyncio.Queue()
        self._last_ref = 0
        self._auth_ref = ""
        self._heartbeat_s = 25.0
        self._heard_at = self._spoke_at = self._loop.time()
        self.welcomed_at = 0.0
        self.return_at: float | None = None
        """Loop time at which a draining server asked us to come back."""

    @property
    def is_welcomed(self) -> bool:
        """Whether the gateway has let this connection in."""
        return self.welcomed_at > 0

    def send(self, frame: dict[str, Any]) -> str:
        """Never waits. Returns the ref the frame was sent with."""
        self._last_ref += 1
        ref = str(self._last_ref)
        self._outgoing.put_nowait(json.dumps({**frame, "ref": ref}))
        return ref

    async def stay(self, raw: ClientConnection) -> tuple[int, str]:
        """Returns close code and reason; 1006 if the line was given up."""
        async with asyncio.TaskGroup() as tasks:
            others = [
                tasks.create_task(self._write(raw), name="gateway-client-write"),
                tasks.create_task(self._watch(raw), name="gateway-client-watch"),
                tasks.create_task(self._renew(), name="gateway-client-renew"),
            ]
            try:
                while True:
                    self._receive(await raw.recv())
                    await asyncio.sleep(0)  # frames that wait already do not stop us; readers must keep pace
            except ConnectionClosed as closed:
                ending = closed.rcvd
            finally:
                for task in others:
                    task.cancel()
        return (ending.code, ending.reason) if ending is not None else (1006, "the line was cut")

    def _receive(self, text: str | bytes) -> None:
        self._heard_at = self._loop.time()
        try:
            frame = json.loads(text)
        except ValueError:
            return  # not ours to understand; offsets show whether something is missing
        if not isinstance(frame, dict):
            return
        match frame.get("type"):
            case "welcome":
                self._heartbeat_s = float(frame.get("heartbeat_s") or 25)
                self.welcomed_at = self._loop.time()
                self._on_welcome()
            case "drain":
                self.return_at = self._loop.time() + float(frame.get("reconnect_after_ms") or 0) / 1000
            case "error" if self._auth_ref and frame.get("ref") == self._auth_ref:
                logger.warning("client.not_renewed message=%s", frame.get("message"))
                self._login.postpone()
            case _:
                self._on_frame(frame)

    async def _write(self, raw: ClientConnection) -> None:
        try:
            while True:
                await raw.send(await self._outgoing.get())
                self._spoke_at = self._loop.time()
        except ConnectionClosed:
            pass  # the reading side says so

    async def _watch(self, raw: ClientConnection) -> None:
        """Silence is a dead line after two heartbeats; and who never speaks is closed by the server."""
        connected_at = self._loop.time()
        while not self._is_over(connected_at):
            silent_s = self._loop.time() - self._heard_at
            if self.is_welcomed and (
                silent_s > 1.2 * self._heartbeat_s or self._loop.time() - self._spoke_at > SPEAK_EVERY_S
            ):
                self.send({"type": "ping"})
            await asyncio.sleep(self._check_every_s)
        # Not a closing handshake: nobody may be there to answer it.
        raw.transport.abort()

    def _is_over(self, connected_at: float) -> bool:
        now = self._loop.time()
        if self.return_at is not None and now >= self.return_at:
            return True
        if not self.is_welcomed:
            return now - connected_at >= WELCOME_WITHIN_S
        return now - self._heard_at > 2 * self._heartbeat_s

    async def _renew(self) -> None:
        """A new token before the old one expires, for the same connection."""
        while True:
            due_in_s = self._login.due_in_s
            if due_in_s is None:
                return
            if due_in_s > 0:
                # In short steps: a clock that is set, or a computer that slept, is noticed.
                await asyncio.sleep(min(self._check_every_s, due_in_s))
                continue
            try:
                token = await self._login.renew()
            except Exception as error:  # the caller's function may raise anything
                logger.warning("client.no_token error=%r", error)
                self._login.postpone()
                continue
            if token is not None:
                self._auth_ref = self.send({"type": "auth", "token": token})
