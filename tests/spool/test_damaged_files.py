"""A damaged spool is set aside with one line, what can be read of it is carried over, and nothing is held up."""

import errno
import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.spool import reader
from gateway.spool.disk import DiskSpool
from tests.spool.conftest import Opener
from tests.spool.support import ALL, delivery, keep, names, numbered


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(100_000))


def text(path: Path) -> None:
    path.write_text("this is no database, and never was\n" * 100)


def folder(path: Path) -> None:
    (path / "in the way").mkdir(parents=True)


def other_database(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE entries (id INTEGER)")


def from_the_future(path: Path) -> None:
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    "make", [garbage, text, folder, other_database, from_the_future], ids=lambda f: f.__name__
)
async def test_a_file_that_is_no_spool_never_blocks_the_start(
    make: Callable[[Path], None], tmp_path: Path, open_spool: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "spool").mkdir()
    make(tmp_path / "spool" / "shop.sqlite")

    spool = await open_spool()
    await keep(spool, "a")

    assert await names(spool) == ["a"]
    (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert line.startswith("spool.set_aside reason=")
    (aside,) = [
        item for item in spool.path.parent.glob("*.broken-*") if not item.name.endswith(("-wal", "-shm"))
    ]
    assert str(aside) in line


async def damaged(open_spool: Opener) -> None:
    """A spool with a hundred webhooks, one page of which has gone bad. Nobody has it open."""
    spool = await open_spool()
    await spool.append([(delivery(f"{number}", text="x" * 6000), ALL) for number in range(100)])
    await spool.tidy()
    overwrite(spool.path, spool.path.stat().st_size // 4096 // 2 * 4096, 4096)


def overwrite(path: Path, start: int = 0, size: int | None = None) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(os.urandom(path.stat().st_size if size is None else size))


async def test_what_can_be_read_of_a_damaged_file_is_carried_over_in_its_order(
    open_spool: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    await damaged(open_spool)
    spool = await open_spool()

    found = [int(name) for name in await names(spool)]
    assert len(found) >= 90
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, 99)
    assert spool.held(12, ALL) == ALL
    assert f"webhooks_carried_over={len(found)}" in caplog.text


async def test_a_file_that_goes_bad_while_it_is_used_is_replaced_for_every_process(
    open_spool: Opener,
) -> None:
    first, second = await open_spool(), await open_spool()
    await keep(first, "before")
    await keep(second, "before too")
    await first.tidy()
    for suffix in ("-wal", ""):
        overwrite(Path(f"{first.path}{suffix}"))

    await keep(first, *numbered("a", range(3)))
    await keep(second, *numbered("b", range(3)))

    third = await open_spool()
    wanted = [*numbered("a", range(3)), *numbered("b", range(3))]
    for spool in (first, second, third):
        assert [name for name in await names(spool) if not name.startswith("before")] == wanted
        assert spool.held(12, ALL) == ALL


async def test_a_file_that_somebody_deletes_is_begun_anew(open_spool: Opener) -> None:
    first, second = await open_spool(), await open_spool()
    await keep(first, "gone")
    for item in first.path.parent.glob("shop.sqlite*"):
        item.unlink()
    assert first.held(12, ALL) == frozenset()

    await keep(first, "a")
    await keep(second, "b")
    assert await names(second) == ["a", "b"]


async def test_spools_of_other_databases_are_left_alone(open_spool: Opener) -> None:
    spool = await open_spool()
    other = await DiskSpool.open(spool.path.parent, "another")
    try:
        await keep(other, "theirs")
        assert (other.lead(), spool.lead()) == (True, True)

        assert spool.count() == 0
        assert await names(spool) == []
    finally:
        await other.close()


async def test_a_folder_that_cannot_be_looked_at_stops_nobody(
    open_spool: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = await open_spool()

    def stale(path: Path) -> int:
        raise OSError(errno.ESTALE, "stale file handle")

    monkeypatch.setattr(reader, "inode_of", stale)

    assert spool.is_empty()
    assert spool.held(12, ALL) == frozenset()
    assert spool.count() == 0
