"""Poolers are recognised by what the server answers, and so are addresses of another database."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest

from gateway.domain.errors import ConfigError
from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.connection.pooler import is_behind_pooler, is_same_database
from gateway.runtime.database import open_direct
from gateway.settings import Settings
from tests.poolers import needs_pgbouncer, pgbouncer
from tests.postgres_fixtures import clone


def settings_for(dsn: str, listen_url: str | None = None) -> Settings:
    return Settings.model_validate({"database_url": dsn, "listen_url": listen_url})


async def test_a_direct_address_is_behind_no_pooler(database: str) -> None:
    assert not await is_behind_pooler(database)


@needs_pgbouncer
@pytest.mark.parametrize("size", [1, 5])
async def test_a_pooler_in_transaction_mode_is_recognised_at_any_port(database: str, size: int) -> None:
    async with pgbouncer(database, size=size) as pooled:
        assert await is_behind_pooler(pooled)


@needs_pgbouncer
async def test_a_pooler_that_takes_its_servers_in_turn_is_recognised(database: str) -> None:
    async with pgbouncer(database, extra="server_round_robin = 1") as pooled, AsyncExitStack() as stack:
        for _ in range(4):  # as many servers as it may have
            connection = await asyncpg.connect(pooled, statement_cache_size=0)
            stack.push_async_callback(connection.close)
            transaction = connection.transaction()
            await transaction.start()
            stack.push_async_callback(transaction.rollback)
        await stack.aclose()
        assert await is_behind_pooler(pooled)


@needs_pgbouncer
async def test_a_pooler_in_session_mode_is_as_good_as_none(database: str) -> None:
    async with pgbouncer(database, mode="session") as pooled:
        assert not await is_behind_pooler(pooled)
        assert await open_direct(settings_for(pooled), pooled) == pooled


@needs_pgbouncer
async def test_what_was_asked_leaves_no_setting_at_the_server(database: str) -> None:
    async with pgbouncer(database, size=1) as pooled:
        await is_behind_pooler(pooled)
        connection = await asyncpg.connect(pooled, statement_cache_size=0)
        left = await connection.fetchval("SELECT current_setting('gateway.pooler_probe', true)")
        await connection.close()
    assert not left


@pytest.fixture
async def another_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    async with clone(postgres, "migrated") as dsn:
        yield dsn


async def test_one_database_is_known_under_two_addresses(database: str, another_database: str) -> None:
    assert await is_same_database(f"{database}&application_name=x", database)
    assert not await is_same_database(another_database, database)


async def test_a_copy_with_the_same_installation_id_is_another_database(
    database: str, another_database: str
) -> None:
    for dsn in (database, another_database):
        connection = await asyncpg.connect(dsn)
        await connection.execute(
            "INSERT INTO gateway.settings (key, value) VALUES ('installation', '\"the-same\"')"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        )
        await connection.close()

    with pytest.raises(ConfigError, match="names another database than DATABASE_URL"):
        await open_direct(settings_for(database, another_database), database)


@needs_pgbouncer
async def test_a_pooled_address_with_a_direct_one_is_taken(database: str) -> None:
    async with pgbouncer(database) as pooled:
        assert await open_direct(settings_for(pooled, database), pooled) == database


@needs_pgbouncer
async def test_each_pooled_address_is_named_by_its_setting(database: str) -> None:
    async with pgbouncer(database) as pooled:
        with pytest.raises(ConfigError, match=r"A pooler in transaction mode .* set GATEWAY_LISTEN_URL"):
            await open_direct(settings_for(pooled), pooled)
        with pytest.raises(ConfigError, match=r"GATEWAY_LISTEN_URL .* pooler in transaction mode, too"):
            await open_direct(settings_for(database, pooled), database)


async def test_an_address_for_listening_that_does_not_answer_is_named_by_its_setting(database: str) -> None:
    elsewhere = "postgresql://u:hunter2@127.0.0.1:1/x"
    with pytest.raises(ConfigError, match=r"Nothing listens at 127\.0\.0\.1:1.*GATEWAY_LISTEN_URL") as caught:
        await open_direct(settings_for(database, elsewhere), database)
    assert "hunter2" not in caught.value.message
