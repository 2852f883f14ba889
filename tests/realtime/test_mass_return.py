"""Hundreds of clients come back at once: Postgres is asked next to nothing."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.postgres.streams import StreamStore
from tests.launcher.running import Running, Socket, running
from tests.launcher.settings import settings_for
from tests.postgres.writers import insert_message
from tests.realtime.live import heard, offs_of, until

MANY = 200
FEW_QUERIES = 20


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the streams in Postgres were asked."""
    log: list[str] = []
    for name in ("extents", "ensure", "read_after"):
        monkeypatch.setattr(StreamStore, name, counting(log, name))
    return log


def counting(log: list[str], name: str) -> Callable[..., Any]:
    ask = getattr(StreamStore, name)

    def asked(self: StreamStore, *arguments: Any) -> Any:
        log.append(name)
        return ask(self, *arguments)

    return asked


@contextlib.asynccontextmanager
async def many(gateway: Running) -> AsyncIterator[list[Socket]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(gateway.socket()) for _ in range(MANY)]


async def come_back(sockets: list[Socket], topic: str, after: Any, top: int) -> None:
    await asyncio.gather(*(socket.subscribe(topic, after=after) for socket in sockets))
    for socket in sockets:
        assert offs_of(socket.frames) == list(range(1, top + 1))


@pytest.mark.parametrize("topic", ["inbox:12", "inbox:*"])
async def test_whoever_was_cut_off_is_served_from_memory(
    gateway: Running, writer: asyncpg.Connection, asked: list[str], topic: str
) -> None:
    async with gateway.socket() as socket:
        epoch = (await socket.subscribe("inbox:12"))["epoch"]
        for off in range(1, 21):
            await insert_message(writer, 12)
            assert (await socket.event("message.created"))["off"] == off
    start = {"off": 0, "epoch": epoch}
    async with many(gateway) as sockets:
        del asked[:]
        await come_back(
            sockets, topic, start if topic == "inbox:12" else {"12": start, "0": await bottom(gateway)}, 20
        )

        assert len(asked) < FEW_QUERIES, asked


async def bottom(gateway: Running) -> dict[str, Any]:
    position = gateway.gateway.live.hub.position(0)
    assert position is not None
    return {"off": position.off, "epoch": position.epoch}


@pytest.mark.parametrize("topic", ["inbox:12", "inbox:*"])
async def test_after_a_restart_they_share_what_has_to_be_read(
    database: str, tmp_path: Path, writer: asyncpg.Connection, asked: list[str], topic: str
) -> None:
    await writer.execute("SELECT gateway.ensure_inbox_v1(12)")
    start = {
        "off": 0,
        "epoch": await writer.fetchval("SELECT epoch::text FROM gateway.inboxes WHERE inbox = 12"),
    }
    for _ in range(10):  # three pages
        await insert_message(writer, 12, message_text="x" * 16384)
    async with running(settings_for(database, tmp_path)) as gateway, many(gateway) as sockets:
        await heard(gateway, 12, 10)
        await until(lambda: gateway.gateway.live.listener.is_up, "it listens")
        del asked[:]
        await come_back(
            sockets, topic, start if topic == "inbox:12" else {"12": start, "0": await bottom(gateway)}, 10
        )

        assert len(asked) < FEW_QUERIES, asked
