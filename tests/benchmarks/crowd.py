"""Many WebSocket clients as cheap as Python can make them: one epoll, raw sockets, reads that look at nothing twice.

A message carries one backquote and a number behind it. Counting backquotes counts messages at the speed of C, however
the bytes are cut; the number at the end of what each client got says that it got the last one.
"""

import re
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MARK = ord("`")
PAYLOAD_BYTES = 666
"""What the gateway sends for a message of 60 characters; peers send as much."""
PER_ADDRESS = 10_000
"""Clients on one loopback address: one has fewer than 28,000 ports to call from."""
BATCH = 100
TAIL_BYTES = 2000
"""Of the last read with a message in it: the message, and a heartbeat behind it."""

PATIENCE_S = 30.0

_PING, _PONG = b"\x89\x00", b"\x8a\x80\x00\x00\x00\x00"


def text(number: int, size: int = PAYLOAD_BYTES) -> str:
    """A message that can be counted."""
    return f"`{number:08d} ".ljust(size, "x")


def client_frame(payload: str) -> bytes:
    """A client's text frame, masked with zeros."""
    data = payload.encode()
    head = bytes((0x81, 0x80 | len(data))) if len(data) < 126 else b"\x81\xfe" + len(data).to_bytes(2, "big")
    return head + bytes(4) + data


@dataclass(frozen=True, slots=True)
class Manners:
    """How one speaks to a server: its path, and what is said after what has come."""

    path: str = "/ws"
    headers: str = ""
    steps: Sequence[tuple[str, str]] = ()
    """What to wait for after the handshake ("" = nothing), and what to say then ("" = nothing); TOPIC is the client's
    own."""


class Crowd:
    def __init__(self, port: int, manners: Manners, topic_of: Callable[[int], str] = str) -> None:
        self._port = port
        self._manners = manners
        self._topic_of = topic_of
        self._poll = select.epoll()
        self._websockets: dict[int, socket.socket] = {}
        self._tails: dict[int, bytes] = {}
        self._buffer = bytearray(1 << 18)

    def __len__(self) -> int:
        return len(self._websockets)

    def close(self) -> None:
        self._poll.close()
        for each in self._websockets.values():
            each.close()
        self._websockets.clear()

    # ------------------------------------------------------------------------------------------ coming

    def grow_to(self, size: int) -> None:
        """More clients, each admitted and subscribed when this returns."""
        while len(self._websockets) < size:
            first = len(self._websockets)
            batch = [self._connect(number) for number in range(first, min(size, first + BATCH))]
            rests = [b""] * len(batch)
            for wanted, answer in [("\r\n\r\n", ""), *self._manners.steps]:
                for place, each in enumerate(batch):
                    rests[place] = _read_past(each, rests[place], wanted.encode())
                    if answer:
                        each.sendall(client_frame(answer.replace("TOPIC", self._topic_of(first + place))))
            for each in batch:
                each.setblocking(False)
                self._websockets[each.fileno()] = each
                self._poll.register(each.fileno(), select.EPOLLIN)

    def _connect(self, number: int) -> socket.socket:
        each = socket.socket()
        each.settimeout(PATIENCE_S)
        each.bind((f"127.0.0.{2 + number // PER_ADDRESS}", 0))
        each.connect(("127.0.0.1", self._port))
        each.sendall(
            (
                f"GET {self._manners.path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                f"Sec-WebSocket-Version: 13\r\n{self._manners.headers}\r\n"
            ).encode()
        )
        return each

    # ------------------------------------------------------------------------------------------ reading

    def collect(self, messages: int) -> float:
        """Reads until that many have come in all; returns when the last one had. Raises TimeoutError."""
        buffer, sockets, tails = self._buffer, self._websockets, self._tails
        missing = messages
        deadline = time.monotonic() + PATIENCE_S
        while missing > 0:
            for number, _ in self._poll.poll(1.0):
                size = sockets[number].recv_into(buffer)
                if not size:
                    raise ConnectionError("the server closed a connection")
                found = buffer.count(MARK, 0, size)
                if found:  # otherwise a heartbeat
                    missing -= found
                    tails[number] = bytes(buffer[max(0, size - TAIL_BYTES) : size])
                if buffer.find(_PING, 0, size) >= 0:
                    sockets[number].send(_PONG)
            if time.monotonic() > deadline:
                raise TimeoutError(f"{missing} of {messages} messages did not come")
        if missing < 0:
            raise AssertionError(f"{-missing} messages came twice")
        return time.monotonic()

    def watch(self, until: Callable[[], bool]) -> list[tuple[int, float]]:
        """Reads until told to stop; returns the number of each message and when it came, for every client."""
        seen: list[tuple[int, float]] = []
        find = re.compile(rb"`(\d{8})").findall
        while not until():
            for number, _ in self._poll.poll(0.1):
                data = self._websockets[number].recv(1 << 16)
                now = time.monotonic()
                seen += [(int(found), now) for found in find(data)]
                if _PING in data:
                    self._websockets[number].send(_PONG)
        return seen

    def check_last(self, number: int) -> None:
        """Every client's newest message is this one. Raises AssertionError."""
        wanted = f"`{number:08d} ".encode()
        late = sum(wanted not in tail for tail in self._tails.values())
        assert len(self._tails) == len(self._websockets), "some clients got nothing"
        assert not late, f"{late} clients did not get the last message"


def _read_past(each: socket.socket, rest: bytes, wanted: bytes) -> bytes:
    if not wanted:
        return rest
    while wanted not in rest:
        data = each.recv(65536)
        if not data:
            raise ConnectionError(f"closed before {wanted!r}: {rest!r}")
        rest += data
    return rest.partition(wanted)[2]
