"""What the server refuses before an app sees it: raw bytes over real sockets, against an app of three lines."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from gateway.domain.limits import Limits
from gateway.realtime.transport.guard import Guard, Stage
from gateway.runtime.http_server import serving
from gateway.runtime.listen_socket import bind
from gateway.services.addresses import VISITOR
from tests.realtime.live import until

PATIENCE_S = 20.0
GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
WEBHOOK = b"POST /api/whatsapp/webhook HTTP/1.1\r\nHost: a\r\n"


@dataclass
class House:
    """An app that reads the body and answers with its length, behind a guard."""

    guard: Guard
    port: int = 0
    is_login: bool = False
    begun: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun += 1
        if self.is_login:
            scope["extensions"][VISITOR].know()
        size = 0
        while (message := await receive())["type"] == "http.request":
            size += len(message["body"])
            if not message["more_body"]:
                break
        if scope["path"] == "/waits":
            await self.release.wait()
        body = b"%d" % size
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def answer(self, sent: bytes) -> tuple[int, str]:
        """Status and body of the first answer to these bytes."""
        async with self.connected() as (reader, writer):
            writer.write(sent)
            return await read_answer(reader)


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, str]:
    async with asyncio.timeout(PATIENCE_S):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        return int(head.split()[1]), (await reader.readexactly(size)).decode()


async def is_closed(reader: asyncio.StreamReader) -> bool:
    async with asyncio.timeout(PATIENCE_S):
        try:
            return await reader.read(100_000) == b""
        except ConnectionError:
            return True


@contextlib.asynccontextmanager
async def house(**limits: Any) -> AsyncIterator[House]:
    made = House(Guard(Limits(**limits)))
    sock = bind("127.0.0.1", 0)
    made.port = sock.getsockname()[1]
    async with serving(made, sock, guard=made.guard):
        yield made


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"a" * 16_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /" + b"a" * 16_400 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /" + b"a" * 500_000, 414),
        (GET + b"x: " + b"a" * 32_000 + b"\r\n\r\n", 200),
        (GET + b"x: " + b"a" * 33_000 + b"\r\n\r\n", 431),
        (GET + b"x: y\r\n" * 99 + b"\r\n", 200),
        (GET + b"x: y\r\n" * 100 + b"\r\n", 431),
        (GET + b"x: y\r\n" * 90_000, 431),
        (CHUNKED + b"5\r\nhello\r\n0\r\nx: y\r\n\r\n", 200),
        (CHUNKED + b"5\r\nhello\r\n0\r\n" + b"x: y\r\n" * 9_000 + b"\r\n", 431),
        (CHUNKED + b"5\r\nhello\r\n0\r\nx: " + b"y" * 40_000, 431),
        (CHUNKED + b"5;x=" + b"y" * 40_000, 431),
        (CHUNKED + b"1\r\na\r\n" * 30_000 + b"0\r\n\r\n", 200),
        (b"\r\n" * 5_000, 400),
        (b"\r\n\r\n" + GET + b"\r\n", 200),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET /ws?é HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".encode(), 400),
        (GET + b"Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", 200),
    ],
)  # fmt: skip
async def test_a_head_or_a_trailer_over_its_limit_is_refused_and_others_are_not(
    sent: bytes, status: int
) -> None:
    async with house() as served:
        got, text = await served.answer(sent)

    assert got == status, text
    if status != 200:
        assert json.loads(text)["success"] is False


@pytest.mark.parametrize("step", [1, 7])
async def test_bytes_that_come_one_by_one_are_the_same_requests(step: int) -> None:
    sent = CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + GET + b"\r\n" + POST + b"Content-Length: 3\r\n\r\nabc"
    async with house() as served, served.connected() as (reader, writer):
        for start in range(0, len(sent), step):
            writer.write(sent[start : start + step])
            await writer.drain()
            await asyncio.sleep(0)
        assert [await read_answer(reader) for _ in range(3)] == [(200, "5"), (200, "0"), (200, "3")]


async def test_no_more_than_four_requests_are_read_ahead_and_all_are_answered() -> None:
    async with house() as served, served.connected() as (reader, writer):
        writer.write(GET.replace(b"/", b"/waits", 1) + b"\r\n" + (GET + b"\r\n") * 300)
        await until(lambda: served.begun == 1, "the first request is there")
        (protocol,) = (visitor.holder for visitor in served.guard)
        assert len(protocol.pipeline) == 4  # type: ignore[attr-defined]

        served.release.set()
        assert [await read_answer(reader) for _ in range(301)] == [(200, "0")] * 301


async def test_who_takes_too_long_for_a_head_or_a_body_is_closed() -> None:
    async with house(headers_s=0.2, body_s=0.2) as served:
        for sent in (b"", GET, POST + b"Content-Length: 5\r\n\r\nab"):
            async with served.connected() as (reader, writer):
                writer.write(sent)
                assert await is_closed(reader)


async def test_a_connection_is_kept_for_the_next_request_and_no_longer_than_its_time() -> None:
    async with house(keep_alive_s=0.6) as served, served.connected() as (reader, writer):
        for _ in range(3):
            writer.write(GET + b"\r\n")
            assert await read_answer(reader) == (200, "0")
        assert await is_closed(reader)


async def test_strangers_who_say_nothing_make_room_and_those_with_a_login_stay() -> None:
    async with house(address_strangers=3, webhook_line_s=0.3) as served, contextlib.AsyncExitStack() as stack:
        served.is_login = True
        known = await stack.enter_async_context(served.connected())
        known[1].write(GET + b"\r\n")
        await read_answer(known[0])

        silent = [await stack.enter_async_context(served.connected()) for _ in range(6)]
        await until(lambda: len(served.guard) == 4, "three strangers are left beside the known one")
        known[1].write(GET + b"\r\n")
        assert await read_answer(known[0]) == (200, "0")
        assert sum([reader.at_eof() for reader, _ in silent]) == 3


async def test_many_requests_of_one_address_at_the_same_moment_are_all_answered() -> None:
    async with house(address_strangers=3) as served:
        served.is_login = True
        login = GET + b"Authorization: Bearer x\r\n\r\n"

        assert await asyncio.gather(*(served.answer(login) for _ in range(60))) == [(200, "0")] * 60


async def test_when_all_connections_are_taken_webhooks_and_probes_still_come_in() -> None:
    async with house(connections=40, address_strangers=40) as served, contextlib.AsyncExitStack() as stack:
        open_to_all = served.guard.open_to_all
        for _ in range(open_to_all):
            reader, writer = await stack.enter_async_context(served.connected())
            writer.write(GET + b"\r\n")
            await read_answer(reader)
        for visitor in served.guard:
            served.guard.promote(visitor, Stage.SOCKET)  # none of them may be closed

        assert await served.answer(WEBHOOK + b"Content-Length: 2\r\n\r\n{}") == (200, "2")
        assert (await served.answer(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"))[0] == 200
        assert (await served.answer(GET + b"\r\n"))[0] == 503
        await until(lambda: len(served.guard) == open_to_all, "the others are still there")


async def test_an_answer_that_nobody_reads_is_dropped_when_there_are_too_many() -> None:
    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        body = b"x" * 20_000_000
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    guard = Guard(Limits(unread_answers_mib=4))
    sock = bind("127.0.0.1", 0)
    async with serving(large, sock, guard=guard), contextlib.AsyncExitStack() as stack:
        opened = []
        for _ in range(6):
            reader, writer = await asyncio.open_connection("127.0.0.1", sock.getsockname()[1], limit=1024)
            opened.append((reader, writer))
            stack.callback(writer.close)
            stack.callback(writer.transport.abort)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(GET + b"\r\n")
        await until(lambda: len(guard) < 6, "the guard has dropped some")
        assert sum(visitor.holder.buffered() for visitor in guard) <= 4 * 1024 * 1024
