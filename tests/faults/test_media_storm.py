"""Files under fire, the quick form of `python -m tests.faults.media_storm`."""

from pathlib import Path

from tests.faults.media_storm import run
from tests.faults.server import Server


async def test_every_file_is_stored_and_equal_or_lost_for_a_reason_and_nothing_else_is_served(
    server: Server, tmp_path: Path
) -> None:
    outcome = await run(server, tmp_path, files=60, seed=7)

    assert outcome.complaints == []
    assert outcome.stored + sum(outcome.lost.values()) == 60
    assert outcome.stored >= 30
    assert outcome.kills >= 1
