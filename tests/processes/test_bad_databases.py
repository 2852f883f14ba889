"""Databases that cannot be used: one sentence that says where and why, exit code 2, and never the password."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from gateway.postgres.migrations.files import sql_folder
from tests.launcher.running import reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import CHECKOUT, Terminal
from tests.processes.conftest import PASSWORD, Role
from tests.processes.deaf_proxy import forwarding

COMMANDS = [["serve", "--port", "0"], ["migrate"], ["sync"], ["integrations", "set", "wasender"]]


async def refused(terminal: Terminal, dsn: str, *command: str, **env: str) -> str:
    """What the command says against that database."""
    settings = {"DATABASE_URL": dsn, "GATEWAY_SECRET": SECRET, **env}
    ended = await terminal.run(*(command or COMMANDS[0]), env=settings, stdin="1|a-token\n")
    assert PASSWORD not in ended.out + ended.err
    return ended.complaint()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
async def test_a_database_that_nobody_serves_is_named_by_host_and_port(
    terminal: Terminal, free_port: int, command: list[str]
) -> None:
    dsn = f"postgresql://shop:{PASSWORD}@127.0.0.1:{free_port}/shop"

    assert f"Nothing listens at 127.0.0.1:{free_port}" in await refused(terminal, dsn, *command)


async def test_an_unknown_host_is_named(terminal: Terminal) -> None:
    dsn = f"postgresql://shop:{PASSWORD}@db.invalid/shop"

    assert "The host of db.invalid:5432 is not known" in await refused(terminal, dsn)


async def test_a_wrong_password_is_said_and_not_shown(
    terminal: Terminal, database: str, limited_role: Role
) -> None:
    said = await refused(terminal, limited_role.dsn(database, password=PASSWORD[::-1]))

    assert "does not accept this user and password" in said
    assert PASSWORD[::-1] not in said


async def test_a_wrong_database_name_is_said(terminal: Terminal, database: str, limited_role: Role) -> None:
    said = await refused(terminal, limited_role.dsn(database, name="shopp"))

    assert "has no database of that name" in said


async def test_a_host_that_is_silent_is_given_up(terminal: Terminal) -> None:
    async with _accepting_and_silent() as port:
        said = await refused(terminal, f"postgresql://shop:{PASSWORD}@127.0.0.1:{port}/shop?sslmode=disable")

    assert f"Postgres at 127.0.0.1:{port} did not answer within 10 s" in said


async def test_a_host_that_is_no_postgres_is_refused(terminal: Terminal) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        said = await refused(terminal, f"postgresql://shop:{PASSWORD}@127.0.0.1:{port}/shop?sslmode=disable")

    assert f"127.0.0.1:{port}" in said


@asynccontextmanager
async def _accepting_and_silent() -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


async def test_a_role_that_may_not_create_a_schema_is_told_so(
    terminal: Terminal, empty_database: str, limited_role: Role
) -> None:
    said = await refused(terminal, limited_role.dsn(empty_database))

    assert "right" in said
    assert "permission denied for database" in said


async def test_a_role_without_rights_on_a_migrated_database_is_told_so(
    terminal: Terminal, database: str, limited_role: Role
) -> None:
    for command in COMMANDS:
        said = await refused(terminal, limited_role.dsn(database), *command)
        assert "permission denied" in said


async def test_a_host_whose_bells_never_come_back_is_refused(
    terminal: Terminal, database: str, socket_of: Path
) -> None:
    name = urlsplit(database).path[1:]
    async with forwarding(socket_of, is_stale=True) as port:
        said = await refused(terminal, f"postgresql://gateway@127.0.0.1:{port}/{name}?sslmode=disable")

    assert "NOTIFY does not come back" in said
    assert "GATEWAY_LISTEN_URL" in said


async def test_a_deaf_host_is_fine_when_bells_are_heard_elsewhere(
    terminal: Terminal, database: str, socket_of: Path
) -> None:
    name = urlsplit(database).path[1:]
    async with forwarding(socket_of, is_stale=True) as port:
        env = {
            "DATABASE_URL": f"postgresql://gateway@127.0.0.1:{port}/{name}?sslmode=disable",
            "GATEWAY_LISTEN_URL": database,
            "GATEWAY_SECRET": SECRET,
        }
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

    assert event["data"]["message_text"] == "hi"


async def test_the_same_host_without_deafness_serves(
    terminal: Terminal, database: str, socket_of: Path
) -> None:
    name = urlsplit(database).path[1:]
    async with forwarding(socket_of, is_stale=False) as port:
        dsn = f"postgresql://gateway@127.0.0.1:{port}/{name}?sslmode=disable"
        env = {"DATABASE_URL": dsn, "GATEWAY_SECRET": SECRET}
        async with terminal.start("serve", "--port", "0", env=env) as serve:
            await serve.line("runs at")
            await serve.stop()  # before the host goes


async def test_a_migration_that_was_edited_after_it_was_applied_is_refused(
    terminal: Terminal, database: str
) -> None:
    # A copy of the product with one file changed: what somebody has who edits sql/ in place.
    copy = terminal.folder / "copy"
    ignored = shutil.ignore_patterns("__pycache__", "ui")
    shutil.copytree(CHECKOUT / "gateway", copy / "gateway", ignore=ignored)
    (copy / "gateway" / "ui").mkdir()
    shutil.copytree(sql_folder(), copy / "sql")
    edited = sorted((copy / "sql").glob("0*.sql"))[0]
    edited.write_text(edited.read_text() + "\n-- a harmless remark\n")

    # Nothing loads this copy again.
    uncached = {"PYTHONDONTWRITEBYTECODE": "1", "GATEWAY_PORT": "0"}
    for command in ("serve", "migrate"):
        said = await refused(terminal, database, command, PYTHONPATH=str(copy), **uncached)
        assert f"sql/{edited.name} was edited after it was applied" in said


async def test_tables_that_cannot_be_adopted_are_refused(terminal: Terminal, empty_database: str) -> None:
    connection = await asyncpg.connect(empty_database)
    await connection.execute("CREATE TABLE whatsapp_sessions (name text)")
    await connection.close()

    assert "public.whatsapp_sessions has no column" in await refused(terminal, empty_database)
