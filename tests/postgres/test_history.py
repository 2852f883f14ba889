"""The name of a history: another one begins all streams anew, once; the same one changes nothing."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from gateway.domain.errors import StoreUnavailable
from gateway.embedded_postgres.server import EmbeddedPostgres
from gateway.postgres.connection.pool import connect_direct, open_pool
from gateway.postgres.connection.readers import Shared
from gateway.postgres.migrations.runner import migrate
from gateway.postgres.streams import StreamStore
from tests.postgres.writers import insert_message, insert_session, version_of
from tests.postgres_fixtures import FAST, make_folder

ARCHIVED = {**FAST, "wal_level": "replica"}
"""As a server is that can be recovered from its backup."""


async def epochs_of(connection: asyncpg.Connection) -> dict[int, str]:
    rows = await connection.fetch("SELECT inbox, epoch::text AS epoch FROM gateway.inboxes")
    return {row["inbox"]: row["epoch"] for row in rows}


async def pretend_it_was_elsewhere(connection: asyncpg.Connection) -> None:
    await connection.execute(
        """UPDATE gateway.settings SET value = '"another/00000001"' WHERE key = 'history'"""
    )


async def test_the_same_history_changes_nothing(connection: asyncpg.Connection, store: StreamStore) -> None:
    await insert_message(connection, 12)
    assert not await store.check_history()
    before = await epochs_of(connection)

    assert not await store.check_history()
    assert await epochs_of(connection) == before


async def test_another_history_begins_every_stream_anew_and_only_once(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_message(connection, 12)
    await store.check_history()
    before = await epochs_of(connection)
    await pretend_it_was_elsewhere(connection)
    answers = await asyncio.gather(*(store.check_history() for _ in range(3)))

    assert sorted(answers) == [False, False, True]
    after = await epochs_of(connection)
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())


async def test_versions_of_states_jump_past_whatever_was_given_out(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_session(connection, 12)
    before = await version_of(connection, 12) or 0
    await store.check_history()
    await pretend_it_was_elsewhere(connection)
    await store.check_history()

    assert (await version_of(connection, 12) or 0) > before + 100_000


async def test_of_several_who_see_a_stream_shorter_one_begins_anew(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_message(connection, 12)
    epoch = (await epochs_of(connection))[12]
    answers = await asyncio.gather(*(store.begin_anew(12, epoch) for _ in range(3)))

    assert sorted(answers) == [False, False, True]


async def test_beginning_anew_waits_for_no_open_transaction(
    connection: asyncpg.Connection, other: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_message(connection, 12)
    epoch = (await epochs_of(connection))[12]
    async with other.transaction():
        await insert_message(other, 12)
        async with asyncio.timeout(20):
            assert await store.begin_anew(12, epoch)

    extent = (await store.extents([12]))[12]
    assert extent.top == 2


@pytest.fixture
def folder() -> Iterator[Path]:
    made = make_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


async def noted(dsn: str) -> bool:
    """Looks at the history as a gateway does when it starts."""
    pool = await open_pool(dsn, timezone="UTC", max_size=1, pooled=False)
    try:
        return await StreamStore(Shared(pool)).check_history()
    finally:
        await pool.close()


async def noted_once_it_is_up(dsn: str) -> bool:
    async with asyncio.timeout(20):
        while True:
            try:
                return await noted(dsn)
            except StoreUnavailable:
                await asyncio.sleep(0.05)  # it still recovers


async def test_a_backup_that_was_recovered_is_another_history(folder: Path) -> None:
    async with EmbeddedPostgres(folder / "now", settings=ARCHIVED) as server:
        await migrate(server.dsn, report=lambda _: None)
        assert not await noted(server.dsn)
        assert not await noted(server.dsn)
        connection = await connect_direct(server.dsn)
        await insert_message(connection, 12)
        before = await epochs_of(connection)
        await connection.close()
    # Not shutil: for root, the owner of the files has to stay as well.
    await asyncio.to_thread(
        subprocess.run, ["cp", "-a", str(folder / "now"), str(folder / "backup")], check=True
    )
    async with EmbeddedPostgres(folder / "now", settings=ARCHIVED) as server:
        assert not await noted(server.dsn), "a restart is no other history"

    shutil.rmtree(folder / "now")
    (folder / "backup").rename(folder / "now")
    data = EmbeddedPostgres(folder / "now", settings=ARCHIVED).data
    owner = data.stat()
    (data / "recovery.signal").touch()
    os.chown(data / "recovery.signal", owner.st_uid, owner.st_gid)
    recovering = {**ARCHIVED, "restore_command": "false"}
    async with EmbeddedPostgres(folder / "now", settings=recovering) as server:
        assert await noted_once_it_is_up(server.dsn)
        connection = await connect_direct(server.dsn)
        assert not set((await epochs_of(connection)).values()) & set(before.values())
        await connection.close()
