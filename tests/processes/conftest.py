"""Terminals to start commands from, folders for their data, and logins with a password."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import pytest_asyncio

from gateway.embedded_postgres.server import EmbeddedPostgres
from tests import leftovers
from tests.launcher.terminal import PATIENCE_S, Terminal
from tests.postgres_fixtures import run_blocking
from tests.processes.postgres_processes import end_orphans


@contextlib.contextmanager
def folder_for_data() -> Iterator[Path]:
    """A folder that the embedded Postgres' user can reach (pytest's own are private to whoever runs it)."""
    folder = Path(tempfile.mkdtemp(prefix="gateway-processes-"))
    folder.chmod(0o711)
    leftovers.watch(folder, remove=True)
    try:
        yield folder
    finally:
        end_orphans(folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder for data that does not exist yet."""
    with folder_for_data() as folder:
        yield folder / "data"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.fixture(scope="session")
def demo_done_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder on which `gateway demo` has been started and stopped; copied, never used itself."""
    with folder_for_data() as folder:
        run_blocking(_demo_once(Terminal(tmp_path_factory.mktemp("first-demo")), folder / "data"))
        yield folder / "data"


async def _demo_once(terminal: Terminal, data_dir: Path) -> None:
    async with terminal.start("demo", "--port", "0", "--data-dir", data_dir) as demo:
        await demo.line("Open this address")


@pytest.fixture
def used_data_dir(demo_done_once: Path, data_dir: Path) -> Path:
    """A data folder of its own on which a demo has run before; spares the test making a new cluster."""
    # Not shutil: for root, the owner of the files has to stay as well.
    subprocess.run(["cp", "-a", str(demo_done_once), str(data_dir)], check=True)
    return data_dir


@pytest.fixture
def free_port() -> int:
    """A port that nobody has at the moment, for when both sides must know it before it is opened."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


# ------------------------------------------------------------------------------------- databases

PASSWORD = "pa55-w0rd-never-shown"


@dataclass(frozen=True, slots=True)
class Role:
    """A database user that logs in with a password."""

    name: str
    server: EmbeddedPostgres

    def dsn(self, database: str, *, name: str | None = None, password: str = PASSWORD) -> str:
        """An address of the database that `database` is another address of, as this user."""
        parts = urlsplit(database)
        return f"postgresql://{self.name}:{password}@/{name or parts.path[1:]}?{parts.query}"


@pytest_asyncio.fixture
async def limited_role(postgres: EmbeddedPostgres) -> AsyncIterator[Role]:
    """A role that may connect, and nothing else. Its name is one of the whole server."""
    name = "shop_writer"
    _let_in_with_password(postgres, name)
    admin = await asyncpg.connect(postgres.dsn_of("postgres"))
    try:
        await admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'")
        await admin.execute("SELECT pg_reload_conf()")
        role = Role(name, postgres)
        await _wait_for_login(role.dsn(postgres.dsn_of("postgres")))
        yield role
        await admin.execute(f"DROP ROLE {name}")
    finally:
        await admin.close()


def _let_in_with_password(server: EmbeddedPostgres, role: str) -> None:
    rules = server.data / "pg_hba.conf"
    line = f"local all {role} scram-sha-256\n"
    text = rules.read_text()
    if line not in text:
        rules.write_text(line + text)  # the first rule that fits is the one that counts


async def _wait_for_login(dsn: str) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                connection = await asyncpg.connect(dsn)
            except asyncpg.InvalidAuthorizationSpecificationError:
                await asyncio.sleep(0.01)  # a reload tells nobody when it has happened
            else:
                return await connection.close()


@pytest.fixture
def socket_of(postgres: EmbeddedPostgres) -> Path:
    """The Unix socket of the tests' server."""
    folder = next(
        value
        for key, _, value in (part.partition("=") for part in postgres.dsn.split("?")[1].split("&"))
        if key == "host"
    )
    return Path(folder.replace("%2F", "/")) / ".s.PGSQL.5432"
