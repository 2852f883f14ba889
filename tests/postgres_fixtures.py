"""One Postgres for the whole run, and a database of its own for every test.

`database` is a fresh clone of a migrated template (10 ms in memory); `shop_database` and `uuid_shop_database` are
clones of a database as the shop has it, not migrated yet; `empty_database` holds nothing.
"""

import asyncio
import itertools
import shutil
import tempfile
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

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
    folder = make_folder()
    server = EmbeddedPostgres(folder, settings=FAST)
    server.start_now()
    try:
        run_blocking(_make_templates(server))
        yield server
    finally:
        server.stop_now()
        shutil.rmtree(folder, ignore_errors=True)


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


@asynccontextmanager
async def clone(server: EmbeddedPostgres, template: str) -> AsyncIterator[str]:
    """A database of its own, gone afterwards; yields its DSN."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(server.dsn_of("postgres"))
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            yield server.dsn_of(name)
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


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
