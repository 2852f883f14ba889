"""However much is written, and in whatever portions: what a client that reads nothing costs stays under 256 KiB."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from gateway.realtime.transport.framing import Burst
from gateway.realtime.transport.socket_transport import AsgiTransport, SocketTransport
from gateway.realtime.transport.uvicorn_protocol import ReadyFrameTransport
from tests.launcher.running import Running
from tests.realtime.live import connection_of, heard, offs_of, sluggish

KIB = 1024
BOUND = 256 * KIB


Peaks = dict[SocketTransport, list[int]]


@pytest.fixture
def peaks(monkeypatch: pytest.MonkeyPatch) -> Peaks:
    """What each outlet has buffered after each write, as it goes. Made before the connections, which keep the ways."""
    written: Peaks = defaultdict(list)
    for kind in (ReadyFrameTransport, AsgiTransport):
        for way in ("write", "try_write"):
            monkeypatch.setattr(kind, way, noting(getattr(kind, way), written))
    return written


def noting(way: Callable[[Any, Burst], Any], written: Peaks) -> Callable[..., Any]:
    def noted(self: Any, burst: Burst) -> Any:
        answer = way(self, burst)
        written[self].append(self.buffered())
        return answer

    return noted


async def storm(writer: asyncpg.Connection, name: str, rows: int, size: int) -> None:
    """So many rows in one transaction."""
    await writer.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text, wasender_session_id)"
        " SELECT $1 || i, '49', repeat('x', $3::int), 12 FROM generate_series(1, $2::int) AS i",
        name,
        rows,
        size,
    )


@pytest.mark.parametrize(("rows", "size"), [(4000, 10), (2000, 900), (150, 30_000)])
async def test_one_transaction_of_many_rows(
    peaks: Peaks, live: Running, writer: asyncpg.Connection, rows: int, size: int
) -> None:
    async with sluggish(live) as deaf:
        await deaf.subscribe("inbox:12")
        written = peaks[connection_of(live, deaf.name).transport]
        for number in range(3):
            await storm(writer, f"S{number}-", rows, size)
        await heard(live, 12, 3 * rows)

        assert written
        assert max(written) < BOUND


async def test_a_long_replay_begun_and_never_read(
    peaks: Peaks, live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as socket:
        epoch = (await socket.subscribe("inbox:12"))["epoch"]
    await storm(writer, "S", 4000, 300)
    await heard(live, 12, 4000)
    async with sluggish(live) as deaf:
        written = peaks[connection_of(live, deaf.name).transport]
        await deaf.send(type="subscribe", ref="1", topic="inbox:12", after={"off": 0, "epoch": epoch})
        await deaf.next("event", lambda frame: frame["off"] == 1)
        await storm(writer, "T", 500, 300)
        await heard(live, 12, 4500)
        assert max(written) < BOUND

        await deaf.next("event", lambda frame: frame["off"] == 4500)
        assert offs_of(deaf.frames) == list(range(1, 4501))
        assert max(written) < BOUND
