"""An upstream that answers by a script, for clients on a clock that jumps."""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientConnectorError
from aioresponses import CallbackResult, aioresponses
from yarl import URL

from gateway.wasender.calls import RetryPolicy
from gateway.wasender.client import WasenderClient
from gateway.wasender.http_transport import Timeouts
from tests.clock import EPOCH, now
from tests.unit.wasender.conftest import ROOT, Tokens

STUBBORN = RetryPolicy(repeats=3, pause_s=10.0, total_s=20.0)
"""A caller that sits out whatever the tests have upstream ask for."""

API_KEY = "ab" * 32
LIST = f"{ROOT}/whatsapp-sessions"
ONE = f"{LIST}/12"
SESSION = {"success": True, "data": {"id": 12, "api_key": API_KEY}}
SENT = {"success": True, "data": {"msgId": 1, "jid": "+1", "status": "in_progress"}}
TIMEOUT_S = 15.0

Answer = CallbackResult | Exception | float
"""An answer, what breaks the connection, or how long to hang."""

UNAVAILABLE = CallbackResult(status=503)
# aiohttp builds it from parts that only its message needs.
REFUSED = ClientConnectorError(None, OSError("refused"))  # type: ignore[arg-type]


def ok(body: Any = SESSION, **headers: str) -> CallbackResult:
    return CallbackResult(payload=body, headers=headers)


def paced(seconds: float) -> CallbackResult:
    return CallbackResult(status=429, payload={"message": "slow", "retry_after": seconds})


@dataclass
class Script:
    """Answers one address with one thing after the other, the last one for ever."""

    answers: deque[Answer]
    asked_at: list[float] = field(default_factory=list)
    """Seconds since the test began."""

    async def answer(self, url: URL, **_: Any) -> CallbackResult:
        self.asked_at.append(round(now() - EPOCH, 1))
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, CallbackResult):
            return answer
        await asyncio.sleep(answer)
        return ok()


def script(upstream: aioresponses, method: str, url: str, *answers: Answer) -> Script:
    made = Script(deque(answers))
    upstream.add(url, method, callback=made.answer, repeat=True)
    return made


def opened(
    patience: RetryPolicy = STUBBORN, *, roll: float = 0.0, timeout_s: float = TIMEOUT_S
) -> WasenderClient:
    return WasenderClient(
        ROOT, Tokens(), timeouts=Timeouts(timeout_s), policy=patience, clock=now, roll=lambda: roll
    )
