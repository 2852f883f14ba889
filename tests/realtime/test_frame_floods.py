"""A socket that sends too many frames is not read; one that goes on is closed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_socket
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from tests.launcher.running import running
from tests.launcher.settings import settings_for
from tests.realtime.live import until

PING = json.dumps({"type": "ping"})
SMALL = {"frames_per_s": 5, "first_frames": 20, "burst_frames": 5, "flood_s": 0.5}


async def flood(socket: ClientConnection, text: str) -> int:
    """The code with which the gateway closes a socket that sends and sends."""

    async def read() -> None:
        async for _ in socket:
            pass

    reading = asyncio.create_task(read())
    try:
        while True:
            await socket.send(text)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006
    finally:
        reading.cancel()


def address(gateway: Any) -> dict[str, Any]:
    return {
        "uri": gateway.url.replace("http", "ws", 1) + "/ws",
        "additional_headers": {"Authorization": f"Bearer {gateway.token()}"},
        "compression": None,
    }


async def test_a_socket_that_floods_is_closed_with_1013_and_others_go_on(
    database: str, tmp_path: Path
) -> None:
    async with (
        running(settings_for(database, tmp_path, **SMALL)) as gateway,
        gateway.socket() as quiet,
        connect_socket(**address(gateway)) as loud,
    ):
        assert await flood(loud, PING) in (1013, 1006)
        await quiet.send(type="ping", ref="1")
        assert (await quiet.next("pong"))["ref"] == "1"


async def test_a_burst_within_the_limits_is_answered_whole(database: str, tmp_path: Path) -> None:
    async with (
        running(settings_for(database, tmp_path)) as gateway,
        connect_socket(**address(gateway)) as socket,
    ):
        for number in range(2_000):
            await socket.send(json.dumps({"type": "ping", "ref": str(number)}))
        refs: list[str] = []
        async with asyncio.timeout(30):
            while len(refs) < 2_000:
                frame = json.loads(await socket.recv())
                refs += [frame["ref"]] if frame["type"] == "pong" else []
        assert refs == [str(number) for number in range(2_000)]


async def test_what_was_held_back_is_heard_once_the_socket_is_calm(database: str, tmp_path: Path) -> None:
    settings = settings_for(database, tmp_path, frames_per_s=20, first_frames=10, burst_frames=10)
    async with running(settings) as gateway, gateway.socket() as socket:
        for number in range(15):
            await socket.send(type="ping", ref=str(number))
        for number in range(15):
            assert (await socket.next("pong"))["ref"] == str(number)


@pytest.mark.parametrize("payload", [b"", b"x" * 100])
async def test_pings_count_as_frames(database: str, tmp_path: Path, payload: bytes) -> None:
    settings = settings_for(database, tmp_path, **SMALL)
    async with running(settings) as gateway, connect_socket(**address(gateway)) as socket:
        wire = Frame(Opcode.PING, payload).serialize(mask=True)
        socket.transport.write(wire * 20_000)
        await until(lambda: socket.close_code is not None or socket.transport.is_closing(), "it is closed")
