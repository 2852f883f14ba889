"""Whether a number has WhatsApp: asked only when a person wants to know, and remembered. Asking much gets banned."""

from datetime import datetime
from typing import Protocol

from gateway.domain.errors import RateLimited, UpstreamUnauthorized
from gateway.services.sending.ports import Preparation

KNOWN_FOR_DAYS = 30
MISSING_FOR_DAYS = 1
PER_MINUTE = 20
PER_DAY = 300
"""A third of what WasenderAPI lets a session ask."""


class NumberStore(Protocol):
    """What was asked before. Every call raises StoreUnavailable."""

    async def known_number(
        self, jid: str, known_days: int, missing_days: int
    ) -> tuple[bool, datetime] | None:
        """What was said lately, and when."""

    async def asked_lately(self, session_id: int) -> tuple[int, int]:
        """How often the session asked in the last minute, and in the last day."""

    async def keep_number(self, session_id: int, jid: str, is_there: bool) -> datetime:
        """Remembers an answer; when it was given."""


class NumberSource(Protocol):
    """WasenderAPI. Raises UpstreamError."""

    async def is_on_whatsapp(self, api_key: str, address: str) -> bool:
        """Whether a number has WhatsApp."""


class Numbers:
    """Asks for numbers, within limits that are stricter than upstream's."""

    def __init__(self, store: NumberStore, source: NumberSource, preparation: Preparation) -> None:
        self._store = store
        self._source = source
        self._preparation = preparation

    async def check(self, session_id: int, jid: str) -> tuple[bool, datetime]:
        """Whether the number has WhatsApp, and when that was asked. Raises RateLimited and UpstreamError."""
        known = await self._store.known_number(jid, KNOWN_FOR_DAYS, MISSING_FOR_DAYS)
        if known is not None:
            return known
        minute, day = await self._store.asked_lately(session_id)
        if minute >= PER_MINUTE or day >= PER_DAY:
            raise RateLimited(
                "This number has asked WhatsApp for many others. Asking on would get it banned.",
                retry_after_s=60.0 if day < PER_DAY else 3_600.0,
            )
        key = await self._preparation.key_of(session_id, fresh=False)
        if key is None:
            raise UpstreamUnauthorized("The session has no API key. Refresh it.")
        is_there = await self._source.is_on_whatsapp(key, jid)
        return is_there, await self._store.keep_number(session_id, jid, is_there)
