"""What every floor of a gateway is built with."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from gateway.postgres.connection.listener import HEARTBEAT_S, STATEMENT_S
from gateway.realtime.pace import USUAL_PACE, SocketPace
from gateway.realtime.probe import PROBE_EVERY_S
from gateway.runtime.limiters import Limiters
from gateway.services.admin.alerts import LOOK_EVERY_S
from gateway.services.linking.service import LOOK_S
from gateway.services.live.idle import IDLE_S, WAKE_S
from gateway.services.retention import PASS_EVERY_S
from gateway.services.sessions.monitor import DEFAULT_PACE, MonitorPace
from gateway.services.signals import Signals
from gateway.settings import Settings
from gateway.wasender.http_transport import DEFAULT_TIMEOUTS, Timeouts

TICK_S = 10.0
CLOSE_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds that no setting says; tests make them shorter."""

    tick_s: float = TICK_S
    """Between two reads of feed and states without a notification."""

    idle_s: float = IDLE_S
    wake_s: float = WAKE_S
    listener_heartbeat_s: float = HEARTBEAT_S
    listener_statement_s: float = STATEMENT_S
    alerts_s: float = LOOK_EVERY_S
    """Between two looks for alerts without a notification."""

    latency_probe_s: float = PROBE_EVERY_S
    link_look_s: float = LOOK_S
    retention_pass_s: float = PASS_EVERY_S
    monitor: MonitorPace = DEFAULT_PACE
    sockets: SocketPace = USUAL_PACE
    upstream: Timeouts = DEFAULT_TIMEOUTS
    close_s: float = CLOSE_S
    """How long what is under way may take to end; then the connections to Postgres are cut."""


DEFAULT_TIMINGS = Timings()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildContext:
    """Given to each floor beside what stands below it."""

    settings: Settings
    url: str
    """Our own address on this machine."""

    gateway_id: str
    secret: str
    stack: AsyncExitStack
    """Closes in reverse order whatever was opened."""

    limiters: Limiters
    tell: Callable[[str], None]
    """Takes a sentence on what the start is waiting for."""

    signals: Signals = field(default_factory=Signals)
    timings: Timings = DEFAULT_TIMINGS
