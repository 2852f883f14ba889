"""A spool in memory, which a test can stall, fill and empty."""

import asyncio
from collections.abc import Collection, Sequence

from gateway.domain.errors import Unavailable
from gateway.services.webhooks.batch import InboundWebhook


class MemorySpool:
    def __init__(self) -> None:
        self.entries: list[tuple[InboundWebhook, frozenset[str]]] = []
        self.is_full = False
        self.disk_s = 0.005
        """How long the disk takes; negative: it never answers."""
        self.handover = False

    @property
    def names(self) -> list[str]:
        return [item.reading.event for item, _ in self.entries]

    def is_empty(self) -> bool:
        return not self.entries

    def held(self, session_id: int, lanes: Collection[str]) -> frozenset[str]:
        return frozenset(
            lane
            for item, held in self.entries
            for lane in held
            if item.session_id == session_id and lane in lanes
        )

    def append(self, entries: Sequence[tuple[InboundWebhook, frozenset[str]]]) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        if self.is_full:
            done.set_exception(Unavailable("full"))
            return done
        self.entries += entries
        if self.disk_s >= 0:
            loop.call_later(self.disk_s, _finish, done)
        return done

    def is_handing_over(self) -> bool:
        return self.handover


def _finish(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
