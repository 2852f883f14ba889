"""A handshake that is none gets an answer: what is missing, or what is too long."""

import asyncio
import json
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from tests.launcher.running import DEADLINE_S, Running

SOCKETS = ["/ws", "/realtime/v1/websocket"]
HANDSHAKE = {
    "Host": "localhost",
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any
    has_ended: bool


async def asked(gateway: Running, head: bytes, *, pieces: int = 1) -> Answer:
    """The answer to a request sent as it is, in so many pieces; whether the server closed behind it."""
    address = urlsplit(gateway.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        async with asyncio.timeout(DEADLINE_S):
            size = -(-len(head) // pieces)
            for start in range(0, len(head), size):
                writer.write(head[start : start + size])
                await writer.drain()
            top = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in top[1:] if line)
            }
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            has_ended = headers.get("connection", "").lower() == "close" and await reader.read() == b""
    finally:
        writer.close()
    return Answer(int(top[0].split()[1]), headers, json.loads(body) if body[:1] == b"{" else None, has_ended)


def request(path: str, headers: dict[str, str], *, method: str = "GET", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


def without(*names: str, **more: str) -> dict[str, str]:
    return {name: value for name, value in HANDSHAKE.items() if name not in names} | more


@pytest.mark.parametrize("path", SOCKETS)
async def test_without_an_upgrade_the_answer_names_the_setting_of_the_proxy(
    gateway: Running, path: str
) -> None:
    cases = [
        (request(path, without("Upgrade", "Connection")), ["`Upgrade: websocket`", "`Connection: Upgrade`"]),
        (request(path, without("Upgrade", Connection="close")), ["`Upgrade: websocket`", "`Connection: Upgrade`"]),
        (request(path, without("Upgrade", "Connection"), version="1.0"),
         ["HTTP/1.1", "`Upgrade: websocket`", "`Connection: Upgrade`"]),
        (request(path, without("Connection")), ["`Connection: Upgrade`"]),
        (request(path, without(Connection="keep-alive")), ["`Connection: Upgrade`"]),
        (request(path, without("Upgrade")), ["`Upgrade: websocket`"]),
        (request(path + "?apikey=x&vsn=2.0.0", {"Host": "localhost", "Cookie": "a=b"}, method="POST"),
         ["`Upgrade: websocket`", "`Connection: Upgrade`"]),
    ]  # fmt: skip
    for head, missing in cases:
        answer = await asked(gateway, head)

        assert answer.status == 426, head
        assert answer.headers["upgrade"] == "websocket"
        assert answer.headers["content-type"] == "application/json"
        assert answer.body["success"] is False
        assert answer.body["code"] == "upgrade_required"
        assert answer.body["details"]["missing"] == missing
        assert "proxy_set_header Upgrade $http_upgrade" in answer.body["error"]
        assert 'proxy_set_header Connection "upgrade"' in answer.body["error"]
        assert "Caddy" in answer.body["error"]
        assert "reverse_proxy" in answer.body["details"]["caddy"]


@pytest.mark.parametrize("path", SOCKETS)
@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_handshake_over_a_limit_is_answered_and_closed(
    gateway: Running, path: str, pieces: int
) -> None:
    many = {f"X-{number}": "1" for number in range(120)}
    several = {f"X-{number}": "y" * 7000 for number in range(5)}
    cases = [
        (request(path + "?apikey=" + "x" * 17_000, HANDSHAKE), 414),
        (request(path + "?apikey=" + "x" * 40_000, HANDSHAKE), 414),
        (request(path, {**HANDSHAKE, "Cookie": "y" * 33_000}), 431),
        (request(path, {**HANDSHAKE, "Authorization": "Bearer " + "y" * 50_000}), 431),
        (request(path, {**HANDSHAKE, **several}), 431),
        (request(path, {**HANDSHAKE, **many}), 431),
    ]
    for head, status in cases:
        answer = await asked(gateway, head, pieces=pieces)

        assert answer.status == status, head[:100]
        assert answer.has_ended
        assert (answer.body["success"], answer.body["code"]) == (False, "too_large")
        assert answer.body["error"].endswith(".")


async def test_within_the_limits_a_handshake_is_what_it_always_was(gateway: Running) -> None:
    query = "?more=" + "x" * 15_000
    headers = {**HANDSHAKE, "Cookie": "y" * 20_000, **{f"X-{number}": "1" for number in range(90)}}

    assert (await asked(gateway, request("/ws" + query, headers))).status == 101
    key = f"{query}&apikey={gateway.token()}"
    assert (await asked(gateway, request("/realtime/v1/websocket" + key, headers))).status == 101


async def test_a_handshake_that_cannot_be_read_is_answered(gateway: Running) -> None:
    for odd in (
        {"Sec-WebSocket-Key": "x"},
        {"Sec-WebSocket-Version": "8"},
    ):
        assert (await asked(gateway, request("/ws", {**HANDSHAKE, **odd}))).status in (400, 426)
