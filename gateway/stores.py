"""What a gateway keeps: its tables in Postgres, and the spool on its disk. Opened together, in one order."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import asyncpg

from gateway.ground import close_pool, is_pooled, open_spool, open_vault
from gateway.postgres.attempts import AttemptTable
from gateway.postgres.clock import DatabaseClock
from gateway.postgres.columns import ColumnTable
from gateway.postgres.credentials import CredentialTable
from gateway.postgres.deliveries import DeliveryTable
from gateway.postgres.journal import JournalTable
from gateway.postgres.pool import open_pool
from gateway.postgres.projection import ProjectionTable
from gateway.postgres.retention import RetentionTable
from gateway.postgres.sessions import SessionTable
from gateway.postgres.streams import StreamStore
from gateway.postgres.trail import TrailTable
from gateway.postgres.upkeep import UpkeepTable
from gateway.settings import Settings
from gateway.spool.disk import DiskSpool


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    pool: asyncpg.Pool
    credentials: CredentialTable
    sessions: SessionTable
    attempts: AttemptTable
    trail: TrailTable
    streams: StreamStore
    deliveries: DeliveryTable
    journal: JournalTable
    projection: ProjectionTable
    upkeep: UpkeepTable
    retention: RetentionTable
    columns: ColumnTable
    spool: DiskSpool


async def open_stores(
    settings: Settings, dsn: str, secret: str, gateway_id: str, stack: AsyncExitStack
) -> Stores:
    """The database is brought up to date already. Raises ConfigError; everything is closed with the stack."""
    pool = await open_pool(dsn, timezone=settings.timezone, pooled=is_pooled(settings, dsn))
    stack.push_async_callback(close_pool, pool)
    vault = await open_vault(pool, secret)
    clock = DatabaseClock()
    sessions, streams = SessionTable(pool, vault, clock), StreamStore(pool)
    deliveries = DeliveryTable(pool, gateway_id, clock)
    return Stores(
        pool=pool,
        credentials=CredentialTable(pool, vault),
        sessions=sessions,
        attempts=AttemptTable(pool, clock),
        trail=TrailTable(pool),
        streams=streams,
        deliveries=deliveries,
        journal=JournalTable(pool, deliveries),
        projection=ProjectionTable(pool),
        upkeep=UpkeepTable(pool, sessions),
        retention=RetentionTable(pool, streams),
        columns=ColumnTable(pool),
        spool=await open_spool(settings, pool, stack),
    )
