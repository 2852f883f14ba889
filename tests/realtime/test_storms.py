"""However much is written, and in whatever portions: what a client that reads nothing costs stays under 256 KiB."""

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest

from gateway.realtime.framing import Burst
from gateway.realtime.outlet import Outlet
from tests.realtime.live import connection_of, heard, offs_of, sluggish
from tests.running import Running

KIB = 1024
BOUND = 256 * KIB


def peak_of(outlet: Outlet, patch: pytest.MonkeyPatch) -> list[int]:
    """What is buffered after each write, as it goes."""
    written: list[int] = []
    for way in ("write", "offer"):
        patch.setattr(type(outlet), way, noting(getattr(type(outlet), way), outlet, written))
    return written


def noting(way: Callable[[Outlet, Burst], Any], outlet: Outlet, written: list[int]) -> Callable[..., Any]:
    def noted(self: Outlet, burst: Burst) -> Any:
        answer = way(self, burst)
        if self is outlet:
            written.append(self.buffered())
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
    live: Running, writer: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, rows: int, size: int
) -> None:
    async with sluggish(live) as deaf:
        await deaf.subscribe("inbox:12")
        written = peak_of(connection_of(live, deaf.name).outlet, monkeypatch)
        for number in range(3):
            await storm(writer, f"S{number}-", rows, size)
        await heard(live, 12, 3 * rows)

        assert written
        assert max(written) < BOUND


async def test_a_long_replay_begun_and_never_read(
    live: Running, writer: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live.socket() as socket:
        epoch = (await socket.subscribe("inbox:12"))["epoch"]
    await storm(writer, "S", 4000, 300)
    await heard(live, 12, 4000)
    async with sluggish(live) as deaf:
        written = peak_of(connection_of(live, deaf.name).outlet, monkeypatch)
        await deaf.send(type="subscribe", ref="1", topic="inbox:12", after={"off": 0, "epoch": epoch})
        await deaf.next("event", lambda frame: frame["off"] == 1)
        await storm(writer, "T", 500, 300)
        await heard(live, 12, 4500)
        assert max(written) < BOUND

        await deaf.next("event", lambda frame: frame["off"] == 4500)
        assert offs_of(deaf.frames) == list(range(1, 4501))
        assert max(written) < BOUND
