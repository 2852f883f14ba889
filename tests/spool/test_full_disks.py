"""A disk that is really full: what was taken stays, nothing is taken in vain, and there is a way back."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.errors import Unavailable
from gateway.runtime.context import DEFAULT_TIMINGS
from gateway.spool.disk import DiskSpool, SpoolLimits
from tests.http.support import eventually
from tests.launcher.running import running
from tests.launcher.settings import settings_for
from tests.spool.support import ALL, delivery, keep, names, remove_all

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 40 MiB."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(40 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(MIB))
        except OSError:
            pass
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            pass


async def until_refused(spool: DiskSpool) -> int:
    """How many webhooks of 1 MiB it takes, and nothing more than there is room for."""
    taken: list[int] = []

    async def take() -> None:
        for number in range(200):
            await spool.append([(delivery(f"{number}", text="x" * MIB), ALL)])
            taken.append(number)

    with pytest.raises(Unavailable, match="its disk is full"):
        await take()
    return len(taken)


@pytest.mark.root_only
async def test_a_disk_is_left_some_room_and_what_was_taken_can_be_removed(small_disk: Path) -> None:
    spool = await DiskSpool.open(small_disk / "spool", "shop")
    try:
        taken = await until_refused(spool)
        assert taken > 3
        left = os.statvfs(small_disk)
        assert left.f_bavail * left.f_frsize > spool.limits.reserve_bytes - 2 * MIB
        assert await names(spool) == [str(number) for number in range(taken)]
        while await spool.page(0):
            await remove_all(spool)
        await spool.tidy()

        assert await until_refused(spool) >= taken
    finally:
        await spool.close()


@pytest.mark.root_only
async def test_a_disk_that_somebody_else_fills_refuses_and_keeps_what_it_has(
    small_disk: Path,
) -> None:
    spool = await DiskSpool.open(small_disk / "spool", "shop", SpoolLimits(reserve_bytes=0))
    try:
        await keep(spool, "before")
        fill(small_disk)
        assert await until_refused(spool) < 5
        assert "its disk is full" in (spool.complaint() or "")
        taken = await names(spool)
        assert taken[0] == "before"
        (small_disk / "filler").unlink()
        await spool.probe()
        assert spool.complaint() is None
        await keep(spool, "after")

        assert await names(spool) == [*taken, "after"]
    finally:
        await spool.close()


@pytest.mark.root_only
async def test_a_gateway_whose_disk_has_0_bytes_is_degraded_while_postgres_takes_everything(
    small_disk: Path, database: str
) -> None:
    async with running(settings_for(database, small_disk), timings=DEFAULT_TIMINGS) as gateway:

        async def ready() -> tuple[int, Any]:
            return await gateway.call("GET", "/readyz", token="")

        assert await ready() == (200, {"status": "ready"})
        fill(small_disk)
        status, said = await eventually(
            ready, lambda answer: answer[1]["status"] != "ready", "the full disk is seen"
        )
        assert (status, said["status"]) == (200, "degraded")
        assert "its disk is full" in said["why"]
        (small_disk / "filler").unlink()
        await eventually(ready, lambda answer: answer == (200, {"status": "ready"}), "being ready")
