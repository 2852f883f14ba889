"""The services: what is done with webhooks, sessions and everything that is kept."""

import random
import time
from contextlib import AsyncExitStack

from gateway.domain.linking import Limits
from gateway.domain.networks import network_of
from gateway.postgres.connection.listener import TargetLeases
from gateway.runtime.context import BuildContext
from gateway.runtime.early_webhooks import known_sessions
from gateway.runtime.live import Live
from gateway.runtime.media import Media
from gateway.runtime.repositories import Repositories
from gateway.runtime.sending import build_sending
from gateway.runtime.target_client import TargetClient
from gateway.runtime.upstream import Upstream
from gateway.services.contacts.service import Contacts
from gateway.services.erasure.spool import SpoolPurge
from gateway.services.linking.ports import LinkingContext
from gateway.services.linking.service import Linking
from gateway.services.marks import Marks
from gateway.services.retention import Retention
from gateway.services.sessions.audit_log import AuditLog
from gateway.services.sessions.linked import LinkedPhones
from gateway.services.sessions.monitor import Monitor
from gateway.services.sessions.reconcile import Reconciler
from gateway.services.sessions.service import Sessions, WebhookHome
from gateway.services.sessions.status_hints import StatusHints
from gateway.services.sessions.status_probe import StatusProbe
from gateway.services.sessions.webhook_watch import WebhookWatch
from gateway.services.webhook_targets.deliverer import DeliveryContext
from gateway.services.webhook_targets.delivery import WebhookDelivery
from gateway.services.webhooks.authenticator import WebhookAuthenticator
from gateway.services.webhooks.early import EarlyChanges
from gateway.services.webhooks.ingest import Ingest
from gateway.services.webhooks.journal import Journal
from gateway.services.webhooks.known import KnownSessionsKeeper
from gateway.services.webhooks.refused import RefusedWebhooks
from gateway.services.webhooks.replay import Replay
from gateway.wasender import webhook


class Services:
    """One attribute for each service. One that has `run` is run as long as the gateway (`tasks.py`)."""

    ASK_UPSTREAM = ("monitor", "contacts", "media_fetcher")
    """Those that ask WasenderAPI of their own accord. They end first: the simulator may stand behind our own server."""

    def __init__(
        self,
        context: BuildContext,
        repositories: Repositories,
        upstream: Upstream,
        live: Live,
        media: Media,
    ) -> None:
        self._make_sessions(context, repositories, upstream, live)
        self._make_webhooks_out(context, repositories, live)
        self._make_webhooks(context, repositories, live)
        self._make_others(context, repositories, upstream, live)
        self._make_sending(context, repositories, upstream, live, media)

    def _make_sessions(
        self, context: BuildContext, repositories: Repositories, upstream: Upstream, live: Live
    ) -> None:
        """Sessions, how they are linked, and what looks after them."""
        settings, timings = context.settings, context.timings
        tables, leases, awake = repositories, live.listener, live.awake
        log, address = tables.audit_log.log, upstream.public_url
        patient, background = upstream.patient, upstream.background
        limits = Limits(settings.link_poll_s, settings.link_idle_s, settings.link_max_s)
        self.linked_phones = LinkedPhones(patient, tables.sessions)
        self.linking = Linking(
            LinkingContext(tables.attempts, upstream.client, log, limits),
            leases,
            on_connected=self.linked_phones.refresh,
            look_s=timings.link_look_s,
            awake=awake,
        )
        self.sessions = Sessions(
            patient,
            tables.sessions,
            self.linking,
            log=log,
            home=WebhookHome(address, tables.monitor.note_url, context.signals.webhook_repaired),
        )
        self.reconciler = Reconciler(patient, tables.sessions, background=background, log=log)
        self.audit_log = AuditLog(tables.audit_log, patient, self.sessions.mark_gone)
        self.status_probe = StatusProbe(tables.monitor, self.sessions, background)
        self.webhook_watch = WebhookWatch(tables.monitor, self.sessions, address)
        self.monitor = Monitor(
            self.reconciler, self.status_probe, self.webhook_watch, leases, awake=awake, pace=timings.monitor
        )
        self.status_hints = StatusHints(
            tables.sessions,
            self.status_probe.ask_status,
            on_status=self.linked_phones.reported,
            on_gone=self.sessions.mark_gone,
        )

    def _make_webhooks_out(self, context: BuildContext, tables: Repositories, live: Live) -> None:
        """What happens here, told to other receivers."""
        settings = context.settings
        self.target_client = TargetClient([network_of(item) for item in settings.target_networks])
        self.webhook_delivery = WebhookDelivery(
            DeliveryContext(
                store=tables.targets,
                streams=tables.streams,
                receiver=self.target_client,
                leases=TargetLeases(live.listener),
                keys=tables.sessions.secrets,
                zone=settings.zone,
                clock=time.time,
                roll=random.random,
                awake=live.awake,
            ),
            awake=live.awake,
        )

    def _make_webhooks(self, context: BuildContext, tables: Repositories, live: Live) -> None:
        """From a webhook to its rows."""
        self.authenticator = WebhookAuthenticator(
            tables.sessions, self.sessions, is_stale=live.staleness.is_stale
        )
        self.refused_webhooks = RefusedWebhooks(tables.monitor, self.webhook_watch.look_at)
        keeps_raw = self.webhook_delivery.keeps_raw
        self.ingest = Ingest(tables.webhooks, context.signals.session_reported, tables.spool, keeps_raw)
        file = known_sessions(context.settings, context.secret)
        self.known_sessions = KnownSessionsKeeper(self.authenticator, file, tables.installation)
        self.replay = Replay(tables.spool, tables.webhooks, self.ingest, webhook.read)
        self.journal = Journal(tables.journal, webhook.read, tables.audit_log.log, self.ingest.tell)
        self.early_changes = EarlyChanges(tables.webhooks, awake=live.awake)

    def _make_others(
        self, context: BuildContext, tables: Repositories, upstream: Upstream, live: Live
    ) -> None:
        """A new service is one line here, or beside those of its topic above."""
        self.contacts = Contacts(tables.contacts, upstream.background, awake=live.awake)
        self.marks = Marks(
            tables.marks, tables.inbox, tables.sessions, upstream.patient, tables.audit_log.log
        )
        self.spool_purge = SpoolPurge(tables.erasure, tables.spool, tables.erasure.digests)
        self.retention = Retention(
            tables.retention,
            live.listener,
            pass_every_s=context.timings.retention_pass_s,
            awake=live.awake,
        )

    def _make_sending(
        self, context: BuildContext, tables: Repositories, upstream: Upstream, live: Live, media: Media
    ) -> None:
        """Messages on their way out."""
        uploads = media.uploads_of(upstream)
        settings, client = context.settings, upstream.client
        parts = build_sending(settings, tables, self.sessions, client, live.listener, uploads)
        self.sending, self.outbox, self.numbers = parts.sending, parts.outbox, parts.numbers
        self.sql_intake = parts.sql_intake

    async def open(self, stack: AsyncExitStack) -> None:
        """Learns what must be known before the first webhook comes. Raises StoreUnavailable."""
        stack.push_async_callback(self.target_client.close)  # also where the start does not come to its end
        await self.target_client.open()
        await self.authenticator.open()

    async def close(self) -> None:
        """Ends what is under way, in this order: webhooks are written first."""
        await self.ingest.close()
        await self.linking.close()
        await self.sending.close()
        await self.webhook_delivery.close()
        await self.target_client.close()
        await self.status_hints.close()
        await self.linked_phones.close()
        await self.authenticator.close()
        await self.known_sessions.close()
