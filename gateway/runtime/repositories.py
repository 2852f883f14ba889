"""What a gateway keeps: its tables in Postgres, and the spool on its disk. Opened together, in one order."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg

from gateway.domain.erasure import Digests
from gateway.postgres.auth.people import PeopleTable
from gateway.postgres.catalog import ColumnTable
from gateway.postgres.connection.clock import DatabaseClock
from gateway.postgres.connection.pool import borrowed, mapped_errors, open_pool
from gateway.postgres.connection.readers import Reserved, Shared, connect_to_read
from gateway.postgres.contacts.contacts import ContactTable
from gateway.postgres.erasure.erasure import ErasureTable, TombstoneFilter
from gateway.postgres.inbox.conversation_list import ConversationListTable
from gateway.postgres.inbox.inbox import InboxTable
from gateway.postgres.inbox.marks import MarkTable
from gateway.postgres.retention import RetentionTable
from gateway.postgres.sessions.audit_log import AuditLogTable
from gateway.postgres.sessions.credentials import CredentialTable
from gateway.postgres.sessions.link_attempts import AttemptTable
from gateway.postgres.sessions.monitor import MonitorTable
from gateway.postgres.sessions.sessions import SessionTable
from gateway.postgres.streams import StreamStore
from gateway.postgres.triggers import TriggerTable
from gateway.postgres.unnumbered import UnnumberedTable
from gateway.postgres.webhook_targets.targets import TargetTable
from gateway.postgres.webhooks.batches import Watch, WebhookTable
from gateway.postgres.webhooks.journal import JournalTable
from gateway.runtime.context import BuildContext
from gateway.runtime.data_dir import spool_folder
from gateway.runtime.database import close_pool, is_pooled, open_vault
from gateway.settings import Settings
from gateway.spool.disk import DiskSpool
from gateway.wasender.unseal import unseal

_INSTALLATION = "SELECT value #>> '{}' FROM gateway.settings WHERE key = 'installation'"
_INSTALL = """
INSERT INTO gateway.settings (key, value) VALUES ('installation', to_jsonb(gen_random_uuid()))
ON CONFLICT (key) DO NOTHING
"""

POOL_SIZE = 10
INTAKE_SIZE = 5
"""Connections that only webhooks use: however many people search, what comes in is written at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Repositories:
    """Every table and the spool, opened, of one gateway."""

    pool: asyncpg.Pool
    intake: asyncpg.Pool
    """What webhooks are written through."""

    clock: DatabaseClock
    installation: str
    """Which database this is, wherever it stands."""

    people: PeopleTable
    credentials: CredentialTable
    sessions: SessionTable
    attempts: AttemptTable
    audit_log: AuditLogTable
    streams: StreamStore
    live_streams: StreamStore
    """The same, for the feed alone: what is pushed waits for no request that has the pool's connections."""

    webhooks: WebhookTable
    journal: JournalTable
    inbox: InboxTable
    conversation_list: ConversationListTable
    marks: MarkTable
    erasure: ErasureTable
    monitor: MonitorTable
    contacts: ContactTable
    retention: RetentionTable
    targets: TargetTable
    columns: ColumnTable
    unnumbered: UnnumberedTable
    triggers: TriggerTable
    spool: DiskSpool

    def cut_off(self) -> None:
        """Breaks all connections of both pools: what waits for a silent Postgres ends with them."""
        self.pool.terminate()
        self.intake.terminate()


async def open_repositories(context: BuildContext, dsn: str) -> Repositories:
    """The database is brought up to date already. Raises ConfigError; everything is closed with the stack."""
    settings, stack, signals = context.settings, context.stack, context.signals
    zone, pooled = settings.timezone, is_pooled(settings, dsn)
    pool = await _open_pool(dsn, zone, pooled, POOL_SIZE, stack)
    intake = await _open_pool(dsn, zone, pooled, INTAKE_SIZE, stack)
    vault = await open_vault(pool, context.secret, settings.secret_previous)
    clock = DatabaseClock()
    digests = Digests(context.secret, settings.secret_previous)
    sessions = SessionTable(pool, vault, clock, on_keys=signals.keys_written)
    # Behind a pooler a connection is not one process at the server.
    watch = None if pooled else Watch(signals.write_began, signals.write_ended)
    webhooks = WebhookTable(intake, context.gateway_id, clock, unseal, TombstoneFilter(digests), watch)
    installation = await _installation(pool)
    return Repositories(
        pool=pool,
        intake=intake,
        clock=clock,
        installation=installation,
        people=PeopleTable(pool),
        credentials=CredentialTable(pool, vault),
        sessions=sessions,
        attempts=AttemptTable(pool, clock),
        audit_log=AuditLogTable(pool),
        streams=StreamStore(Shared(pool)),
        live_streams=StreamStore(live_reader(settings.listen_url or dsn, zone, stack)),
        webhooks=webhooks,
        journal=JournalTable(pool, webhooks),
        inbox=InboxTable(pool, settings.zone, signals.list_behind, tells_customers=settings.read_receipts),
        conversation_list=ConversationListTable(pool),
        marks=MarkTable(pool),
        erasure=ErasureTable(pool, digests),
        monitor=MonitorTable(pool, sessions),
        contacts=ContactTable(pool, sessions),
        retention=RetentionTable(pool, settings.message_days),
        targets=TargetTable(pool, vault),
        columns=ColumnTable(pool),
        unnumbered=UnnumberedTable(pool),
        triggers=TriggerTable(pool),
        spool=await open_spool(settings, installation, stack),
    )


async def _open_pool(dsn: str, timezone: str, pooled: bool, size: int, stack: AsyncExitStack) -> asyncpg.Pool:
    """A pool that is closed with the stack. Raises ConfigError."""
    pool = await open_pool(dsn, timezone=timezone, pooled=pooled, max_size=size)
    stack.push_async_callback(close_pool, pool)
    return pool


def live_reader(direct: str, timezone: str, stack: AsyncExitStack) -> Reserved:
    """What the feed reads through: a connection of its own at the direct address."""
    live = Reserved(lambda: connect_to_read(direct, timezone=timezone, name="whatsapp-gateway-feed"))
    stack.callback(live.close)
    return live


async def open_spool(settings: Settings, installation: str, stack: AsyncExitStack) -> DiskSpool:
    """The spool of this data folder and database. Raises ConfigError if the folder cannot be used."""
    spool = await DiskSpool.open(spool_folder(settings), installation)
    stack.push_async_callback(spool.close)
    return spool


async def _installation(pool: asyncpg.Pool) -> str:
    """Which database this is, wherever it stands: webhooks of one must not be replayed into another."""
    with mapped_errors():
        async with borrowed(pool) as connection:
            if not (name := await connection.fetchval(_INSTALLATION)):
                await connection.execute(_INSTALL)
                name = await connection.fetchval(_INSTALLATION)
    return str(name)
