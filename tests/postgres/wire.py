"""A TCP wire in front of Postgres that can do what networks and poolers do: swallow bells, or fall silent."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

NOTIFICATION = ord("A")
"""Type of a NotificationResponse (PostgreSQL docs, "Message Formats")."""


class Wire:
    """`dsn` leads through it. `is_stale`: bells are swallowed. `is_silent`: nothing comes through any more.

    `still_refuses`: so many connections to come are closed at once.
    """

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        query = parse_qs(parts.query)
        self._target = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"
        self._user, self._database = parts.username, parts.path
        self.dsn = ""
        self.is_stale = False
        self.is_silent = False
        self.still_refuses = 0
        self.swallowed = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> asyncio.Server:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        self.dsn = f"postgresql://{self._user}@127.0.0.1:{port}{self._database}?sslmode=disable"
        return server

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.still_refuses:
            self.still_refuses -= 1
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            from_server, to_server = await asyncio.open_unix_connection(self._target)
            try:
                async with asyncio.TaskGroup() as ways:
                    ways.create_task(self._forth(reader, to_server), name="to Postgres")
                    ways.create_task(self._back(from_server, writer), name="from Postgres")
            finally:
                to_server.close()
        except (OSError, asyncio.CancelledError, BaseExceptionGroup):
            pass  # the wire was cut, at whichever end
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _forth(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self.is_silent:
                writer.write(data)
                await writer.drain()
        raise ConnectionResetError

    async def _back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(int.from_bytes(head[1:], "big") - 4)
            if self.is_silent:
                continue
            if head[0] == NOTIFICATION and self.is_stale:
                self.swallowed += 1
                continue
            writer.write(head + body)
            await writer.drain()


@contextlib.asynccontextmanager
async def wire_to(dsn: str) -> AsyncIterator[Wire]:
    wire = Wire(dsn)
    server = await wire.open()
    try:
        yield wire
    finally:
        server.close()
        await wire.close()
        await server.wait_closed()
