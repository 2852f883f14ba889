"""picows (Cython): its server, and its own `send` in a loop.

`POST /publish` comes to a plain asyncio server on a second port; picows speaks WebSocket only.
"""

import asyncio
import re
import sys
from typing import Any

import picows
import uvloop

transports: set[Any] = set()


class Listener(picows.WSListener):  # type: ignore[misc, unused-ignore]
    def on_ws_connected(self, transport: Any) -> None:
        transports.add(transport)

    def on_ws_disconnected(self, transport: Any) -> None:
        transports.discard(transport)


async def publish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := await reader.readuntil(b"\r\n\r\n"):
        size = re.search(rb"content-length: (\d+)", head.lower())
        count = re.search(rb"count=(\d+)", head)
        assert size is not None
        assert count is not None
        body = await reader.readexactly(int(size[1]))
        for _ in range(int(count[1])):
            for transport in transports:
                transport.send(picows.WSMsgType.TEXT, body)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def main() -> None:
    server = await picows.ws_create_server(lambda _: Listener(), "127.0.0.1", 0)
    control = await asyncio.start_server(publish, "127.0.0.1", 0)
    ports = [each.sockets[0].getsockname()[1] for each in (server, control)]
    sys.stdout.write(f"ready {ports[0]} {ports[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
