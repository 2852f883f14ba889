"""A gateway in a process of its own, with one session, and what it costs the machine."""

import asyncio
import contextlib
import os
import resource
import shutil
import sys
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
from tests.postgres_fixtures import FAST, make_folder

HERE = Path(__file__).parents[2]
START_S = 60.0
STOP_S = 30.0


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
            **os.environ,
            **(more or {}),
            "PYTHONPATH": str(checkout),
            "DATABASE_URL": dsn,
            "GATEWAY_SECRET": SECRET,
            "GATEWAY_DATA_DIR": folder,
            "GATEWAY_SIMULATOR": "1",
        }
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "serve", "--port", "0",
                cwd=checkout, env=env, stdout=output, stderr=output,
                preexec_fn=lambda: _limit(files),
            )  # fmt: skip
        try:
            port = await _port_of(process, log)
            session_id, secret = await _make_session(port)
            yield Victim(port, process.pid, session_id, secret, dsn, log)
        finally:
            if process.returncode is None:
                process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def _limit(files: int | None) -> None:
    if files is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


async def _port_of(process: asyncio.subprocess.Process, log: Path) -> int:
    said = "runs at http://127.0.0.1:"
    async with asyncio.timeout(START_S):
        while True:
            text = await asyncio.to_thread(log.read_text, errors="replace")
            if said in text:
                return int(text.partition(said)[2].split()[0].rstrip("/.,"))
            if process.returncode is not None:
                raise RuntimeError(f"the gateway did not start:\n{text[-2000:]}")
            await asyncio.sleep(0.05)


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
