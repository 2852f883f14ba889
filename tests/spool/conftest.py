"""Spools on a real disk."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio

from gateway.spool.disk import DiskSpool, SpoolLimits
from tests.spool.house import House

Opener = Callable[..., Awaitable[DiskSpool]]


@pytest_asyncio.fixture
async def open_spool(tmp_path: Path) -> AsyncIterator[Opener]:
    """Opens the spool of the test's folder, as each process of a machine does; closed at the end."""
    opened: list[DiskSpool] = []

    async def open_it(**limits: Any) -> DiskSpool:
        spool = await DiskSpool.open(tmp_path / "spool", "shop", SpoolLimits(**limits))
        opened.append(spool)
        return spool

    yield open_it
    for spool in opened:
        await spool.close()


@pytest_asyncio.fixture
async def house(open_spool: Opener) -> House:
    return House(await open_spool())
