"""The core of the simulator: the world, its clock, its faults, and the one way out for webhooks.

The parts around it (links, sends, chats) change the world through it, so that every change is saved, every
watcher of the page hears of it, and every webhook is judged by the session's own settings.
"""

import asyncio
import hmac
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.simulator import identity, quotes
from gateway.simulator import state as world
from gateway.simulator.clock import Clock, Timer
from gateway.simulator.faults import Faults
from gateway.simulator.limits import Limits
from gateway.simulator.settings import SimulatorSettings
from gateway.simulator.shapes import PLAIN, Twist, shaped
from gateway.simulator.state import SimulatedSession, World
from gateway.simulator.webhooks import Delivery, Letter, WebhookSender

logger = logging.getLogger(__name__)

SAVE_PAUSE_S = 0.2
"""Least time between two saves of things that may be lost (messages); sessions and links are saved at once.
"""


class Engine:
    """Holds what all parts of the simulator share."""

    def __init__(self, state_path: Path | None, settings: SimulatorSettings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.state_path = state_path
        self.world: World = world.load(state_path, settings.account_token)
        self.faults = Faults(clock, settings.hang_max_s)
        self.limits = Limits(clock)
        self.webhooks = WebhookSender(settings, clock, self.tell_watchers)
        self.version = 1
        """Grows with every change that the phone page shows."""
        self._moved = asyncio.Event()
        self._save_timer: Timer | None = None

    # ------------------------------------------------------------------ changes

    def changed(self, *, urgent: bool = True) -> None:
        """Call after any change of the world. Urgent ones are on disk when this returns."""
        self.tell_watchers()
        if urgent:
            self.save()
        elif self._save_timer is None:
            self._save_timer = self.clock.call_later(SAVE_PAUSE_S, self.save)

    def save(self) -> None:
        """Writes the world to its file now, if it has one. A disk that does not take it is logged."""
        if self._save_timer is not None:
            self._save_timer.cancel()
            self._save_timer = None
        self.world.trim()
        if self.state_path is None:
            return
        try:
            world.save(self.world, self.state_path)
        except OSError as error:  # a full disk must not stop a demo
            logger.warning("simulator.save_failed error=%s", type(error).__name__)

    def tell_watchers(self) -> None:
        """Something that the phone page shows has changed."""
        self.version += 1
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait_for_change(self, after: int, timeout_s: float) -> int:
        """The current version, as soon as it is not `after` any more or the time is over."""
        if self.version == after:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._moved.wait()
            except TimeoutError:
                pass
        return self.version

    def release(self) -> None:
        """Lets held requests and waiting watchers go, so that a server can stop at once."""
        self.faults.release()
        self.tell_watchers()

    # ------------------------------------------------------------------ sessions

    def session_of_key(self, key: str) -> SimulatedSession | None:
        """The session of an API key, compared in constant time."""
        found = None
        for session in self.world.sessions.values():
            if hmac.compare_digest(session.api_key.encode(), key.encode()):
                found = session
        return found

    def add_session(self, fields: dict[str, Any]) -> SimulatedSession:
        """A new session with key and secret of its own, not linked yet."""
        now = self.clock.now()
        session = SimulatedSession(
            id=self.world.next_session_id,
            api_key=identity.new_api_key(),
            webhook_secret=identity.new_webhook_secret(),
            created_at=now,
            updated_at=now,
            **fields,
        )
        self.world.next_session_id += 1
        self.world.sessions[session.id] = session
        self.changed()
        return session

    def set_status(self, session: SimulatedSession, status: str) -> None:
        """Moves a session to a status: log row, `session.status` webhook, saved."""
        if session.status == status:
            return
        session.status = status
        session.updated_at = self.clock.now()
        self.log_event(session, "status_change")
        self.send_event(session, "session.status", {"status": status}, timed=False)
        self.changed()

    def log_event(self, session: SimulatedSession, event_type: str) -> None:
        """Writes an event into the session's log, as of now."""
        moment = datetime.fromtimestamp(self.clock.now(), UTC)
        session.logs.append(
            {
                "id": self.world.next_log_id,
                "whatsapp_session_id": session.id,
                "event_type": event_type,
                "status": session.status,
                "occurred_at": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            }
        )
        self.world.next_log_id += 1

    # ------------------------------------------------------------------ webhooks

    def send_event(
        self,
        session: SimulatedSession,
        event: str,
        data: Any,
        *,
        timed: bool | float = True,
        in_ms: bool = False,
        key_id: str | None = None,
        twist: Twist = PLAIN,
        forced: bool = False,
    ) -> list[Delivery]:
        """Sends an event to the session's webhook.

        Sends nothing where the session has no webhook, it is switched off, or the event is not subscribed.

        `timed`: whether the envelope has a timestamp (or which one); `in_ms`: in milliseconds, as some events
        have it; `forced`: send it though it is not subscribed.
        """
        url = session.webhook_url
        subscribed = session.webhook_enabled and event in (session.webhook_events or ())
        if not url or not (subscribed or forced):
            return []
        now = self.clock.now()
        envelope: dict[str, Any] = {"event": event}
        if timed is not False:
            moment = now if timed is True else timed
            envelope["timestamp"] = int(moment * 1000) if in_ms else int(moment)
        envelope["sessionId"] = session.api_key
        envelope["data"] = data
        twist |= self.faults.take_twist(event, session.id)
        told = shaped(envelope, twist.modes, int(now))
        quotes.remember(self.world, told)
        letter = Letter(
            session_id=session.id,
            event=event,
            url=url,
            secret=session.webhook_secret,
            envelope=told,
            key_id=key_id,
            twist=twist,
        )
        return self.webhooks.post(letter)
