"""Addresses, connections, and what the errors of Postgres mean."""

import asyncio
import socket
from types import SimpleNamespace

import asyncpg
import pytest

from gateway.domain.errors import ConfigError, GatewayError, RowRefused, StoreUnavailable
from gateway.postgres.connection import pool as pools
from gateway.postgres.connection.pool import (
    address_of,
    clean_dsn,
    connect_direct,
    keep_alive,
    mapped_errors,
    open_pool,
)
from tests.postgres.unfinished import TROUBLES, Trouble
from tests.postgres.writers import insert_message


def test_parameters_that_are_not_for_servers_are_taken_out_of_an_address() -> None:
    dsn = "postgres://u:p%40s?w@h/db"
    assert clean_dsn("postgresql://u:p@h/db?sslmode=require&channel_binding=require") == (
        "postgresql://u:p@h/db?sslmode=require"
    )
    assert clean_dsn("postgresql://u:p@h/db?pgbouncer=true&connection_limit=1") == "postgresql://u:p@h/db"
    assert clean_dsn("postgresql://u:p@h/db") == "postgresql://u:p@h/db"
    assert clean_dsn("postgresql://u@/db?host=/a%20b&port=1") == "postgresql://u@/db?host=%2Fa%20b&port=1"
    assert dsn.startswith("postgres://")


@pytest.mark.parametrize("text", ["", "localhost", "mysql://u:p@h/db", "host=localhost dbname=x"])
def test_address_that_is_none_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError, match="postgresql://"):
        clean_dsn(text)


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://user:hunter2@db.example/shop", "db.example:5432"),
        ("postgresql://user:hunter2@db.example:6000/shop", "db.example:6000"),
        ("postgresql://user:hun@ter2@db.example/shop", "db.example:5432"),
        ("postgresql://user@/shop?host=/run/pg", "/run/pg"),
    ],
)
def test_address_for_people_holds_no_user_and_no_password(dsn: str, shown: str) -> None:
    assert address_of(dsn) == shown


async def test_closed_port_is_one_sentence_without_the_password() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(ConfigError) as caught:
        await open_pool(f"postgresql://user:hunter2@127.0.0.1:{port}/db", timezone="UTC", pooled=False)

    assert f"Nothing listens at 127.0.0.1:{port}" in caught.value.message
    assert "hunter2" not in caught.value.message


async def test_missing_database_is_one_sentence(empty_database: str) -> None:
    head, _, tail = empty_database.partition("?")
    with pytest.raises(ConfigError, match="no database of that name"):
        await open_pool(f"{head}_not_there?{tail}", timezone="UTC", pooled=False)


async def test_unknown_host_is_one_sentence() -> None:
    with pytest.raises(ConfigError, match=r"no-such-host\.invalid"):
        await open_pool("postgresql://u:p@no-such-host.invalid/db", timezone="UTC", pooled=False)


@pytest.mark.parametrize("pooled", [True, False])
async def test_json_goes_in_and_out_as_values(database: str, pooled: bool) -> None:
    value = {"text": "ä🧥", "list": [1, 2.5, None, True], "big": 2**53}
    pool = await open_pool(database, timezone="UTC", pooled=pooled)
    try:
        assert await pool.fetchval("SELECT $1::jsonb", value) == value
        assert await pool.fetchval("SELECT $1::json", value) == value
        assert await pool.fetchval("SELECT 'null'::jsonb") is None
    finally:
        await pool.close()


async def test_timezone_of_the_pool_is_the_operators(database: str) -> None:
    pool = await open_pool(database, timezone="Europe/Berlin", pooled=False)
    try:
        assert await pool.fetchval("SHOW timezone") == "Europe/Berlin"
        assert await pool.fetchval("SHOW application_name") == "whatsapp-gateway"
    finally:
        await pool.close()


async def test_a_server_that_falls_silent_while_we_connect_is_not_waited_for(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(connection: asyncpg.Connection) -> None:
        await connection.fetch("SELECT pg_sleep(3600)")

    monkeypatch.setattr(pools, "prepare", silence)

    async with asyncio.timeout(20):
        with pytest.raises(TimeoutError):
            await connect_direct(database, connect_s=2.0)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux has these options")
async def test_dead_peer_is_noticed_within_seconds() -> None:
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        keep_alive(SimpleNamespace(_transport=writer.transport))
        sock = writer.get_extra_info("socket")
        options = [
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (
                socket.TCP_KEEPIDLE,
                socket.TCP_KEEPINTVL,
                socket.TCP_KEEPCNT,
                socket.TCP_USER_TIMEOUT,
            )
        ]
        alive = sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        writer.close()
        await writer.wait_closed()

    assert alive == 1
    assert options == [10, 3, 3, 20_000]


# ---------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("statement", "meaning"),
    [
        ("INSERT INTO whatsapp_incoming_messages (message_id) VALUES (NULL)", RowRefused),
        (
            "INSERT INTO whatsapp_incoming_messages (message_id, received_at) VALUES ('x', 'never')",
            RowRefused,
        ),
        ("INSERT INTO gateway.journal (outcome) VALUES ('nonsense')", RowRefused),
        ("SELECT 'a\\u0000'::text || '{\"a\": \"\\u0000\"}'::jsonb::text", RowRefused),
        ("DO $$ BEGIN RAISE EXCEPTION 'the shop says no'; END $$", RowRefused),
        ("SELECT * FROM gateway.not_there", ConfigError),
        # As a plan says that has outlived its function or table, in a restore over the same tables.
        (
            "DO $$ BEGIN RAISE 'cache lookup failed for function 1' USING ERRCODE = 'XX000'; END $$",
            StoreUnavailable,
        ),
        (
            "DO $$ BEGIN RAISE 'could not open relation with OID 1' USING ERRCODE = 'XX000'; END $$",
            StoreUnavailable,
        ),
        ("SET transaction_read_only = on; DELETE FROM whatsapp_sessions", StoreUnavailable),
        ("SET statement_timeout = 1; SELECT pg_sleep(5)", StoreUnavailable),
    ],
)
async def test_error_of_postgres_becomes_one_of_ours(
    connection: asyncpg.Connection, statement: str, meaning: type[GatewayError]
) -> None:
    with pytest.raises(meaning), mapped_errors():
        await connection.execute(statement)


async def test_a_plan_that_outlived_its_table_is_no_fault_of_the_row(connection: asyncpg.Connection) -> None:
    await connection.execute("CREATE TABLE made_anew AS SELECT 1 AS a")
    await connection.fetch("SELECT * FROM made_anew")
    async with connection.transaction():
        await connection.execute("ALTER TABLE made_anew ALTER COLUMN a TYPE text")
        with pytest.raises(StoreUnavailable), mapped_errors():
            await connection.fetch("SELECT * FROM made_anew")


async def test_key_that_is_there_already_is_the_rows_fault(connection: asyncpg.Connection) -> None:
    await insert_message(connection, 12, message_id="x")
    with pytest.raises(RowRefused) as caught, mapped_errors():
        await insert_message(connection, 12, message_id="x")

    assert caught.value.details == {"sqlstate": "23505"}


async def test_value_the_driver_refuses_is_the_rows_fault(connection: asyncpg.Connection) -> None:
    with pytest.raises(RowRefused), mapped_errors():
        await connection.fetchval("SELECT $1::bigint", 2**70)
    with pytest.raises(RowRefused), mapped_errors():
        await connection.fetchval("SELECT $1::text", "\ud83d")


async def test_lock_that_is_not_to_be_had_is_no_fault_of_the_row(
    connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    async with other.transaction():
        await other.execute("LOCK TABLE whatsapp_incoming_messages")
        await connection.execute("SET lock_timeout = '20ms'")
        with pytest.raises(StoreUnavailable), mapped_errors():
            await insert_message(connection, 12)


async def test_lost_connection_is_the_stores_fault(
    connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    pid = await connection.fetchval("SELECT pg_backend_pid()")
    await other.execute("SELECT pg_terminate_backend($1, 5000)", pid)
    for _ in range(2):  # once as it breaks, once when it is known to be broken
        with pytest.raises(StoreUnavailable), mapped_errors():
            await connection.fetchval("SELECT 1")


async def test_missing_right_is_the_operators_to_mend(database: str) -> None:
    connection = await connect_direct(database)
    try:
        await connection.execute("CREATE ROLE weak; SET ROLE weak")
        with pytest.raises(ConfigError, match="lacks a right"), mapped_errors():
            await connection.execute("SELECT * FROM gateway.stream")
        await connection.execute("RESET ROLE; DROP ROLE weak")
    finally:
        await connection.close()


def test_bug_of_ours_passes_through() -> None:
    with pytest.raises(KeyError), mapped_errors():
        raise KeyError("x")


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_connection_is_lent_out_of_any_transaction(database: str, trouble: Trouble) -> None:
    pool = await open_pool(database, timezone="UTC", pooled=False, max_size=1)
    try:
        async with pool.acquire() as connection:
            pid = connection.get_server_pid()
        await trouble(pool.fetchval)

        async with pool.acquire() as connection:
            assert connection.get_server_pid() == pid
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                assert await connection.fetchval("SHOW transaction_isolation") == "repeatable read"
    finally:
        await pool.close()
