"""The small stand-ins for asyncio's Queue and Event."""

import asyncio

import pytest

from gateway.realtime.transport.slim_primitives import SlimEvent, SlimQueue


async def test_what_is_put_comes_out_in_order_before_and_after_somebody_waits() -> None:
    box = SlimQueue()
    box.put_nowait(1)
    box.put_nowait(2)
    assert [await box.get(), await box.get()] == [1, 2]
    assert box.empty()

    reader = asyncio.create_task(box.get())
    await asyncio.sleep(0)
    box.put_nowait(3)
    box.put_nowait(4)

    assert await reader == 3
    assert not box.empty()
    assert await box.get() == 4


async def test_a_reader_that_gives_up_loses_nothing() -> None:
    box = SlimQueue()
    reader = asyncio.create_task(box.get())
    await asyncio.sleep(0)
    box.put_nowait("kept")
    reader.cancel()  # the item has come, and the reader has not run yet
    with pytest.raises(asyncio.CancelledError):
        await reader

    assert await box.get() == "kept"


async def test_a_gate_lets_everybody_through_when_it_opens() -> None:
    gate = SlimEvent()
    waiting = [asyncio.create_task(gate.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting[1:])

    gate.set()
    assert [await task for task in waiting[1:]] == [True, True]
    assert await gate.wait()
    gate.clear()
    assert not gate.is_set()
    late = asyncio.create_task(gate.wait())
    await asyncio.sleep(0)
    assert not late.done()
    gate.set()
    assert await late
