"""The composition root: builds every part in the order of dependency and closes it in reverse.

Each floor is given what stands below it. A part that tells one above it something raises a signal; `wiring` says who
hears it. No other module knows all rooms.
"""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from starlette.applications import Starlette

from gateway.domain.access import Principal, Role
from gateway.domain.errors import StoreUnavailable
from gateway.postgres.connection.pool import mapped_errors
from gateway.runtime.access import Access, check_secret, open_access
from gateway.runtime.context import DEFAULT_TIMINGS, BuildContext, Timings
from gateway.runtime.data_dir import read_secret
from gateway.runtime.database import open_database, open_direct, prepare_schema
from gateway.runtime.limiters import Limiters
from gateway.runtime.live import Live
from gateway.runtime.media import Media, open_media
from gateway.runtime.observation import Observation
from gateway.runtime.repositories import Repositories, open_repositories
from gateway.runtime.routes import build_app
from gateway.runtime.services import Services
from gateway.runtime.starting import MIGRATING, migrating
from gateway.runtime.tasks import start_tasks
from gateway.runtime.upstream import Upstream, open_upstream
from gateway.runtime.websockets import WebSockets
from gateway.runtime.wiring import connect
from gateway.services.background import Background
from gateway.services.deadlines import within
from gateway.services.signals import Signals
from gateway.settings import Settings

logger = logging.getLogger(__name__)

OWNER = Principal(sub="owner", name="Owner", role=Role.ADMIN, sessions=None)
"""Whom the login link of `gateway demo` logs in."""

LOGIN_LINK_LIFE_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A gateway that runs, floor by floor."""

    settings: Settings
    url: str
    database_url: str
    signals: Signals
    limiters: Limiters
    repositories: Repositories
    upstream: Upstream
    live: Live
    access: Access
    media: Media
    services: Services
    websockets: WebSockets
    observation: Observation
    app: Starlette
    tasks: dict[str, asyncio.Task[None]]
    timings: Timings

    @property
    def stale_since(self) -> str | None:
        """Since when we may have missed something; None while we hear Postgres."""
        return self.live.staleness.stale_since

    async def drain(self, hasten: asyncio.Event | None = None) -> None:
        """Before the server stops: lets go what waits inside, and returns when the last socket is gone.

        Webhooks are taken all the while. Once `hasten` is set it takes a moment.
        """
        # The sender may wait for a Postgres that says nothing; what is under way has time until all is closed.
        with contextlib.suppress(StoreUnavailable):
            await within(self.timings.close_s / 2, self.services.sending.close())
        for name in self.services.ASK_UPSTREAM:
            self.tasks[name].cancel()
        self.upstream.release()
        await self.websockets.connections.drain(hasten or asyncio.Event())

    async def leave_when_outdated(self) -> None:
        """Drains once the schema is too new for this version; the process stays, and says why it serves no more."""
        await self.live.compatibility.ended.wait()
        await self.services.linking.close()
        await self.services.webhook_delivery.close()
        await self.drain()

    async def login_link(self) -> str:
        """A link that logs its first user in as the owner."""
        ticket = await self.access.login.make_ticket("login", OWNER, LOGIN_LINK_LIFE_S)
        return f"{self.url}/login?ticket={ticket}"


@asynccontextmanager
async def open_gateway(
    settings: Settings,
    url: str,
    timings: Timings = DEFAULT_TIMINGS,
    limiters: Limiters | None = None,
    tell: Callable[[str], None] = lambda why: None,
) -> AsyncIterator[Gateway]:
    """A gateway that runs while the block does: `async with open_gateway(settings, url) as gateway`.

    `url` is our own address on this machine; it stands in for GATEWAY_PUBLIC_URL where the simulator is upstream.
    `limiters` are those of a server that runs already; `tell` takes a sentence on what the start is waiting for.
    Raises ConfigError with one sentence if something outside does not fit, StoreUnavailable where Postgres went away.
    """
    stack = AsyncExitStack()
    try:
        secret = read_secret(settings)
        context = BuildContext(
            settings=settings,
            url=url,
            gateway_id=str(uuid.uuid4()),
            secret=secret,
            stack=stack,
            timings=timings,
            limiters=Limiters(settings) if limiters is None else limiters,
            tell=tell,
        )
        with mapped_errors():  # a connection may break under any statement of the start
            gateway = await _build(context)
        yield gateway
    finally:
        await stack.aclose()


async def _build(context: BuildContext) -> Gateway:
    settings = context.settings
    limiters, tell = context.limiters, context.tell

    tell("The gateway waits for Postgres.")
    database_url = await open_database(settings, context.stack)
    direct = await open_direct(settings, database_url)
    tell(MIGRATING)
    await prepare_schema(settings, direct, lambda line: migrating(line, tell))
    tell("The gateway is being built.")
    repositories = await open_repositories(context, database_url)
    upstream = await open_upstream(context, repositories.credentials)
    await check_secret(context, repositories.pool)

    live = Live(context, direct, repositories)
    access = await open_access(context, repositories, live.listener)
    media = await open_media(context, repositories, upstream, live)
    services = Services(context, repositories, upstream, live, media)
    websockets = WebSockets(context, repositories, live, access, services, limiters.rates)
    observation = Observation(context, repositories, live, services, websockets, limiters)
    app = build_app(
        settings, repositories, upstream, live, access, media, services, websockets, limiters, observation
    )

    connect(context.signals, live, access, media, services, websockets, observation)
    await live.open(context.stack)
    await services.open(context.stack)
    await access.revocations.open()
    floors = (live, access, media, services, websockets, observation)
    tasks = await start_tasks(floors, (services, websockets), repositories, context)
    gateway = Gateway(
        settings=settings, url=context.url, database_url=database_url, signals=context.signals, limiters=limiters,
        repositories=repositories, upstream=upstream, live=live, access=access, media=media, services=services,
        websockets=websockets, observation=observation, app=app, tasks=tasks, timings=context.timings,
    )  # fmt: skip
    leaving = Background()
    context.stack.push_async_callback(leaving.close)
    leaving.start(gateway.leave_when_outdated(), "outdated")
    return gateway
