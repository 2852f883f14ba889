"""Behind a real pooler in transaction mode every command says one sentence, or works."""

import asyncpg
import pytest

from gateway.embedded_postgres.server import EmbeddedPostgres
from tests.launcher.running import reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal
from tests.poolers import needs_pgbouncer, pgbouncer
from tests.postgres_fixtures import clone
from tests.processes.test_bad_databases import COMMANDS, refused

pytestmark = needs_pgbouncer


@pytest.mark.parametrize(
    "command", [*COMMANDS, ["serve", "--port", "0", "--workers", "2"], ["journal"]], ids=" ".join
)
async def test_a_pooler_without_a_direct_address_is_one_sentence(
    terminal: Terminal, database: str, command: list[str]
) -> None:
    async with pgbouncer(database) as pooled:
        said = await refused(terminal, pooled, *command)

    assert "A pooler in transaction mode stands before Postgres at 127.0.0.1" in said
    assert "set GATEWAY_LISTEN_URL to the direct host" in said


async def test_doctor_says_it_as_a_finding(terminal: Terminal, database: str) -> None:
    async with pgbouncer(database) as pooled:
        ended = await terminal.run("doctor", env={"DATABASE_URL": pooled, "GATEWAY_SECRET": SECRET})

    assert ended.code == 1
    assert "Traceback" not in ended.out + ended.err
    assert "FAIL  database     A pooler in transaction mode" in ended.out


async def test_a_database_that_is_migrated_through_a_pooler_stays_empty(
    terminal: Terminal, empty_database: str
) -> None:
    async with pgbouncer(empty_database) as pooled:
        await refused(terminal, pooled, "migrate")
    connection = await asyncpg.connect(empty_database)
    assert await connection.fetchval("SELECT to_regnamespace('gateway') IS NULL")
    await connection.close()


async def test_with_the_direct_address_a_gateway_behind_a_pooler_takes_and_tells(
    terminal: Terminal, database: str
) -> None:
    async with pgbouncer(database) as pooled:
        env = {"DATABASE_URL": pooled, "GATEWAY_LISTEN_URL": database, "GATEWAY_SECRET": SECRET}
        stored = await terminal.run("integrations", "set", "wasender", env=env, stdin="1|a-token\n")
        assert stored.code == 0, stored
        async with (
            terminal.start("serve", "--port", "0", env=env) as serve,
            reach((await serve.line(r"runs at (\S+)"))[1]) as remote,
            remote.socket() as client,
        ):
            await client.subscribe("inbox:*")
            connection = await asyncpg.connect(database)
            await connection.execute(
                "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text)"
                " VALUES ('x1', '4479', 'hi')"
            )
            await connection.close()
            event = await client.event("message.created")
            await serve.stop()  # before the pooler goes

    assert event["data"]["message_text"] == "hi"


async def test_a_direct_address_of_another_database_is_refused_before_it_is_migrated(
    terminal: Terminal, database: str, postgres: EmbeddedPostgres
) -> None:
    async with pgbouncer(database) as pooled, clone(postgres, "template1") as other:
        for command in COMMANDS:
            said = await refused(terminal, pooled, *command, GATEWAY_LISTEN_URL=other)
            assert "names another database than DATABASE_URL" in said
        connection = await asyncpg.connect(other)
        assert await connection.fetchval("SELECT to_regnamespace('gateway') IS NULL")
        await connection.close()
