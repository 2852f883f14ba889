"""The log of who came in, who did not, and who changed that. Never a password, a token or a ticket.

What a person did is written at once. Refusals may be many: they are counted in memory by address and reason, and
written as one line a minute each, so that a stranger who tries all day costs a bounded number of rows.

Lifecycle: `run` writes the counted ones until it is cancelled.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.domain.access import Principal
from gateway.domain.errors import GatewayError
from gateway.domain.lines import one_line

logger = logging.getLogger(__name__)

WRITE_EVERY_S = 60.0
MAX_COUNTED = 200
"""Kinds of refusals in one minute; beyond it all are counted as of `elsewhere`."""


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One row of the access log."""

    event: str
    sub: str | None = None
    name: str | None = None
    actor: str | None = None
    address: str | None = None
    details: dict[str, Any] | None = None


class AccessLogStore(Protocol):
    """Where the log is kept."""

    async def write_access(self, entries: list[AccessEntry]) -> None:
        """Raises GatewayError."""


class AccessLog:
    """Writes what people did at once, and counts what strangers tried."""

    def __init__(self, store: AccessLogStore, on_refused: Callable[[str], None] = lambda kind: None) -> None:
        """`on_refused` is told of each refusal: `token` or `login`."""
        self._store = store
        self._on_refused = on_refused
        self._refusals: Counter[tuple[str, str, str]] = Counter()

    async def note(
        self,
        event: str,
        sub: str | None,
        name: str | None,
        by: Principal | None = None,
        address: str | None = None,
        **details: Any,
    ) -> None:
        """Writes one entry. What happened has happened: a log that cannot be written is said, and no error."""
        actor = by.sub if by is not None and by.sub != sub else None
        entry = AccessEntry(event, sub, name, actor, address, details or None)
        try:
            await self._store.write_access([entry])
        except GatewayError as error:
            logger.warning("access_log.not_written event=%s sub=%s error=%s", event, sub, error)

    def refused(self, event: str, address: str, reason: str) -> None:
        """Counts one refusal. Never waits."""
        self._on_refused("token" if event == "token_refused" else "login")
        key = (event, one_line(address[:100]), one_line(reason[:200]))
        if key not in self._refusals and len(self._refusals) >= MAX_COUNTED:
            key = (event, "elsewhere", "of many kinds")
        self._refusals[key] += 1

    async def run(self) -> None:
        """Writes the counted refusals once a minute, until it is cancelled."""
        while True:
            await asyncio.sleep(WRITE_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Writes what has been counted; what cannot be written is counted on."""
        counted, self._refusals = self._refusals, Counter()
        if not counted:
            return
        entries = [
            AccessEntry(event, address=address, details={"reason": reason, "count": count})
            for (event, address, reason), count in counted.items()
        ]
        for entry in entries:
            logger.info(
                "access.refused event=%s address=%s details=%s", entry.event, entry.address, entry.details
            )
        try:
            await self._store.write_access(entries)
        except GatewayError as error:
            logger.warning("access_log.not_written entries=%d error=%s", len(entries), error)
            if len(self._refusals) < MAX_COUNTED:
                self._refusals.update(counted)
