"""Webhooks that come before Postgres could be asked: those of sessions that were known are kept on this disk."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from starlette.types import ASGIApp

from gateway.domain.errors import StoreUnavailable
from gateway.domain.session import SessionSecrets
from gateway.http.application import application
from gateway.http.health import AWAY, judge_readiness
from gateway.http.webhooks import WebhookRoutes
from gateway.postgres.sessions.vault import Vault
from gateway.runtime.data_dir import read_secret, spool_folder
from gateway.runtime.limiters import Limiters
from gateway.runtime.repositories import open_spool
from gateway.services.auth.origins import Hosts
from gateway.services.background import Background
from gateway.services.webhooks.authenticator import WebhookAuthenticator
from gateway.services.webhooks.batch import InboundWebhook, Outcome
from gateway.services.webhooks.ingest import Ingest
from gateway.services.webhooks.refused import RefusedWebhooks
from gateway.settings import Settings
from gateway.spool.disk import DiskSpool
from gateway.spool.known_sessions import EMBEDDED, Known, KnownSessions
from gateway.wasender import webhook


class _Away:
    """Stands where Postgres and WasenderAPI will stand: nothing is written or asked yet."""

    async def all_secrets(self, session_ids: Sequence[int] | None = None) -> list[SessionSecrets]:
        """Raises StoreUnavailable: what was known counts."""
        raise StoreUnavailable(AWAY)

    async def refresh_secrets(self, session_id: int) -> SessionSecrets | None:
        """Raises StoreUnavailable: the account's token may stand in Postgres."""
        raise StoreUnavailable(AWAY)

    async def write(self, batch: Sequence[InboundWebhook]) -> list[Outcome]:
        """Raises StoreUnavailable: the batch goes to the spool."""
        raise StoreUnavailable(AWAY)

    async def note_refused(self, taken: Collection[int], refused: Mapping[int, int]) -> list[int]:
        """Raises StoreUnavailable: the count goes on when the gateway is whole."""
        raise StoreUnavailable(AWAY)

    async def changed(self, session_ids: Collection[int]) -> None:
        """Never called: nothing is noted yet."""

    async def journal_failure(self, inbound: InboundWebhook, reason: str) -> None:
        """Raises StoreUnavailable: the webhook goes to the spool."""
        raise StoreUnavailable(AWAY)


class EarlyWebhooks:
    """Answers webhooks until the gateway is whole; its replay brings to Postgres what was kept."""

    def __init__(self, settings: Settings, limiters: Limiters, known: Known, spool: DiskSpool) -> None:
        away = _Away()
        self._spool = spool
        self._authenticator = WebhookAuthenticator(away, away, known=known.sessions)
        self._ingest = Ingest(away, spool=spool)
        self._ingest.is_away = True
        refused = RefusedWebhooks(away, away.changed)
        routes = WebhookRoutes(
            webhook, self._authenticator, self._ingest, limiters.requests, refused
        ).routes()
        hosts = Hosts(settings.host, settings.public_url, settings.allowed_origins)
        self.app: ASGIApp = application(routes, allowed_origins=(), limits=limiters.requests, hosts=hosts)

    def judge(self, why: str) -> tuple[bool, dict[str, object]]:
        """Whether webhooks can be made safe here, and what to say; `why` is the reason why Postgres is away."""
        complaint = self._spool.complaint()
        is_ready, said = judge_readiness(
            is_draining=False, can_commit=False, spooled=self._spool.count(), complaint=complaint
        )
        return is_ready, {**said, "why": f"{why} {said['why']}"}

    async def run(self) -> None:
        """Hands on what comes, until it is cancelled."""
        await self._ingest.run()

    async def close(self) -> None:
        """Takes nothing more, and returns when everything taken is safe. Safe to call twice."""
        await self._ingest.close()
        await self._authenticator.close()


@asynccontextmanager
async def early_webhooks(settings: Settings, limiters: Limiters) -> AsyncIterator[EarlyWebhooks | None]:
    """None where this data folder has not been used with that database yet. Raises ConfigError."""
    known = await asyncio.to_thread(known_sessions(settings, read_secret(settings)).read)
    if known is None:
        yield None
        return
    async with AsyncExitStack() as stack:
        spool = await open_spool(settings, known.installation, stack)
        taking, background = EarlyWebhooks(settings, limiters, known, spool), Background()
        stack.push_async_callback(background.close)
        background.start(taking.run(), "early-webhooks")
        stack.push_async_callback(taking.close)
        yield taking


def known_sessions(settings: Settings, secret: str) -> KnownSessions:
    """The file of the sessions that this data folder knows of that database."""
    vault = Vault(secret, previous=settings.secret_previous, is_sealing=True)
    place = EMBEDDED if settings.embedded else settings.database_url or ""
    return KnownSessions(
        spool_folder(settings),
        place,
        lambda text: vault.seal(text) or "",
        lambda text: vault.open(text) or "",
    )
