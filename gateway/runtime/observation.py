"""What looks at the gateway while it works: its numbers, its alerts, its latency."""

from gateway.postgres.admin.overview import OverviewTable
from gateway.realtime.probe import LatencyProbe
from gateway.runtime.context import BuildContext
from gateway.runtime.limiters import Limiters
from gateway.runtime.live import Live
from gateway.runtime.metrics import Sampler
from gateway.runtime.repositories import Repositories
from gateway.runtime.services import Services
from gateway.runtime.websockets import WebSockets
from gateway.services.admin.alerts import Alerts
from gateway.services.admin.overview import Overview


class Observation:
    """Reads of all floors, and none of them knows of it."""

    def __init__(
        self,
        context: BuildContext,
        repositories: Repositories,
        live: Live,
        services: Services,
        websockets: WebSockets,
        limiters: Limiters,
    ) -> None:
        timings = context.timings
        table = OverviewTable(repositories.pool)
        self.gateway_id = context.gateway_id
        self.overview = Overview(table)
        self.alerts = Alerts(table, awake=live.awake, look_every_s=timings.alerts_s)
        self.latency_probe = LatencyProbe(
            table, live.hub, live.feed, context.gateway_id, awake=live.awake, every_s=timings.latency_probe_s
        )
        self.sampler = Sampler(live, websockets, services, repositories, limiters, self.overview)
