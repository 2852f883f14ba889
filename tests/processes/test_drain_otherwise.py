"""The end of a gateway in other circumstances: several workers, and somebody who cannot wait."""

import asyncio
import contextlib
import signal

from tests.launcher.terminal import Terminal
from tests.processes.draining import served, sockets_of, told_and_closed
from tests.realtime.live import sluggish


async def test_workers_drain_too(terminal: Terminal, database: str, free_port: int) -> None:
    async with (
        served(terminal, database, free_port, workers=2) as gateway,
        contextlib.AsyncExitStack() as stack,
    ):
        sockets = await sockets_of(gateway.remote, stack, 40)
        posting = asyncio.create_task(gateway.keep_posting())
        while not gateway.acknowledged:  # noqa: ASYNC110  the task tells nobody
            await asyncio.sleep(0.01)
        gateway.serve.send(signal.SIGTERM)
        farewells = await asyncio.gather(*(told_and_closed(socket) for socket in sockets))
        ended = await gateway.serve.end()
        await posting

        assert {code for _, code in farewells} == {1012}
        assert ended.code == 0, ended
        assert set(gateway.acknowledged) <= await gateway.stored()


async def test_a_second_signal_ends_it_at_once_and_as_cleanly(
    terminal: Terminal, database: str, free_port: int
) -> None:
    async with served(terminal, database, free_port) as gateway, sluggish(gateway.remote) as deaf:
        await deaf.subscribe("inbox:12")
        async with gateway.remote.socket() as socket:
            gateway.serve.send(signal.SIGTERM)
            await told_and_closed(socket)
        posting = asyncio.create_task(gateway.keep_posting())
        ending = asyncio.create_task(gateway.serve.end())
        while not ending.done():
            gateway.serve.send(signal.SIGTERM)
            await asyncio.wait([ending], timeout=0.5)
        await posting

        assert ending.result().code == 0, ending.result()
        assert set(gateway.acknowledged) <= await gateway.stored()
