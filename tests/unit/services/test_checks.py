"""What became of open messages is asked for, whatever upstream answers for one of them."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.domain.errors import NotFound, Unavailable
from gateway.domain.message import DeliveryState
from gateway.domain.sending import Send, SendStatus
from gateway.services.sending.checks import Check, Checker
from tests.clock import now, virtual_time


class Store:
    """Two accepted messages; the first is due first."""

    def __init__(self) -> None:
        self.open = {number: self._check(number) for number in (1, 2)}
        self.learnt: list[int] = []

    @staticmethod
    def _check(number: int) -> Check:
        send = Send(number, "ann", 0.0, status=SendStatus.ACCEPTED, msg_id=number)
        return Check(send, "15550002222", "Hello", now() + number, 0, None)

    async def next_check(self, session_id: int) -> Check | None:
        return min(self.open.values(), key=lambda check: check.due_at, default=None)

    async def postpone(self, send_id: int, due_at: float | None) -> None:
        check = self.open.pop(send_id)
        if due_at is not None:
            self.open[send_id] = replace(check, due_at=due_at, tries=check.tries + 1)

    async def learn(self, session_id: int, check: Check, *told: Any) -> None:
        self.learnt.append(self.open.pop(check.send.id).send.id)

    async def sweep_echoes(self, session_id: int) -> float | None:
        return None


@virtual_time
@pytest.mark.parametrize("trouble", [TypeError(), Unavailable("Away."), NotFound("No.")])
async def test_an_answer_that_cannot_be_read_keeps_no_other_message_waiting(trouble: Exception) -> None:
    store = Store()

    async def info(api_key: str, msg_id: int) -> Any:
        if msg_id == 1:
            raise trouble
        return SimpleNamespace(key_id="K", state=DeliveryState.SENT, at=None)

    async def key_of(session_id: int, *, fresh: bool) -> str:
        return "key"

    source, preparation = SimpleNamespace(info=info), SimpleNamespace(key_of=key_of)
    checker = Checker(12, cast(Any, store), cast(Any, source), cast(Any, preparation), now)
    task = asyncio.create_task(checker.run())
    await asyncio.sleep(60)

    assert not task.done()
    assert store.learnt == [2]
    task.cancel()
