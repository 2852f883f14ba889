"""Requests whose end may be read in two ways (RFC 9112 §6.3, §11.2): none may hide a second one from a proxy."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from gateway.domain.limits import Limits
from gateway.realtime.transport.guard import Guard
from gateway.runtime.http_server import serving
from gateway.runtime.listen_socket import bind

PATIENCE_S = 20.0
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
SIZE = b"Content-Length: %d\r\n" % len(HIDDEN)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"


def post(headers: bytes, body: bytes = HIDDEN) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n" + body


AMBIGUOUS = {
    "a length, then chunks": post(b"Content-Length: 5\r\n" + CHUNKED, END + HIDDEN),
    "chunks, then a length": post(CHUNKED + b"Content-Length: 5\r\n", END + HIDDEN),
    "a length of all, then chunks": post(SIZE + CHUNKED, END + HIDDEN),
    "two lengths": post(b"Content-Length: 0\r\n" + SIZE),
    "two lengths, the other way": post(SIZE + b"Content-Length: 0\r\n"),
    "a list of lengths": post(b"Content-Length: 0, %d\r\n" % len(HIDDEN)),
    "a length with a sign": post(b"Content-Length: +0\r\n"),
    "a length below nothing": post(b"Content-Length: -1\r\n"),
    "a hexadecimal length": post(b"Content-Length: 0x0\r\n"),
    "a length of no digits": post(b"Content-Length: \r\n"),
    "a length with a space in it": post(b"Content-Length: 0 0\r\n"),
    "a length beyond 64 bits": post(b"Content-Length: 18446744073709551616\r\n"),
    "a space before the colon": post(b"Content-Length : 0\r\n"),
    "a space before the colon of chunks": post(b"Transfer-Encoding : chunked\r\n" + SIZE, END + HIDDEN),
    "a tab before the colon": post(b"Transfer-Encoding\t: chunked\r\n", END + HIDDEN),
    "a name with a null": post(b"Transfer-Encoding\0: chunked\r\n", END + HIDDEN),
    "a folded header": post(b"Transfer-Encoding:\r\n chunked\r\n", END + HIDDEN),
    "a folded first header": b"POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\n\r\n" + END + HIDDEN,
    "no chunks at the end": post(b"Transfer-Encoding: chunked, identity\r\n", END + HIDDEN),
    "nearly chunks": post(b"Transfer-Encoding: xchunked\r\n", END + HIDDEN),
    "chunks in quotes": post(b'Transfer-Encoding: "chunked"\r\n', END + HIDDEN),
    "chunks after a vertical tab": post(b"Transfer-Encoding: \x0bchunked\r\n", END + HIDDEN),
    "identity and a length": post(b"Transfer-Encoding: identity\r\n" + SIZE),
    "chunks twice": post(CHUNKED + CHUNKED, END + HIDDEN),
    "chunks and something else": post(CHUNKED + b"Transfer-Encoding: identity\r\n", END + HIDDEN),
    "a header that ends with LF": post(b"x: y\nTransfer-Encoding: chunked\r\n", END + HIDDEN),
    "a header that ends with CR": post(b"x: y\rTransfer-Encoding: chunked\r\n", END + HIDDEN),
    "a chunk with 0x": post(CHUNKED, b"0x0\r\n\r\n" + HIDDEN),
    "a chunk below nothing": post(CHUNKED, b"-1\r\n\r\n" + HIDDEN),
    "a chunk beyond 64 bits": post(CHUNKED, b"10000000000000000\r\n" + HIDDEN),
    "a chunk that ends with LF": post(CHUNKED, b"0\n\n" + HIDDEN),
    "an extension of a chunk with LF": post(CHUNKED, b"2;\nxx\r\n" + END + HIDDEN),
    "a chunk longer than it says": post(CHUNKED, b"1\r\nab\r\n" + END + HIDDEN),
    "a chunk without its end": post(CHUNKED, b"1\r\na" + END + HIDDEN),
}


class _Seen:
    """An app that reads each request and remembers its path."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.paths.append(scope["path"])
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


async def answered(sent: bytes, step: int | None = None) -> tuple[list[str], bytes]:
    """Paths that the app has seen, and all that came back, until the connection has ended."""
    app: Any = _Seen()
    sock = bind("127.0.0.1", 0)
    async with serving(app, sock, guard=Guard(Limits())):
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        for start in range(0, len(sent), step or len(sent)):
            writer.write(sent[start : start + (step or len(sent))])
            await writer.drain()
            await asyncio.sleep(0)
        writer.write_eof()
        async with asyncio.timeout(PATIENCE_S):
            back = await reader.read()
        writer.close()
    return app.paths, back


@pytest.mark.parametrize("step", [None, 1])
@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_a_request_with_two_ends_is_refused_and_nothing_after_it_is_read(
    name: str, step: int | None
) -> None:
    paths, back = await answered(AMBIGUOUS[name], step)

    assert "/hidden" not in paths
    assert b" 400 " in back.partition(b"\r\n")[0], back
    assert back.count(b"HTTP/1.1 ") == 1


async def test_a_request_behind_one_that_has_one_end_is_seen() -> None:
    for sent in (post(b"Content-Length: 0\r\n"), post(CHUNKED, END + HIDDEN)):
        paths, back = await answered(sent)

        assert paths == ["/", "/hidden"]
        assert back.count(b"HTTP/1.1 200") == 2
