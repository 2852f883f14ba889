"""From REST to the socket without a gap: rows and positions of one snapshot."""

import asyncio

from tests.http.support import Shop, received
from tests.unit.wasender import payload_parts as parts

ANN = parts.ANN


async def test_subscribing_with_a_lists_position_misses_nothing_and_repeats_nothing(shop: Shop) -> None:
    await shop.take(received("in the list", key_id="1"))
    data = await shop.gateway.data("GET", "/api/conversations")
    await shop.take(received("between", key_id="2"))
    await shop.take(received("between, other session", key_id="3"), 13)
    async with shop.gateway.socket() as socket:
        await socket.subscribe("inbox:*", after=data["position"])
        await shop.take(received("after", key_id="4"))
        while "after" not in str(socket.frames[-1]):
            await socket.event("message.created")

    seen = [frame["data"]["message_text"] for frame in socket.frames if frame["type"] == "event"]
    assert sorted(seen) == ["after", "between", "between, other session"]


async def test_subscribing_with_a_threads_position_misses_nothing(shop: Shop) -> None:
    await shop.take(received("in the thread", key_id="1"))
    data = await shop.gateway.data("GET", f"/api/conversations/{ANN}/messages")
    await shop.take(received("between", key_id="2"))
    async with shop.gateway.socket() as socket:
        await socket.subscribe("inbox:12", after=data["position"]["12"])
        await shop.take(received("after", key_id="3"))
        while "after" not in str(socket.frames[-1]):
            await socket.event("message.created")

    seen = [frame["data"]["message_text"] for frame in socket.frames if frame["type"] == "event"]
    assert seen == ["between", "after"]


async def test_every_session_has_a_position_before_its_first_message(shop: Shop) -> None:
    data = await shop.gateway.data("GET", "/api/conversations")

    assert {"12", "13"} <= set(data["position"])
    assert data["position"]["12"]["off"] == 0


async def test_a_position_is_of_the_very_snapshot_of_the_rows_whoever_writes_meanwhile(shop: Shop) -> None:
    """A list read among writes shows exactly the messages up to its position."""
    writing = True

    async def write() -> None:
        for number in range(60):
            await shop.take(
                received(str(number), key_id=f"K{number:03}", messageTimestamp=parts.SENT_S + number)
            )

    async def read() -> None:
        while writing:
            data = await shop.gateway.data("GET", f"/api/conversations/{ANN}/messages?session=12&limit=200")
            assert len(data["messages"]) == data["position"]["12"]["off"]

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        readers = [group.create_task(read(), name=f"reader-{number}") for number in range(3)]
        await write()
        writing = False
        await asyncio.gather(*readers)
