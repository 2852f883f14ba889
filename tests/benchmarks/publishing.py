"""How messages are given to a server: over HTTP to a peer, as committed rows to the gateway."""

import asyncio
import re
import socket
import time
from typing import Protocol

import asyncpg

from tests.benchmarks import crowd

IDLE_S = 2.0
"""After which a connection is not trusted: servers end idle ones after five seconds."""


class Publisher(Protocol):
    def publish(self, first: int, count: int) -> None:
        """`count` messages, numbered from `first`, in one go."""

    def settle(self) -> None:
        """Takes the server's answer, after the messages have come."""


class OverHttp:
    """`POST /publish?count=N` with the text of the message; `one_by_one` for who knows no count."""

    def __init__(self, port: int, size: int, *, one_by_one: bool = False) -> None:
        self._port = port
        self._size = size
        self._one_by_one = one_by_one
        self._expected = 0
        self._connect()

    def _connect(self) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=crowd.PATIENCE_S)
                break
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._used_at = time.monotonic()

    def publish(self, first: int, count: int) -> None:
        if time.monotonic() - self._used_at > IDLE_S:
            self._socket.close()
            self._connect()
        # One text for all: its number is the last one's.
        body = crowd.text(first + count - 1, self._size).encode()
        times = count if self._one_by_one else 1
        head = f"POST /publish?count={count} HTTP/1.1\r\nHost: here\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall((head.encode() + body) * times)
        self._expected += times

    def settle(self) -> None:
        data = b""
        while self._expected:
            data += self._socket.recv(65536)
            answers = len(re.findall(rb"HTTP/1\.1 2\d\d", data))
            if answers >= self._expected:
                self._expected = 0
        self._used_at = time.monotonic()


class AsRows:
    """Messages of customers in one inbox, committed in one transaction."""

    def __init__(self, runner: asyncio.Runner, dsn: str, inbox: int, size: int) -> None:
        self._runner = runner
        self._inbox = inbox
        self._size = size
        self._connection = runner.run(asyncpg.connect(dsn))
        self._key = 0
        self.committed_at = 0.0
        self.begun_at = 0.0

    def publish(self, first: int, count: int) -> None:
        numbers = range(first, first + count)
        texts = [crowd.text(number, self._size) for number in numbers]
        keys = [f"BENCH{self._inbox}-{time.monotonic_ns()}-{number}" for number in numbers]
        self.begun_at = time.monotonic()
        self._runner.run(
            self._connection.execute(
                """
                INSERT INTO public.whatsapp_incoming_messages
                    (message_id, from_phone, message_text, wasender_session_id)
                SELECT key, '4915123456789', text, $1 FROM unnest($2::text[], $3::text[]) AS new(key, text)
                """,
                self._inbox,
                keys,
                texts,
            )
        )
        self.committed_at = time.monotonic()

    def settle(self) -> None:
        pass

    def close(self) -> None:
        self._runner.run(self._connection.close())
