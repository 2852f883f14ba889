"""A gateway in a process of its own, with one session, and what it costs the machine."""

import asyncio
import contextlib
import resource
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import psutil

from gateway.domain.access import Role
from gateway.embedded_postgres.server import EmbeddedPostgres
from tests.attacks.claims import SECRET, mint
from tests.launcher.settings import environment_of
from tests.launcher.terminal import Terminal
from tests.postgres_fixtures import FAST, make_folder

HERE = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Victim:
    port: int
    pid: int
    session_id: int
    webhook_secret: str
    dsn: str
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rss(self) -> int:
        return int(psutil.Process(self.pid).memory_info().rss)

    def loop_cpu(self) -> float:
        """Seconds that the main thread, which runs the event loop, has computed (proc(5), schedstat)."""
        ran_ns = Path(f"/proc/{self.pid}/task/{self.pid}/schedstat").read_text().split()[0]
        return int(ran_ns) / 1e9


@contextlib.asynccontextmanager
async def database() -> AsyncIterator[str]:
    """The address of an empty database on a server of its own."""
    folder = make_folder()
    server = EmbeddedPostgres(folder, settings=FAST)
    try:
        await asyncio.to_thread(server.start_now)
        connection = await asyncpg.connect(server.dsn_of("postgres"))
        await connection.execute("CREATE DATABASE attacked")
        await connection.close()
        yield server.dsn_of("attacked")
    finally:
        await asyncio.to_thread(server.stop_now)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def victim(
    dsn: str, *, checkout: Path = HERE, files: int | None = None, more: Mapping[str, str] | None = None
) -> AsyncIterator[Victim]:
    """`checkout` is the tree whose gateway runs; `files` is its limit of open files, soft and hard."""
    with tempfile.TemporaryDirectory(prefix="gateway-attacks-") as folder:
        log = Path(folder) / "log"
        env = {
            **(more or {}),
            **environment_of(
                {"database_url": dsn, "data_dir": folder, "secret": SECRET, "simulator": True, "port": 0}
            ),
            "PYTHONPATH": str(checkout),
        }
        # The limits are the gateway's own: they are what it is attacked with.
        terminal = Terminal(Path(folder), limits={})
        async with terminal.start("serve", env=env, before=lambda: _limit(files), log=log) as command:
            port = int((await command.line(r"runs at http://127\.0\.0\.1:(\d+)"))[1])
            session_id, secret = await _make_session(port)
            yield Victim(port, command.pid, session_id, secret, dsn, log)


def _limit(files: int | None) -> None:
    if files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


async def _make_session(port: int) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {mint(Role.ADMIN)}"}
    url = f"http://127.0.0.1:{port}/api/whatsapp-sessions"
    async with aiohttp.ClientSession(headers=headers) as http:
        body = {"name": "Attacked", "phone_number": "+4915112345678"}
        async with http.post(url, json=body) as reply:
            made = await reply.json()
            assert reply.status == 201, made
        session_id = int(made["data"]["id"])
        async with http.get(f"{url}/{session_id}?reveal=secrets") as reply:
            shown = (await reply.json())["data"]
    return session_id, shown["webhook_secret"]
