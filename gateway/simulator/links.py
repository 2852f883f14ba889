"""The life of a link: connect, rotating codes, scan, and the ways in which it ends.

States and what moves them (each move is a `session.status` webhook and a log row):

    disconnected, logged_out, expired --connect--> connecting --> need_scan --scan--> connecting --> connected
    disconnected, still linked        --connect--> connecting --> connected
    need_scan     --no code was scanned--> `status_when_codes_end`
    connected     --restart--> connecting --> connected
    connected     --disconnect--> disconnected (the link holds: the next connect needs no scan)
    connected     --the phone unlinks--> logged_out (the next connect needs a scan)
    connected     --idle too long--> expired (the next connect needs a scan)

Every code is a `qrcode.updated` webhook. Codes and timers are not saved: a simulator that starts again has
none.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gateway.simulator import identity
from gateway.simulator.clock import Timer
from gateway.simulator.engine import Engine
from gateway.simulator.state import SimulatedSession


class WrongState(Exception):
    """What was asked is not possible in the session's state; the text says why."""


@dataclass(slots=True)
class Passkey:
    """A link by passkey that is under way."""

    token: str
    request_id: str
    expires_at: float
    stage: str = "pending"


@dataclass(slots=True)
class _Attempt:
    """What is in motion for one session."""

    timer: Timer | None = None
    code: str | None = None
    codes_shown: int = 0
    code_ends_at: float = 0.0
    passkey: Passkey | None = None


class Links:
    """Takes sessions from one status to the next, by calls, by the phone and by time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._attempts: dict[int, _Attempt] = {}
        self._settled = asyncio.Event()

    # ------------------------------------------------------------------ what can be seen

    def code_of(self, session: SimulatedSession) -> str | None:
        """The code that can be scanned now."""
        return self._attempt(session).code if session.status == "need_scan" else None

    def progress_of(self, session: SimulatedSession) -> tuple[int, float]:
        """How many codes this attempt has shown, and when (Unix seconds) the current one is replaced."""
        attempt = self._attempt(session)
        return attempt.codes_shown, attempt.code_ends_at

    def passkey_of(self, session: SimulatedSession) -> Passkey | None:
        """The session's link by passkey; None while none is under way."""
        return self._attempt(session).passkey if session.status == "need_passkey" else None

    async def wait_for_code(self, session: SimulatedSession, timeout_s: float) -> str | None:
        """The code, as soon as there is one; None if the attempt took another way or the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                while session.status == "connecting" and not session.linked:
                    await self._settled.wait()
        except TimeoutError:
            pass
        return self.code_of(session)

    # ------------------------------------------------------------------ what upstream's API does

    def connect(self, session: SimulatedSession, method: str = "qr") -> None:
        """Starts an attempt, unless the session is connected or on its way there."""
        if session.status in ("connected", "connecting", "need_scan"):
            return
        self._stop(session)
        self._engine.log_event(session, "connect_requested")
        if method == "passkey" and not session.linked:
            now = self._engine.clock.now()
            attempt = self._attempt(session)
            attempt.passkey = Passkey(secrets.token_urlsafe(24), secrets.token_hex(8), now + 300)
            self._engine.set_status(session, "need_passkey")
            self._later(session, 300, lambda: self._engine.set_status(session, "disconnected"))
            return
        self._engine.set_status(session, "connecting")
        arrive = self._arrive if session.linked else self._show_code
        self._later(session, self._engine.settings.connect_delay_s, partial(arrive, session))

    def disconnect(self, session: SimulatedSession) -> None:
        """Unlinks the session at its owner's wish."""
        self._stop(session)
        self._engine.set_status(session, "disconnected")
        self._tell_waiters()

    def restart(self, session: SimulatedSession) -> None:
        """Raises WrongState unless connected."""
        if session.status != "connected":
            raise WrongState("WhatsApp session is not connected. Cannot restart.")
        self._engine.log_event(session, "session_restarted")
        self._engine.set_status(session, "connecting")
        self._later(session, self._engine.settings.connect_delay_s, partial(self._arrive, session))

    def forget(self, session: SimulatedSession) -> None:
        """The session is deleted: nothing of it moves any more."""
        self._stop(session)
        self._attempts.pop(session.id, None)
        session.status = "disconnected"
        self._tell_waiters()

    # ------------------------------------------------------------------ what the phone does

    def scan(self, session: SimulatedSession, code: str | None = None) -> None:
        """The phone scans the code (or confirms the passkey).

        Raises WrongState when there is nothing to scan.
        """
        if session.status not in ("need_scan", "need_passkey"):
            raise WrongState(f"There is no code to scan: the session is {session.status}.")
        if code is not None and code != self.code_of(session):
            raise WrongState("This code is not the current one; the phone says: could not link device.")
        self._stop(session)
        self._engine.set_status(session, "connecting")
        self._later(session, self._engine.settings.finishing_delay_s, partial(self._arrive, session))

    def rotate(self, session: SimulatedSession) -> None:
        """Replaces the code now. Raises WrongState when there is none."""
        if session.status != "need_scan":
            raise WrongState(f"There is no code to replace: the session is {session.status}.")
        self._show_code(session)

    def end(self, session: SimulatedSession, status: str) -> None:
        """The phone unlinks (`logged_out`) or the link runs out (`expired`).

        Raises WrongState when not linked.
        """
        if not session.linked:
            raise WrongState(f"The number is not linked: the session is {session.status}.")
        self._stop(session)
        session.linked = False
        self._engine.set_status(session, status)

    # ------------------------------------------------------------------ over a restart

    def resume(self) -> None:
        """After a start: a number that was linked comes back by itself, an unfinished attempt has ended."""
        for session in list(self._engine.world.sessions.values()):
            if session.status == "connecting" and session.linked:
                self._later(session, self._engine.settings.connect_delay_s, partial(self._arrive, session))
            elif session.status in ("connecting", "need_scan", "need_passkey"):
                self._engine.set_status(session, "disconnected")

    def stop(self) -> None:
        """Ends all that would happen later."""
        for attempt in self._attempts.values():
            if attempt.timer is not None:
                attempt.timer.cancel()
        self._attempts.clear()

    # ------------------------------------------------------------------ inside

    def _attempt(self, session: SimulatedSession) -> _Attempt:
        return self._attempts.setdefault(session.id, _Attempt())

    def _show_code(self, session: SimulatedSession) -> None:
        settings, attempt = self._engine.settings, self._attempt(session)
        if attempt.codes_shown >= settings.max_codes:
            self._stop(session)
            self._engine.set_status(session, settings.status_when_codes_end)
            self._tell_waiters()
            return
        life_s = settings.qr_first_s if attempt.codes_shown == 0 else settings.qr_next_s
        attempt.code = identity.new_code()
        attempt.codes_shown += 1
        attempt.code_ends_at = self._engine.clock.now() + life_s
        self._later(session, life_s, partial(self._show_code, session))
        self._engine.set_status(session, "need_scan")
        self._engine.send_event(session, "qrcode.updated", {"qr": attempt.code}, timed=False)
        self._engine.changed(urgent=False)
        self._tell_waiters()

    def _arrive(self, session: SimulatedSession) -> None:
        self._stop(session)
        session.linked = True
        self._engine.set_status(session, "connected")
        self._tell_waiters()

    def _later(self, session: SimulatedSession, delay_s: float, step: Callable[[], None]) -> None:
        """Does `step` after a while, instead of whatever this session was waiting for."""
        attempt = self._attempt(session)
        if attempt.timer is not None:
            attempt.timer.cancel()
        attempt.timer = self._engine.clock.call_later(delay_s, step)

    def _stop(self, session: SimulatedSession) -> None:
        attempt = self._attempts.pop(session.id, None)
        if attempt is not None and attempt.timer is not None:
            attempt.timer.cancel()

    def _tell_waiters(self) -> None:
        self._settled.set()
        self._settled = asyncio.Event()
