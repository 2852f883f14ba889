"""Watches where the sessions' webhooks point, and whether they come."""

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.errors import GatewayError, SessionNotFound
from gateway.domain.session import SYSTEM, Actor
from gateway.domain.webhook_health import WebhookFacts, WebhookState, is_ours, judge_webhook

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What is known of a session's webhook, from which its health is judged."""

    session_id: int
    webhook: WebhookFacts
    shown: WebhookState | None
    """What is stored of the webhook's state so far."""


class WatchStore(Protocol):
    """Where webhooks are judged by. Everything raises StoreUnavailable."""

    async def facts(self) -> list[SessionFacts]:
        """The facts of every session that has a webhook to judge."""

    async def show_webhook(self, session_id: int, state: WebhookState, note: str) -> None:
        """Stores the webhook's state, and writes `note` into the audit log."""

    async def former_urls(self, now: str) -> list[str]:
        """The public URLs under which some webhook may still be registered, besides this one, which is noted."""

    async def forget_former_urls(self, now: str) -> None:
        """All webhooks have come along to this URL."""


class WebhookKeeper(Protocol):
    """The sessions service, as far as webhooks need it."""

    async def repair_webhook(self, session_id: int, actor: Actor) -> object:
        """Sets the session's webhook to this gateway's address again, in the actor's name."""


class WebhookWatch:
    """Judges every session's webhook, and brings those along that name a former address of this gateway."""

    def __init__(
        self,
        store: WatchStore,
        sessions: WebhookKeeper,
        public_url: str | None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`public_url` is where WasenderAPI reaches us; without one nothing can be judged. `clock` is unix time."""
        self._store = store
        self._sessions = sessions
        self._public_url = public_url
        self._clock = clock
        self._has_moved = False

    async def look(self) -> None:
        """One look at all webhooks."""
        if self._public_url is not None:
            await self.follow_public_url()
            await self._judge(self._public_url)

    async def follow_public_url(self) -> None:
        """If the gateway has moved, its webhooks go to the new address.

        A repaired session names the new one, so each is done once; the former addresses are forgotten only when
        none is left that names them. What could not be repaired is tried again with the next round.
        """
        public_url = self._public_url
        if public_url is None or self._has_moved:
            return
        former = await self._store.former_urls(public_url)
        behind = [
            facts.session_id
            for facts in await self._store.facts()
            if any(is_ours(facts.webhook.url, url) for url in former)
        ]
        repaired = [await self._repair(session_id) for session_id in behind]
        if all(repaired):
            await self._store.forget_former_urls(public_url)
            self._has_moved = True

    async def look_at(self, session_ids: Collection[int]) -> None:
        """One look at the webhooks of these sessions: something has changed that their health is judged by."""
        if self._public_url is not None:
            await self._judge(self._public_url, session_ids)

    async def _judge(self, public_url: str, session_ids: Collection[int] | None = None) -> None:
        for facts in await self._store.facts():
            if session_ids is not None and facts.session_id not in session_ids:
                continue
            state, note = judge_webhook(facts.webhook, public_url, self._clock())
            if state != facts.shown:
                logger.log(
                    logging.INFO if state == "ok" else logging.WARNING,
                    "webhook.%s session=%d", state, facts.session_id,
                )  # fmt: skip
                await self._store.show_webhook(facts.session_id, state, note)

    async def _repair(self, session_id: int) -> bool:
        """False if it has to be tried again."""
        try:
            await self._sessions.repair_webhook(session_id, SYSTEM)
        except SessionNotFound:
            pass  # gone: there is nothing left to repair
        except GatewayError as error:
            logger.warning("monitor.repair_failed session=%d error=%s", session_id, error)
            return False
        return True
