"""Gateways die and freeze at every step of a send, and upstream answers, or does not: each message goes out once."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.faults.sending import street

WAYS = [
    {"hang": True, "times": 1},
    {"hang": True, "after": True, "times": 1},
]


@pytest.mark.parametrize("way", WAYS, ids=["before upstream took it", "after upstream took it"])
async def test_killed_in_the_middle_of_a_call_it_is_not_repeated(
    database: str, tmp_path: Path, way: dict[str, object]
) -> None:
    async with street(database, tmp_path) as place:
        (gateway,) = place.gateways
        await place.fault(**way)
        row_id = await place.queue("first")
        await place.status(row_id, "sending")
        await gateway.kill()
        await gateway.start()
        later = await place.queue("second")

        await place.status(later, "sent", "delivered", "read")
        await place.at_rest()
        ends = ("unknown",) if "after" not in way else ("sent", "delivered", "read", "unknown")
        await place.status(row_id, *ends)
        await place.check()


async def test_killed_again_and_again_nothing_is_doubled_or_lost(database: str, tmp_path: Path) -> None:
    async with street(database, tmp_path) as place:
        (gateway,) = place.gateways
        for round_ in range(4):
            for number in range(4):
                await place.queue(f"{round_}-{number}", phone=f"1555000222{number}")
            # In the middle of the queue, wherever that is.
            begun = "SELECT count(*) >= $1 FROM whatsapp_outgoing_messages WHERE attempt > 0"
            await place.until(begun, bool, round_ * 4 + 2)
            await gateway.kill()
            await gateway.start()
        await place.at_rest()

        came_to = await place.check()

        assert came_to.total() == 16
        assert came_to["failed"] == came_to["cancelled"] == 0


async def test_a_frozen_gateway_is_succeeded_and_sends_nothing_when_it_wakes_up(
    database: str, tmp_path: Path
) -> None:
    async with street(database, tmp_path, gateways=2) as place:
        first, second = place.gateways
        await place.fault(delay_ms=3000, times=1)
        row_id = await place.queue("first")
        await place.status(row_id, "sending")
        holder = first if "sending.started" in first.said() else second
        other = second if holder is first else first

        holder.freeze()
        later = await place.queue("second", gateway=other)
        await place.status(later, "accepted", "sent", "delivered", "read")
        assert await place.status(row_id, "unknown", "sent", "delivered", "read")
        holder.thaw()
        last = await place.queue("third", gateway=other)
        await place.status(last, "accepted", "sent", "delivered", "read")

        await place.at_rest()
        await place.check()


async def test_resets_silence_and_errors_double_nothing_with_two_gateways(
    database: str, tmp_path: Path
) -> None:
    async with street(database, tmp_path, gateways=2) as place:
        faults: list[dict[str, Any]] = [
            {"drop": "before"}, {"drop": "after"}, {"status": 500}, {"status": 500, "after": True},
            {"status": 429, "retry_after": 1}, {"html": True}, {"status": 503, "after": True},
        ]  # fmt: skip
        for number, fault in enumerate(faults):
            await place.fault(times=1, **fault)
            ids = await asyncio.gather(
                *(
                    place.queue(f"{number}-{chat}", f"1555000222{chat}", place.gateways[chat % 2])
                    for chat in range(3)
                )
            )
            for row_id in ids:
                await place.status(row_id, "accepted", "sent", "delivered", "read", "unknown", "failed")
        await place.at_rest()

        came_to = await place.check()

        assert came_to["failed"] == 0
        assert came_to.total() == 3 * len(faults)
