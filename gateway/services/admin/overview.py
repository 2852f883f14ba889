"""The cluster as a whole, for metrics and for the page of operators. Read on request, and kept for a moment."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from gateway.domain.errors import GatewayError
from gateway.services.admin.alerts import Alert

T = TypeVar("T")

COUNTS_S = 10.0
TOTALS_S = 300.0
"""What whole tables are read for is read again after this."""

MOST_SESSIONS = 500


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """One gateway of the cluster, as it said of itself last."""

    id: str
    host: str | None
    version: str | None
    started_at: datetime
    seen_at: datetime
    facts: dict[str, Any]
    silent_s: float
    leases: int


@dataclass(frozen=True, slots=True)
class SessionHealth:
    """One session, and whether its webhooks arrive."""

    id: int
    name: str | None
    status: str
    webhook_state: str | None
    webhook_note: str | None
    webhook_seen_at: datetime | None
    webhooks_refused: int
    queued: int
    paused: str | None


class OverviewStore(Protocol):
    """Where the cluster is known. Everything raises StoreUnavailable."""

    async def counts(self) -> dict[str, Any]:
        """What waits, what has failed, and how many of what there are."""

    async def media_totals(self) -> dict[str, Any]:
        """Files stored and lost, and the bytes of the store; reads whole tables."""

    async def lost_media(self) -> list[dict[str, Any]]:
        """Files that cannot be had, by reason."""

    async def gateways(self) -> list[GatewayRow]:
        """Every gateway that runs."""

    async def sessions(self, limit: int) -> list[SessionHealth]:
        """Sessions, those in trouble first."""

    async def open_alerts(self) -> list[Alert]:
        """Alerts that are not over, the newest first."""


class _Kept(Generic[T]):
    """One answer, kept for a while; callers that come together ask once."""

    def __init__(self, ask: Callable[[], Awaitable[T]], for_s: float) -> None:
        self._ask = ask
        self._for_s = for_s
        self._found: T | None = None
        self._at = float("-inf")
        self._one_at_a_time = asyncio.Lock()

    @property
    def last(self) -> T | None:
        return self._found

    async def get(self) -> T:
        async with self._one_at_a_time:
            if self._found is None or time.monotonic() - self._at > self._for_s:
                self._found = await self._ask()
                self._at = time.monotonic()
            return self._found


class Overview:
    """Everything an operator looks at first."""

    def __init__(self, store: OverviewStore) -> None:
        self._store = store
        self._counts = _Kept(store.counts, COUNTS_S)
        self._gateways = _Kept(store.gateways, COUNTS_S)
        self._totals = _Kept(store.media_totals, TOTALS_S)
        self._lost = _Kept(store.lost_media, TOTALS_S)

    async def counts(self) -> dict[str, Any]:
        """What waits and what has failed, at most COUNTS_S old. Raises StoreUnavailable."""
        return await self._counts.get()

    async def leases(self) -> int:
        """How many leases the gateways of the cluster hold, at most COUNTS_S old. Raises StoreUnavailable."""
        return sum(row.leases for row in await self._gateways.get())

    async def media_totals(self) -> dict[str, Any]:
        """Files and bytes of the media store, at most TOTALS_S old. Raises StoreUnavailable."""
        return await self._totals.get()

    async def read(self) -> dict[str, Any]:
        """All of it, as the page shows it. Raises GatewayError."""
        counts = await self.counts()
        return {
            "gateways": await self._store.gateways(),
            "sessions": await self._store.sessions(MOST_SESSIONS),
            "alerts": await self._store.open_alerts(),
            "counts": {name: value for name, value in counts.items() if name != "migrations"},
            "media": {**await self._or_empty(self._totals), "reasons": await self._or_empty(self._lost, [])},
        }

    async def _or_empty(self, kept: _Kept[Any], without: Any = None) -> Any:
        """What takes long must not cost the page the rest."""
        try:
            return await kept.get()
        except GatewayError:
            return kept.last if kept.last is not None else ({} if without is None else without)
