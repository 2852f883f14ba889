"""A host whose bells never come back: Postgres behind something that swallows its notifications.

Transaction poolers behave so: everything works, LISTEN too, and nothing is ever heard.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

_NOTIFICATION = b"A"
"""PostgreSQL docs, message formats, NotificationResponse: Byte1('A'), then its length."""


@contextlib.asynccontextmanager
async def forwarding(socket: Path, *, is_stale: bool, port: int = 0) -> AsyncIterator[int]:
    """A TCP port on loopback in front of a Unix socket of Postgres; addresses need `sslmode=disable`."""
    at_work: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        at_work.add(task)
        upstream: asyncio.StreamWriter | None = None
        try:
            back, upstream = await asyncio.open_unix_connection(str(socket))
            async with asyncio.TaskGroup() as both:
                both.create_task(_copy(reader, upstream), name="to-postgres")
                both.create_task(_copy_messages(back, writer, is_stale), name="from-postgres")
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            at_work.discard(task)
            for end in (writer, upstream):
                if end is not None:
                    end.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(at_work):
            task.cancel()
        await asyncio.gather(*at_work, return_exceptions=True)
        await server.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65536):
        writer.write(part)
        await writer.drain()
    writer.write_eof()


async def _copy_messages(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_stale: bool) -> None:
    while True:
        head = await reader.readexactly(5)
        body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
        if not (is_stale and head[:1] == _NOTIFICATION):
            writer.write(head + body)
            await writer.drain()
