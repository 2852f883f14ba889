"""One Postgres for the whole run, and a database of its own for every test.

`database` is a fresh clone of a migrated template (10 ms in memory); `shop_database` and `uuid_shop_database` are
clones of a database as the shop has it, not migrated yet; `empty_database` holds nothing. `shop_migrated` and
`shop_uuid_migrated` are templates of the shop's databases after the gateway adopted them.
"""

import asyncio
import fcntl
import itertools
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import pytest
import pytest_asyncio

from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.migrations.runner import migrate
from tests import leftovers

SHOP = Path(__file__).parent / "shop"

# Nothing here has to survive a crash of the machine.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}

# A database of its own for every test is 8 MB of files each; in memory that is forty times as fast.
_MEMORY = Path("/dev/shm")
_MEMORY_NEEDED_BYTES = 1 << 30

_numbers = itertools.count(1)

_T = TypeVar("_T")


def make_folder() -> Path:
    """A new folder that everybody may enter: the server may run as another user than the tests."""
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _MEMORY_NEEDED_BYTES
    folder = Path(tempfile.mkdtemp(prefix="gateway-tests-", dir=_MEMORY if in_memory else None))
    folder.chmod(0o755)
    leftovers.watch(folder, remove=True)
    return folder


def run_blocking(work: Coroutine[Any, Any, Any]) -> None:
    """Runs a coroutine on a loop of its own, in a thread, so that the tests' loop is not touched."""
    failed: list[BaseException] = []

    def body() -> None:
        try:
            asyncio.run(work)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=body, name="fixture")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The running server, with the templates made."""
    with serving_cluster(FAST) as server:
        try:
            yield server
        finally:
            dismiss(server)


@contextmanager
def serving_cluster(settings: Mapping[str, str]) -> Iterator[EmbeddedPostgres]:
    """A running server on a new data folder that holds the templates; both are gone with the block."""
    folder = make_folder()
    # Not shutil: for root, the owner of the files has to stay as well.
    subprocess.run(["cp", "-a", f"{_ready_cluster()}/.", str(folder)], check=True)
    server = EmbeddedPostgres(folder, settings=settings)
    server.start_now()
    try:
        yield server
    finally:
        server.stop_now()
        shutil.rmtree(folder, ignore_errors=True)


_SHARED = "WHATSAPP_TESTS_SHARED"
"""Environment variable that names the folder which a run's workers share."""


def _share_folder() -> None:
    os.environ[_SHARED] = str(make_folder())


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # before any worker starts, and in none of them
        _share_folder()


def _ready_cluster() -> Path:
    """A data folder with the templates in it, made once in a run and copied: initdb takes longer than all the rest."""
    if _SHARED not in os.environ:
        _share_folder()
    shared = Path(os.environ[_SHARED])
    cluster, is_ready = shared / "cluster", shared / "is_ready"
    with open(shared / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_ready.exists():
            shutil.rmtree(cluster, ignore_errors=True)  # of a worker that was killed
            cluster.mkdir()
            server = EmbeddedPostgres(cluster, settings=FAST)
            server.start_now()
            try:
                run_blocking(_make_templates(server))
            finally:
                server.stop_now()
            is_ready.touch()
    return cluster


async def _make_templates(server: EmbeddedPostgres) -> None:
    admin = await asyncpg.connect(server.dsn_of("postgres"))
    try:
        for name in ("migrated", "shop", "shop_uuid"):
            await admin.execute(f"CREATE DATABASE {name}")
    finally:
        await admin.close()
    await migrate(server.dsn_of("migrated"), report=lambda _: None)
    for name in ("shop", "shop_uuid"):
        connection = await asyncpg.connect(server.dsn_of(name))
        try:
            await connection.execute((SHOP / f"{name}.sql").read_text("utf-8"))
        finally:
            await connection.close()
    admin = await asyncpg.connect(server.dsn_of("postgres"))
    try:
        for name in ("shop", "shop_uuid"):
            await admin.execute(f"CREATE DATABASE {name}_migrated TEMPLATE {name}")
    finally:
        await admin.close()
    for name in ("shop_migrated", "shop_uuid_migrated"):
        await migrate(server.dsn_of(name), report=lambda _: None)


class _Administrator:
    """One connection that makes and drops databases, in a thread of its own: each test has another event loop.

    What it is told to drop it drops in its own time, before it makes the next one; no test waits for that.
    """

    def __init__(self, server: EmbeddedPostgres) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="administrator", daemon=True)
        self._thread.start()
        self._turn = asyncio.Lock()
        self._dropping: list[Future[None]] = []
        self._connection = self._do(asyncpg.connect(server.dsn_of("postgres"))).result()

    def _do(self, work: Coroutine[Any, Any, _T]) -> "Future[_T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _execute(self, statement: str) -> None:
        async with self._turn:
            await self._connection.execute(statement)

    async def make(self, name: str, template: str) -> None:
        statement = f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY"
        await asyncio.shield(asyncio.wrap_future(self._do(self._execute(statement))))

    def drop(self, name: str) -> None:
        self._dropping = [each for each in self._dropping if not each.done() or each.exception()]
        self._dropping.append(self._do(self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")))

    def close(self) -> None:
        """Returns when everything is dropped; raises what could not be."""
        try:
            for each in self._dropping:
                each.result()
        finally:
            self._do(self._connection.close()).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()


_administrators: dict[EmbeddedPostgres, _Administrator] = {}
"""One for each server that has made a clone; `dismiss` ends it."""


def dismiss(server: EmbeddedPostgres) -> None:
    """Before the server stops: its clones are dropped."""
    if (administrator := _administrators.pop(server, None)) is not None:
        administrator.close()


@asynccontextmanager
async def clone(server: EmbeddedPostgres, template: str) -> AsyncIterator[str]:
    """A database of its own, gone soon afterwards; yields its DSN."""
    if server not in _administrators:
        _administrators[server] = await asyncio.to_thread(_Administrator, server)
    administrator = _administrators[server]
    name = f"test_{next(_numbers)}"
    try:
        await administrator.make(name, template)
        yield server.dsn_of(name)
    finally:
        administrator.drop(name)


@pytest_asyncio.fixture
async def database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """DSN of a fresh, migrated database."""
    async with clone(postgres, "migrated") as dsn:
        yield dsn


@pytest_asyncio.fixture
async def empty_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """DSN of a database with nothing in it."""
    async with clone(postgres, "template1") as dsn:
        yield dsn


@pytest_asyncio.fixture
async def shop_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """DSN of the shop's database (SERIAL ids), not migrated."""
    async with clone(postgres, "shop") as dsn:
        yield dsn


@pytest_asyncio.fixture
async def uuid_shop_database(postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """DSN of the shop's database with uuid ids for incoming messages, not migrated."""
    async with clone(postgres, "shop_uuid") as dsn:
        yield dsn
