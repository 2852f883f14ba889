"""The one timer: tops of inboxes that moved, and the end of those who say nothing."""

import asyncio

import asyncpg

from gateway.realtime import close_codes
from tests.launcher.running import Running
from tests.postgres.writers import insert_message
from tests.realtime.live import close_code, connection_of, pong, roster_of, sluggish, until


async def test_a_heartbeat_comes_to_everybody_within_the_promised_seconds(live: Running) -> None:
    async with live.socket() as one, live.socket() as other:
        for _ in range(close_codes.HEARTBEAT_S):
            roster_of(live).tick()

        for socket in (one, other):
            beats = [frame for frame in await pong(socket) if frame["type"] == "heartbeat"]
            assert beats == [{"type": "heartbeat", "tops": {}}]


async def test_a_heartbeat_names_the_inboxes_that_moved_since_the_last_one(
    live: Running, writer: asyncpg.Connection
) -> None:
    await insert_message(writer, 7)
    async with live.socket() as socket:
        for inbox in (7, 8):
            await socket.subscribe(f"inbox:{inbox}", after={"off": 0, "epoch": "none"})
        connection = connection_of(live)
        connection.heartbeat()
        assert (await socket.next("heartbeat"))["tops"] == {}

        await insert_message(writer, 7)
        await socket.event("message.created")
        connection.heartbeat()
        assert (await socket.next("heartbeat"))["tops"] == {"inbox:7": 2}
        connection.heartbeat()
        assert (await socket.next("heartbeat"))["tops"] == {}


async def test_a_heartbeat_never_claims_more_than_has_been_sent(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with sluggish(live) as slow:
        await slow.subscribe("inbox:12")
        connection = connection_of(live, slow.name)
        for off in range(1, 101):
            await insert_message(writer, 12, message_text="x" * 8192)
            if off % 10 == 0:
                await slow.read(16384)
                connection.heartbeat()
        await slow.next("event", lambda frame: frame["off"] == 100)
        connection.heartbeat()
        await slow.next("heartbeat", lambda frame: frame["tops"].get("inbox:12") == 100)

        have = 0
        for frame in slow.frames:
            if frame["type"] == "event":
                have = frame["off"]
            elif frame["type"] == "heartbeat":
                assert frame["tops"].get("inbox:12", 0) <= have


async def test_whoever_is_not_heard_for_90_seconds_is_told_to_come_back(gateway: Running) -> None:
    async with gateway.socket() as socket:
        outlet = connection_of(gateway).transport
        outlet.heard_at = asyncio.get_running_loop().time() - 89  # type: ignore[misc]
        roster_of(gateway).tick()
        assert not [frame for frame in await pong(socket) if frame["type"] == "drain"]

        outlet.heard_at = asyncio.get_running_loop().time() - 91  # type: ignore[misc]
        roster_of(gateway).tick()
        assert await close_code(socket) == 4009


async def test_a_websocket_pong_is_a_sign_of_life(gateway: Running) -> None:
    async with gateway.socket() as socket:
        connection = connection_of(gateway)
        long_ago = asyncio.get_running_loop().time() - 91
        connection.transport.heard_at = long_ago  # type: ignore[misc]
        connection.heartbeat()  # with a WebSocket ping, which the client answers by itself
        await until(lambda: connection.transport.heard_at > long_ago, "the pong is heard")
        roster_of(gateway).tick()

        await pong(socket)


async def test_a_gateway_that_stops_tells_when_to_come_back(live: Running) -> None:
    async with live.socket() as one, live.socket() as other:
        await live.gateway.drain()

        for socket in (one, other):
            assert await close_code(socket) == 1012
            (drain,) = [frame for frame in socket.frames if frame["type"] == "drain"]
            assert 0 < drain["reconnect_after_ms"] < 5000
