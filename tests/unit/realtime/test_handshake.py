"""A plain handshake is answered as websockets would, and what is not plain is left to it."""

from typing import Any

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from gateway.realtime.transport.handshake import plain_answer, socket_scope

KEY = (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==")
VERSION = (b"sec-websocket-version", b"13")
UPGRADE = (b"upgrade", b"websocket")
CONNECTION = (b"connection", b"Upgrade")
PLAIN = [(b"host", b"shop"), UPGRADE, CONNECTION, KEY, VERSION]
DEFLATE = (b"sec-websocket-extensions", b"permessage-deflate; client_max_window_bits")

PLAIN_ONES = [
    PLAIN,
    [*PLAIN, DEFLATE],
    [*PLAIN, (b"origin", b"https://shop"), (b"cookie", b"a=1"), (b"cookie", b"b=2")],
    [UPGRADE, (b"connection", b"keep-alive, Upgrade"), KEY, VERSION],
    [(b"upgrade", b"WebSocket"), CONNECTION, KEY, VERSION],
]
OTHERS = [
    [*PLAIN, KEY],
    [*PLAIN, VERSION],
    [*PLAIN, UPGRADE],
    [*PLAIN, (b"origin", b"https://a"), (b"origin", b"https://b")],
    [*PLAIN, (b"sec-websocket-protocol", b"chat")],
    [UPGRADE, CONNECTION, VERSION],
    [UPGRADE, CONNECTION, KEY],
    [UPGRADE, (b"connection", b"close"), KEY, VERSION],
    [UPGRADE, CONNECTION, (b"sec-websocket-key", b"c2hvcnQ="), VERSION],
    [UPGRADE, CONNECTION, (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZR=="), VERSION],
    [UPGRADE, CONNECTION, (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ==\n"), VERSION],
    [UPGRADE, CONNECTION, KEY, (b"sec-websocket-version", b"8")],
]


def _websockets_answer(headers: list[tuple[bytes, bytes]]) -> tuple[int, str | None]:
    fields = Headers()
    for name, value in headers:
        fields[name.decode()] = value.decode()
    response = ServerProtocol().accept(Request("/ws", fields))
    return response.status_code, response.headers.get("Sec-WebSocket-Accept")


@pytest.mark.parametrize("headers", PLAIN_ONES)
def test_a_plain_handshake_is_answered_as_websockets_does(headers: list[tuple[bytes, bytes]]) -> None:
    answer = plain_answer(headers)

    assert answer is not None
    status, accept = _websockets_answer(headers)
    lines = answer.decode().split("\r\n")
    assert lines[0].split()[1] == str(status) == "101"
    assert f"Sec-WebSocket-Accept: {accept}" in lines


@pytest.mark.parametrize("headers", OTHERS)
def test_what_is_not_plain_is_left_to_websockets(headers: list[tuple[bytes, bytes]]) -> None:
    assert plain_answer(headers) is None


def test_an_offer_of_extensions_is_not_plain_where_the_server_has_some() -> None:
    assert plain_answer([*PLAIN, DEFLATE], has_extensions=True) is None


def test_the_scope_of_the_socket_names_what_its_handshake_asked_for() -> None:
    request: dict[str, Any] = {
        "asgi": {"version": "3.0"}, "scheme": "https", "server": ("127.0.0.1", 80), "client": ("1.2.3.4", 5),
        "root_path": "", "state": {},
    }  # fmt: skip

    scope = socket_scope(request, b"/a%20b?ticket=c", PLAIN)

    assert (scope["scheme"], scope["path"], scope["raw_path"]) == ("wss", "/a b", b"/a%20b")
    assert (scope["query_string"], scope["client"]) == (b"ticket=c", ("1.2.3.4", 5))
