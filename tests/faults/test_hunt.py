"""A short hunt. More: `python -m tests.faults.hunt --seeds 200`."""

from pathlib import Path

import pytest

from tests.faults.hunt import hunt
from tests.faults.server import Server


@pytest.mark.parametrize("seed", [3, 8, 12])
async def test_nothing_is_lost_doubled_or_out_of_order(seed: int, server: Server, tmp_path: Path) -> None:
    report = await hunt(seed, server, tmp_path)

    assert not report.complaints, f"{report.whole()}\n{report.said}"
    assert report.kept > 50  # it was not all trouble
