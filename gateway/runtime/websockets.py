"""Both dialects over one hub and one set of connections."""

from collections.abc import Sequence

from starlette.routing import BaseRoute, WebSocketRoute

from gateway.realtime.connections import Connections
from gateway.realtime.context import EndpointContext
from gateway.realtime.hub.catch_up_reads import SharedReads
from gateway.realtime.native.endpoint import Realtime
from gateway.realtime.supabase.endpoint import SupabaseRealtime
from gateway.realtime.supabase.tables import Tables
from gateway.runtime.access import Access
from gateway.runtime.context import BuildContext
from gateway.runtime.live import Live
from gateway.runtime.repositories import Repositories
from gateway.runtime.services import Services
from gateway.services.live.idle import IdleMonitor, User
from gateway.services.rates import Rates


class WebSockets:
    """The open sockets of this process, and the endpoints that let them in."""

    def __init__(
        self,
        context: BuildContext,
        repositories: Repositories,
        live: Live,
        access: Access,
        services: Services,
        rates: Rates,
    ) -> None:
        settings = context.settings
        self.connections = Connections(
            settings.max_connections, rates, wake=live.waker.wait_until_awake, current=access.current
        )
        users = (self.connections, services.linking, services.sending)
        self.idle_monitor = None if settings.probe_s else _idle_monitor(context, live, users)
        self.reads = SharedReads(repositories.streams)
        shared = EndpointContext(
            hub=live.hub,
            feed=live.feed,
            streams=self.reads,
            staleness=live.staleness,
            connections=self.connections,
            presence=live.presence,
            origins=access.origins,
            pace=context.timings.sockets,
        )
        self.native = Realtime(
            shared,
            states=live.states,
            values=live.state_values,
            login=access.login,
            cookie=access.cookie,
            max_topics=settings.subscriptions,
        )
        self.supabase = SupabaseRealtime(
            shared, keys=access.keys, tables=Tables(repositories.columns), limits=settings.limits
        )

    def routes(self) -> list[BaseRoute]:
        """The routes of both dialects."""
        return [
            WebSocketRoute("/ws", self.native.serve),
            WebSocketRoute("/realtime/v1/websocket", self.supabase.serve),
        ]

    async def close(self) -> None:
        """Ends what goes on for all sockets together; those are gone by now."""
        await self.supabase.close()
        await self.reads.close()


def _idle_monitor(context: BuildContext, live: Live, users: Sequence[User]) -> IdleMonitor:
    return IdleMonitor(live.waker, live.awake, users, idle_s=context.timings.idle_s)
