"""The sender over real sockets: what its rows say against what the simulator has accepted."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.domain.send_queue import Terms
from gateway.domain.sending import Refused, Send, SendStatus
from gateway.services.sending.ports import SendingContext
from gateway.services.sending.sender import Sender
from gateway.wasender.client import WasenderClient
from gateway.wasender.http_transport import Timeouts
from gateway.wasender.messages import Messages
from tests.simulator.support import PATIENCE_S, Receiver, Served, linked
from tests.unit.services.send_fakes import MemoryStore
from tests.unit.wasender.conftest import Tokens

S = SendStatus
CHATS = ("491701234567", "491701234568")
FAULTS: tuple[dict[str, Any], ...] = (
    {"drop": "before"}, {"drop": "after"}, {"status": 500}, {"status": 502, "after": True}, {"html": True},
    {"empty": True, "after": True}, {"hang": True}, {"hang": True, "after": True}, {"status": 429, "retry_after": 1},
    {"status": 422}, {"status": 401}, {"delay_ms": 30}, {"delay_ms": 30, "after": True},
)  # fmt: skip


class Ready:
    """Everything is there."""

    def __init__(self, key: str) -> None:
        self.key = key

    async def key_of(self, session_id: int, *, fresh: bool) -> str | None:
        return self.key

    async def payload_of(self, send: Send) -> Mapping[str, Any] | Refused:
        return {"to": f"+{send.chat}", "text": f"no. {send.id}"}


@pytest.mark.parametrize("seed", range(4))
async def test_rows_and_upstreams_own_list_agree_whatever_the_network_does(
    served: Served, receiver: Receiver, seed: int
) -> None:
    chance = random.Random(seed)
    key = (await linked(served, receiver))["api_key"]
    store = MemoryStore()
    for number in range(24):
        chat = chance.choice(CHATS)
        store.put(Send(number + 1, chat, queued_at=time.time()))
    async with WasenderClient(served.base, Tokens(), timeouts=Timeouts(0.4)) as client:
        context = SendingContext(
            store, Messages(client), Ready(key), time.time, lambda _: float("inf"), Terms(call_s=1.0)
        )
        sender = Sender(1, "a", context)
        running = asyncio.create_task(sender.run())
        try:
            async with asyncio.timeout(3 * PATIENCE_S):
                for fault in chance.sample(FAULTS, 6):
                    await served.control("POST", "/faults", {"path": "/send-message", **fault})
                    await store.changed.wait()
                while any(row.status in (S.QUEUED, S.SENDING) for row in store.rows.values()):
                    await store.changed.wait()
        finally:
            sender.interrupt()
            await running
    accepted = (await served.control("GET", "/sends")).data
    calls = (await served.control("GET", "/calls")).data

    taken = Counter(int(row["text"].removeprefix("no. ")) for row in accepted)
    assert set(taken.values()) == {1}
    by_number = {row["msgId"]: int(row["text"].removeprefix("no. ")) for row in accepted}
    for row in store.rows.values():
        if row.status is S.ACCEPTED:
            assert row.msg_id is not None
            assert by_number[row.msg_id] == row.id
        else:
            assert row.status in (S.FAILED, S.UNKNOWN)
            assert row.status is S.UNKNOWN or row.id not in taken
    for chat in CHATS:
        order = [number for number in by_number.values() if store.rows[number].chat == chat]
        assert order == sorted(order)
    assert {row["most_at_once"] for row in calls if row["path"] == "/send-message"} == {1}
