"""`--version`, `--help` and `migrate`: what a command says of itself, and what it does to a database."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

import gateway
from gateway.runtime.build import commit
from tests.launcher.terminal import Ended, Terminal
from tests.processes.postgres_processes import servers_of


async def test_the_version_is_the_packages_and_names_its_commit(terminal: Terminal) -> None:
    assert (await terminal.run("--version")) == Ended(0, f"{gateway.__version__} (commit {commit()})", "")


@pytest.mark.parametrize(
    "command",
    ["", "serve", "demo", "migrate", "sync", "token", "integrations", "integrations set", "simulator"],
)
async def test_every_command_explains_itself(terminal: Terminal, command: str) -> None:
    ended = await terminal.run(*command.split(), "--help")

    assert ended.code == 0
    assert "Usage:" in ended.out
    assert ended.err == ""


async def test_a_second_migrate_has_nothing_to_do(terminal: Terminal, empty_database: str) -> None:
    env = {"DATABASE_URL": empty_database}

    first = await terminal.run("migrate", env=env)
    second = await terminal.run("migrate", env=env)

    assert (first.code, second.code) == (0, 0)
    assert ".sql: applied." in first.out
    assert second.out == "Nothing to do: the database is up to date."


async def test_two_migrates_at_once_both_succeed_and_each_file_is_applied_once(
    terminal: Terminal, empty_database: str
) -> None:
    env = {"DATABASE_URL": empty_database}

    both = await asyncio.gather(terminal.run("migrate", env=env), terminal.run("migrate", env=env))

    assert [ended.code for ended in both] == [0, 0], both
    applied = [line for ended in both for line in ended.out.splitlines() if line.endswith(".sql: applied.")]
    assert applied != []
    assert len(applied) == len(set(applied))


async def test_after_a_restore_it_can_let_all_streams_begin_anew(terminal: Terminal, database: str) -> None:
    connection = await asyncpg.connect(database)
    try:
        before = await connection.fetchval("SELECT epoch FROM gateway.inboxes WHERE inbox = 0")
        ended = await terminal.run("migrate", "--restored", env={"DATABASE_URL": database})

        assert ended.code == 0, ended
        assert "All streams begin anew" in ended.out
        assert await connection.fetchval("SELECT epoch FROM gateway.inboxes WHERE inbox = 0") != before
    finally:
        await connection.close()


async def test_remove_takes_ours_away_and_leaves_the_shops_rows(
    terminal: Terminal, shop_database: str
) -> None:
    env = {"DATABASE_URL": shop_database}
    connection = await asyncpg.connect(shop_database)
    try:
        before = await connection.fetch("SELECT * FROM whatsapp_incoming_messages ORDER BY id")
        assert (await terminal.run("migrate", env=env)).code == 0
        removed = await terminal.run("migrate", "--remove", env=env)
        assert removed.code == 0, removed
        assert "Everything of the gateway is removed." in removed.out
        again = await terminal.run("migrate", "--remove", env=env)
        assert "There is nothing of the gateway in this database." in again.out

        assert await connection.fetchval("SELECT to_regnamespace('gateway')") is None
        after = await connection.fetch("SELECT * FROM whatsapp_incoming_messages ORDER BY id")
        assert [tuple(row) for row in after] == [tuple(row) for row in before]
    finally:
        await connection.close()


async def test_migrate_can_make_a_private_database_and_stops_it_again(
    terminal: Terminal, used_data_dir: Path
) -> None:
    ended = await terminal.run("migrate", "--embedded", "--data-dir", used_data_dir / "demo")

    assert ended.code == 0, ended
    assert "Nothing to do" in ended.out
    assert servers_of(used_data_dir) == []
