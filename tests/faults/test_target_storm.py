"""Webhooks out while a gateway is killed and the receiver is away: 0 lost, one id for each event, chats in order."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.server import Server
from tests.faults.target_storm import Plenty, storm
from tests.faults.town import Town, town
from tests.launcher.child import READY_FRAMES


@pytest.mark.parametrize("mode", ["standard", "raw"])
async def test_nothing_is_lost_between_two_gateways_that_are_killed_and_restarted(
    server: Server, tmp_path: Path, mode: str
) -> None:
    is_raw, each = mode == "raw", 10 if mode == "raw" else 20

    async def weather(place: Town, plenty: Plenty) -> None:
        await asyncio.wait_for(plenty.until(40), 60)
        first, second = (house.child for house in place.houses)
        await first.kill()
        await asyncio.wait_for(plenty.until(len(plenty.taken) + 40), 60)
        plenty.status = 503
        await first.start()
        await second.stop()
        await second.start()
        plenty.status = 200

    ways = (READY_FRAMES, READY_FRAMES)
    async with town(server, tmp_path, ways=ways, target_networks="127.0.0.0/8") as place:
        plenty = await storm(place, chats=20, each=each, every_s=0.3, slow=1, is_raw=is_raw, weather=weather)

    assert plenty.complaints(20, each) == []
    # Taken a second time, with its id, is only what was under way as the gateway was killed.
    assert plenty.doubled <= 32
