"""The numbers that are looked at, and not counted as they happen: set now and then, and before each scrape.

With several workers each keeps its numbers in files of a folder that they share (prometheus_client's multiprocess
mode), and whichever answers a scrape adds them up.

Lifecycle: `run` measures the loop's lag and looks at the parts until it is cancelled.
"""

import asyncio
import logging
import os
import platform
import shutil
from collections.abc import Callable, Mapping
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from gateway import __version__
from gateway.domain.errors import GatewayError
from gateway.domain.session import SessionStatus
from gateway.postgres.migrations.files import read_migrations, sql_folder
from gateway.runtime.build import commit
from gateway.runtime.limiters import Limiters
from gateway.runtime.live import Live
from gateway.runtime.repositories import Repositories
from gateway.runtime.services import Services
from gateway.runtime.supervisor import NUMBERS
from gateway.runtime.websockets import WebSockets
from gateway.services.admin.alerts import KINDS
from gateway.services.admin.overview import Overview
from gateway.services.deadlines import within

logger = logging.getLogger(__name__)

LAG_EVERY_S = 0.5
SAMPLE_EVERY = 10
"""So many looks at the lag, and the parts are looked at."""

SCRAPE_S = 0.4
"""How long a scrape waits for what Postgres knows; then it shows what was known before."""

WEBHOOK_STATES = ("ok", "off", "elsewhere", "events_missing", "no_secret", "refused", "silent", "unknown")
OPEN_SENDS = ("queued", "sending", "accepted", "unknown")
PAUSES = ("rate_limit", "not_connected", "restricted", "unauthorized", "subscription", "gone")
STATUSES = (*(str(status) for status in SessionStatus), "other")

_OURS = {"multiprocess_mode": "livesum"}
_WORST = {"multiprocess_mode": "livemax"}
_NEWEST = {"multiprocess_mode": "livemostrecent"}
"""Of what is one for all processes: the newest look counts."""


def _gauge(name: str, text: str, labels: tuple[str, ...] = (), mode: Mapping[str, str] = _OURS) -> Gauge:
    return Gauge(f"gateway_{name}", text, labels, **mode)  # type: ignore[arg-type]


LAG = Histogram(
    "gateway_loop_lag_seconds",
    "How much later than asked for the event loop came back, twice a second.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
BUILD = _gauge("build_info", "1, with what runs as labels.", ("version", "commit", "python"), _WORST)
CONNECTIONS = _gauge("connections", "Open sockets, by dialect.", ("dialect",))
HTTP_CONNECTIONS = _gauge("http_connections", "Open connections of any kind.")
SUBSCRIPTIONS = _gauge("subscriptions", "Streams that sockets follow, by state.", ("state",))
DELIVERIES = Counter("gateway_deliveries", "Events written to sockets, each counted for each of them.")
NOTIFIED = _gauge("notification_age_seconds", "Since Postgres was heard last.", (), _WORST)
STALE = _gauge("stale", "Processes that may have missed something.")
POOL = _gauge("pool_connections", "Connections to Postgres.", ("pool", "state"))
WAITING = _gauge("webhooks_waiting", "Webhooks whose senders wait for an answer.")
POLLERS = _gauge("pollers", "Attempts to link that are followed.")
SENDERS = _gauge("senders", "Queues of messages that are sent.")
FREE = _gauge("disk_free_bytes", "Room on the disk of the data folder.", (), _NEWEST)
SESSIONS = _gauge("sessions", "Numbers, by status.", ("status",), _NEWEST)
WEBHOOKS = _gauge("webhook_states", "Numbers, by the state of their webhook.", ("state",), _NEWEST)
SENDS = _gauge("sends_open", "Messages on their way out, by status.", ("status",), _NEWEST)
SEND_AGE = _gauge("send_queue_age_seconds", "How long the oldest due message has waited.", (), _NEWEST)
PAUSED = _gauge("send_queues_paused", "Numbers whose queue waits, by reason.", ("reason",), _NEWEST)
MEDIA = _gauge("media_files", "Files of messages, by state.", ("state",), _NEWEST)
MEDIA_BYTES = _gauge("media_bytes", "Bytes in the media store.", (), _NEWEST)
MEDIA_AGE = _gauge("media_pending_age_seconds", "How long the oldest pending file has waited.", (), _NEWEST)
FAILED = _gauge("journal_failed", "Webhooks that could not be processed.", (), _NEWEST)
GATEWAYS = _gauge("gateways", "Processes of the cluster that say they are alive.", (), _NEWEST)
LEASES = _gauge("leases", "What only one gateway of the cluster may do, and one does.", (), _NEWEST)
ALERTS = _gauge("alerts", "Open alerts, by kind.", ("kind",), _NEWEST)
MIGRATIONS = _gauge("migrations", "Migrations, by state.", ("state",), _NEWEST)


class Sampler:
    """Looks at the parts of this process, and asks Postgres for the cluster's numbers when a collector scrapes."""

    def __init__(
        self,
        live: Live,
        websockets: WebSockets,
        services: Services,
        repositories: Repositories,
        limiters: Limiters,
        overview: Overview,
    ) -> None:
        self._live = live
        self._websockets = websockets
        self._services = services
        self._repositories = repositories
        self._limiters = limiters
        self._overview = overview
        self._lag_s = 0.0
        """The worst since the last look."""
        self._delivered = 0
        self._files = [migration.name for migration in read_migrations(sql_folder())]
        BUILD.labels(__version__, commit(), platform.python_version()).set(1)

    async def run(self) -> None:
        """Goes on until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            for _ in range(SAMPLE_EVERY):
                wanted = loop.time() + LAG_EVERY_S
                await asyncio.sleep(LAG_EVERY_S)
                lag_s = max(0.0, loop.time() - wanted)
                self._lag_s = max(self._lag_s, lag_s)
                LAG.observe(lag_s)
            try:
                self.look()
            except Exception:
                logger.exception("metrics.not_looked")

    def look(self) -> None:
        """Sets the numbers of this process, and what it tells its peers of itself. Never waits."""
        live, services = self._live, self._services
        dialects = {"native": 0, "supabase": 0}
        for member in self._websockets.connections.open:
            dialects[member.dialect] += 1
        for dialect, count in dialects.items():
            CONNECTIONS.labels(dialect).set(count)
        following, catching_up = live.hub.standings()
        SUBSCRIPTIONS.labels("live").set(following)
        SUBSCRIPTIONS.labels("catching_up").set(catching_up)
        DELIVERIES.inc(live.hub.deliveries - self._delivered)
        self._delivered = live.hub.deliveries
        HTTP_CONNECTIONS.set(len(self._limiters.guard))
        silent_s = live.listener.silent_s
        NOTIFIED.set(silent_s)
        STALE.set(live.staleness.is_stale())
        for name, pool in (("requests", self._repositories.pool), ("webhooks", self._repositories.intake)):
            idle = pool.get_idle_size()
            POOL.labels(name, "idle").set(idle)
            POOL.labels(name, "busy").set(pool.get_size() - idle)
            POOL.labels(name, "most").set(pool.get_max_size())
        WAITING.set(services.ingest.unanswered)
        POLLERS.set(services.linking.pollers)
        SENDERS.set(services.sending.senders)
        spooled = self._repositories.spool.count()
        lag_s, self._lag_s = self._lag_s, 0.0
        live.listener.facts = {
            "process": os.getpid(), "connections": sum(dialects.values()), "live": following,
            "catching_up": catching_up, "pollers": services.linking.pollers, "senders": services.sending.senders,
            "lag_ms": round(lag_s * 1000, 1), "silent_s": round(silent_s, 1), "is_stale": live.staleness.is_stale(),
            "spooled": spooled, "spool_age_s": round(self._repositories.spool.oldest_s(), 1),
            "is_draining": self._websockets.connections.is_draining,
        }  # fmt: skip

    async def text(self) -> bytes:
        """Everything, in Prometheus' text format: the sum of all workers."""
        self.look()
        if self._live.awake.is_set():  # a scrape must not keep a database from sleeping
            try:
                await within(SCRAPE_S, self._ask())
            except GatewayError:
                pass  # Postgres is away or slow: what was known last is shown
        return await asyncio.to_thread(self._render)

    async def _ask(self) -> None:
        counts = await self._overview.counts()
        _set_all(SESSIONS, STATUSES, counts["sessions"], "other")
        _set_all(WEBHOOKS, WEBHOOK_STATES, counts["webhooks"], "unknown")
        _set_all(SENDS, OPEN_SENDS, counts["sends"])
        _set_all(PAUSED, PAUSES, counts["paused"])
        _set_all(ALERTS, KINDS, counts["alerts"])
        SEND_AGE.set(max(0.0, counts["send_age_s"]))
        MEDIA.labels("pending").set(counts["media_pending"])
        MEDIA_AGE.set(max(0.0, counts["media_due_age_s"]))
        FAILED.set(counts["journal_failed"])
        GATEWAYS.set(counts["gateways"])
        LEASES.set(await self._overview.leases())
        applied = set(counts["migrations"] or ())
        MIGRATIONS.labels("applied").set(len(applied))
        MIGRATIONS.labels("pending").set(sum(name not in applied for name in self._files))
        totals = await self._overview.media_totals()
        MEDIA.labels("stored").set(totals["stored"])
        MEDIA.labels("lost").set(totals["lost"])
        MEDIA_BYTES.set(totals["bytes"])

    def _render(self) -> bytes:
        try:
            FREE.set(shutil.disk_usage(self._repositories.spool.path.parent).free)
        except OSError:
            FREE.set(0)
        return render()


def render() -> bytes:
    """All metrics of this process, or of all workers."""
    if not os.environ.get(NUMBERS):
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _set_all(gauge: Gauge, names: tuple[str, ...], counts: dict[str, Any], other: str | None = None) -> None:
    """Sets every label, also to 0: one that is left out would stay as it was."""
    left = dict(counts)
    found: Callable[[str], Any] = lambda name: left.pop(name, 0)  # noqa: E731
    values = {name: found(name) for name in names}
    if other is not None:
        values[other] += sum(left.values())
    for name, value in values.items():
        gauge.labels(name).set(value)
