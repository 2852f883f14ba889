"""A real PgBouncer in front of the tests' Postgres."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from tests.postgres_fixtures import make_folder

PGBOUNCER = shutil.which("pgbouncer", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))

needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="pgbouncer is not installed")

READY_S = 20.0


@asynccontextmanager
async def pgbouncer(
    dsn: str, *, mode: str = "transaction", size: int = 5, extra: str = ""
) -> AsyncIterator[str]:
    """The address of that database through a PgBouncer of its own, at a port that says nothing."""
    parts = urlsplit(dsn)
    server = {key: values[0] for key, values in parse_qs(parts.query).items()}
    role, name = parts.username or "", parts.path[1:]
    port = _free_port()
    folder = make_folder()
    users = folder / f"users-{port}.txt"
    users.write_text(f'"{role}" ""\n')
    config = folder / f"pgbouncer-{port}.ini"
    config.write_text(
        f"[databases]\n* = host={server['host']} port={server['port']}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = trust\nauth_file = {users}\npool_mode = {mode}\ndefault_pool_size = {size}\n{extra}\n"
    )
    for file in (folder, users, config):
        file.chmod(0o755)
    assert PGBOUNCER is not None
    # It refuses to run as root, and only the server's user may reach its socket.
    user = os.stat(server["host"]).st_uid if os.geteuid() == 0 else None
    process = await asyncio.create_subprocess_exec(PGBOUNCER, "-q", str(config), user=user)
    try:
        url = f"postgresql://{role}@127.0.0.1:{port}/{name}?sslmode=disable"
        await _wait_until_it_answers(url, process)
        yield url
    finally:
        process.kill()
        await process.wait()
        shutil.rmtree(folder)


async def _wait_until_it_answers(url: str, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(READY_S):
        while True:
            assert process.returncode is None, "pgbouncer has ended"
            try:
                connection = await asyncpg.connect(url, statement_cache_size=0)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                await connection.close()
                return


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port
