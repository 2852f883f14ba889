"""The stranger, in a process of its own: `python -m tests.attacks.attacker PORT SECONDS SESSION NAME…`.

Each attack goes on until its time is over, however often it is thrown out.
"""

import asyncio
import base64
import contextlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from gateway.domain.access import Role
from tests.attacks.claims import mint

BLOCK = 64 * 1024
MOST_BYTES = 400 * 1024 * 1024
"""Of one connection; what an attack in the table needed, and a little more."""


@dataclass(frozen=True, slots=True)
class Target:
    port: int
    until: float
    session_id: int

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.until

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


Attack = Callable[[Target], Awaitable[None]]
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def connected(target: Target, *, is_reading: bool = True) -> AsyncIterator[Stream]:
    """One connection; reads nothing of it beyond 4 KiB if told so."""
    reader, writer = await asyncio.open_connection("127.0.0.1", target.port, limit=4096)
    if not is_reading:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def again_and_again(target: Target, once: Attack, at_once: int = 1) -> None:
    """`once`, by so many at the same time, until the time is over."""

    async def one() -> None:
        while not target.is_over:
            try:
                async with asyncio.timeout(max(0.1, target.until - time.monotonic())):
                    await once(target)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, aiohttp.ClientError):
                await asyncio.sleep(0.05)

    await asyncio.gather(*(one() for _ in range(at_once)))


def sending(head: bytes, piece: bytes, *, is_reading: bool = True) -> Attack:
    """One connection that sends the head, and then the piece without end."""
    block = piece * max(1, BLOCK // len(piece))

    async def once(target: Target) -> None:
        async with connected(target, is_reading=is_reading) as (_, writer):
            writer.write(head)
            sent = 0
            while not target.is_over and sent < MOST_BYTES:
                writer.write(block)
                await writer.drain()
                sent += len(block)
            await asyncio.sleep(max(0.0, target.until - time.monotonic()))

    return once


def dripping(head: bytes, piece: bytes, every_s: float = 1.0) -> Attack:
    """One connection that sends the head, then the piece now and then, or nothing if there is none."""

    async def once(target: Target) -> None:
        async with connected(target) as (reader, writer):
            writer.write(head)
            while not target.is_over:
                await asyncio.sleep(min(every_s, max(0.0, target.until - time.monotonic())))
                if piece:
                    writer.write(piece)
                if reader.at_eof():
                    return

    return once


def repeated(once: Attack, at_once: int = 1) -> Attack:
    async def attack(target: Target) -> None:
        await again_and_again(target, once, at_once)

    return attack


# ---------------------------------------------------------------------------------------------- WebSockets


def handshake(path: str = "/ws", headers: str = "") -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
        f"{headers}\r\n"
    ).encode()


def bearer(role: Role = Role.VIEWER, sub: str = "stranger") -> str:
    return f"Authorization: Bearer {mint(role, sub)}\r\n"


def frame(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A client's frame, masked with zeros."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else bytes((0xFE,)) + size.to_bytes(2, "big")
    return bytes(((0x80 if fin else 0) | opcode,)) + length + bytes(4) + payload


TEXT, CONTINUED, PING = 1, 0, 9


def flooding(first: bytes, piece: bytes, *, login: bool = True, is_reading: bool = True) -> Attack:
    """One socket that sends the first frame, and then the piece without end."""
    block = piece * max(1, BLOCK // len(piece))

    async def once(target: Target) -> None:
        async with connected(target) as (reader, writer):
            writer.write(handshake(headers=bearer() if login else ""))
            await reader.readuntil(b"\r\n\r\n")
            if not is_reading:
                writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(first)
            while not target.is_over:
                writer.write(block)
                await writer.drain()

    return once


# ---------------------------------------------------------------------------------------------- REST


def asking(
    method: str, path: str, *, at_once: int, headers: dict[str, str] | None = None, body: bytes | None = None
) -> Attack:
    """So many requests at the same time, again and again."""

    async def attack(target: Target) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:

            async def once(_: Target) -> None:
                url = target.url + path.replace("{id}", str(target.session_id))
                async with http.request(method, url, headers=headers, data=body) as reply:
                    await reply.read()

            await again_and_again(target, once, at_once)

    return attack


async def many_sockets(target: Target) -> None:
    """3,000 sockets of one token, kept open as far as they may be."""
    head = handshake(headers=bearer(sub="collector"))

    async def once(_: Target) -> None:
        async with connected(target) as (reader, writer):
            writer.write(head)
            while await reader.read(4096):
                pass
            await asyncio.sleep(0.2)

    await again_and_again(target, once, 3000 if target.until - time.monotonic() > 5 else 600)


async def patterns(target: Target) -> None:
    """100 channels of 100 bindings of 12 patterns over Supabase's dialect."""
    token = mint(Role.VIEWER, "filters")
    path = f"/realtime/v1/websocket?apikey={token}&vsn=2.0.0"
    conditions = ",".join(f"message_text=imatch.(a|b|{n})*c{n}.*(d|e)+f" for n in range(12))
    binding = {
        "event": "*",
        "schema": "public",
        "table": "whatsapp_incoming_messages",
        "filter": conditions,
    }
    wish = {
        "config": {
            "postgres_changes": [{**binding, "filter": f"{conditions},id=neq.{n}"} for n in range(100)]
        }
    }

    async def once(_: Target) -> None:
        async with connected(target) as (reader, writer):
            writer.write(handshake(path))
            await reader.readuntil(b"\r\n\r\n")
            for number in range(100):
                join = json.dumps(
                    [str(number), str(number), f"realtime:c{number}", "phx_join", wish]
                ).encode()
                writer.write(bytes((0x81, 0xFE)) + len(join).to_bytes(2, "big") + bytes(4) + join)
                await writer.drain()
            while await reader.read(65536):
                pass

    await again_and_again(target, once)


NESTED = b'{"a":[' + b",".join([b"{}"] * 340_000) + b"]}"
_CHUNKED = b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
_BEARER = {"Authorization": f"Bearer {mint(Role.VIEWER, 'stranger')}"}
_AGENT = {"Authorization": f"Bearer {mint(Role.AGENT, 'stranger')}"}
_WRONG = {"X-Webhook-Signature": "not-the-secret"}
_HEAD = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"

ATTACKS: dict[str, Attack] = {
    "pipelined /healthz, nothing read": repeated(sending(b"", _HEAD + b"\r\n", is_reading=False), 10),
    "pipelined /openapi.json, nothing read": repeated(
        sending(b"", b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n", is_reading=False), 40
    ),
    "headers without end": repeated(sending(_HEAD, b"x-a: b\r\n"), 4),
    "one header without end": repeated(sending(_HEAD + b"x: ", b"y"), 4),
    "a URL without end": repeated(sending(b"GET /", b"u"), 4),
    "a handshake's headers without end": repeated(sending(handshake()[:-2], b"x-a: b\r\n"), 4),
    "a handshake's URL without end": repeated(sending(b"GET /ws?", b"u"), 4),
    "trailers without end": repeated(sending(_CHUNKED + b"1\r\na\r\n0\r\n", b"x-a: b\r\n"), 4),
    "a chunk's extension without end": repeated(sending(_CHUNKED + b"1;", b"e"), 4),
    "a body of one-byte chunks": repeated(sending(_CHUNKED, b"1\r\na\r\n"), 4),
    "line ends without end": repeated(sending(b"", b"\r\n"), 4),
    "1,100 silent connections": repeated(dripping(b"", b""), 1100),
    "1,100 connections that drip headers": repeated(dripping(_HEAD, b"x: y\r\n"), 1100),
    "1,100 connections with a stuck body": repeated(
        dripping(b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n", b""), 1100
    ),
    "1,100 webhooks with a stuck body": repeated(
        dripping(b"POST /api/whatsapp/webhook HTTP/1.1\r\nHost: a\r\nX-Webhook-Signature: x\r\n"
                 b"Content-Length: 60000\r\n\r\n" + b"x" * 50_000, b""), 1100,
    ),
    "1,100 handshakes without login": repeated(dripping(handshake(), b""), 1100),
    "empty pings": repeated(flooding(b"", frame(PING))),
    "zero-length fragments": repeated(flooding(frame(TEXT, fin=False), frame(CONTINUED, fin=False))),
    "one-byte fragments": repeated(flooding(frame(TEXT, b"a", fin=False), frame(CONTINUED, b"a", fin=False))),
    "fragments without login": repeated(
        flooding(frame(TEXT, b"a", fin=False), frame(CONTINUED, b"a", fin=False), login=False), 4
    ),
    "texts": repeated(flooding(b"", frame(TEXT, b'{"type":"ping"}'))),
    "50 sockets of texts": repeated(flooding(b"", frame(TEXT, b'{"type":"ping"}')), 50),
    "pings with pongs unread": repeated(flooding(b"", frame(PING, b"p" * 125), is_reading=False)),
    "webhooks of 1 MiB, wrong signature": asking(
        "POST", "/api/whatsapp/webhook", at_once=60, headers=_WRONG, body=NESTED
    ),
    "webhooks of 60 KiB, wrong signature": asking(
        "POST", "/api/whatsapp/webhook", at_once=60, headers=_WRONG, body=NESTED[:60_000]
    ),
    "webhooks of 1 MiB to a session, wrong signature": asking(
        "POST", "/api/whatsapp/webhook/{id}", at_once=60, headers=_WRONG, body=NESTED
    ),
    "bodies of 1 MiB with a login": asking("POST", "/api/tickets", at_once=60, headers=_BEARER, body=NESTED),
    "Origin: http://[": asking(
        "GET", "/", at_once=40, headers={"Origin": "http://[", "Cookie": f"gateway_login={mint(Role.VIEWER)}"}
    ),
    "Host: [": asking("GET", "/api/nothing", at_once=40, headers={"Host": "["}),
    "searches of one viewer": asking("GET", "/api/conversations?search=zzz", at_once=60, headers=_BEARER),
    "refresh=1 of one viewer": asking(
        "GET", "/api/whatsapp-sessions/{id}?refresh=1", at_once=300, headers=_BEARER
    ),
    "tickets of one viewer": asking(
        "POST", "/api/tickets", at_once=50, headers=_BEARER, body=b'{"for":"ws"}'
    ),
    "false logins": asking("GET", "/api/me", at_once=50, headers={"Authorization": "Bearer x.y.z"}),
    "3,000 sockets of one token": many_sockets,
    "patterns over Supabase's dialect": patterns,
}  # fmt: skip


def main(port: str, seconds: str, session_id: str, *names: str) -> None:
    os.nice(10)  # the well-behaved clients beside it are measured, not this
    target = Target(int(port), time.monotonic() + float(seconds), int(session_id))

    async def run() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(float(seconds) + 5):
                await asyncio.gather(*(ATTACKS[name](target) for name in names))

    asyncio.run(run())


if __name__ == "__main__":
    main(*sys.argv[1:])
