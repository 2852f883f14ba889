"""The bad network is as bad as it says, and no worse."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

import pytest

from tests.faults.proxy import Proxy

Completion = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Echo:
    """A server that says everything back; `ends` are its sides of the connections."""

    def __init__(self) -> None:
        self.ends: list[Completion] = []
        self.lost = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.ends.append((reader, writer))
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            self.lost.set()
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def wired() -> AsyncIterator[tuple[Echo, Proxy, Completion]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with Proxy(lambda: ("127.0.0.1", port), random.Random(1)).running() as proxy:
        ends = await asyncio.open_connection("127.0.0.1", proxy.port)
        try:
            await said_back(ends, b"hello")
            yield echo, proxy, ends
        finally:
            ends[1].close()
            server.close()
    await server.wait_closed()


async def said_back(ends: Completion, data: bytes) -> None:
    reader, writer = ends
    writer.write(data)
    async with asyncio.timeout(10):
        assert await reader.readexactly(len(data)) == data


@pytest.mark.parametrize("fault", ["delay_s", "slice_bytes", "bytes_per_s"])
async def test_bytes_come_late_and_in_pieces_and_are_the_same(fault: str) -> None:
    data = random.Random(2).randbytes(20_000)
    async with wired() as (_, proxy, ends):
        pieces: list[bytes] = []
        proxy.on_piece = lambda link, is_forth, piece: pieces.append(piece)
        setattr(proxy, fault, {"delay_s": 0.01, "slice_bytes": 500, "bytes_per_s": 1e6}[fault])
        await said_back(ends, data)

        assert fault != "slice_bytes" or max(map(len, pieces)) <= 500


async def test_a_black_hole_keeps_everything_until_it_is_gone() -> None:
    async with wired() as (_, proxy, ends):
        proxy.hold()
        ends[1].write(b"are you there")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ends[0].read(1), 0.1)
        proxy.release()

        await said_back((ends[0], ends[1]), b"")
        assert await ends[0].readexactly(13) == b"are you there"


async def test_half_open_the_far_side_is_gone_and_the_near_side_learns_nothing() -> None:
    async with wired() as (echo, proxy, ends):
        proxy.half_open()
        async with asyncio.timeout(10):
            await echo.lost.wait()
        ends[1].write(b"are you there")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ends[0].read(1), 0.1)
        proxy.heal()

        with pytest.raises(ConnectionResetError):
            await ends[0].read(1)


async def test_a_cut_is_a_reset_at_both_ends_and_new_connections_work() -> None:
    async with wired() as (echo, proxy, ends):
        proxy.cut()
        with pytest.raises(ConnectionResetError):
            await ends[0].read(1)
        async with asyncio.timeout(10):
            await echo.lost.wait()
        again = await asyncio.open_connection("127.0.0.1", proxy.port)
        await said_back(again, b"again")
        again[1].close()


async def test_whoever_is_refused_is_refused_at_once() -> None:
    async with wired() as (_, proxy, _ends):
        proxy.is_refusing = True
        refused = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises(ConnectionResetError):
            await refused[0].read(1)
        refused[1].close()
