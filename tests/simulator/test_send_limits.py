"""How the simulator counts sends, and what it answers to one too many."""

from dataclasses import replace
from typing import Any

from tests.simulator.sending import send
from tests.simulator.support import (
    QUICK,
    MovedClock,
    Served,
    serving,
)


async def _protected(served: Served, clock: MovedClock, **fields: Any) -> str:
    key: str = (await served.create(**fields))["api_key"]
    await served.control("POST", "/faults", {"mode": "slow_qr"})
    await served.account("POST", "/whatsapp-sessions/1/connect")
    clock.move(1)
    await served.control("POST", "/sessions/1/scan")
    clock.move(1)
    return key


async def test_a_trial_sends_one_a_minute_and_fifty_a_day() -> None:
    clock = MovedClock()
    async with serving(settings=replace(QUICK, plan="trial"), clock=clock) as served:
        key = await _protected(served, clock)
        answers = []
        for _ in range(52):
            answers.append(await send(served, key, text="hi"))
            clock.move(61)
        soon = await send(served, key, text="hi")

    assert [answer.status for answer in answers] == [200] * 50 + [429] * 2
    assert answers[0].headers["X-RateLimit-Limit"] == "1"
    assert answers[0].headers["x-ratelimit-daily-remaining"] == "49"
    assert answers[50].json["retry_after"] > 3600
    assert soon.status == 429


async def test_limits_are_told_with_and_without_headers_and_bodies() -> None:
    clock = MovedClock()
    async with serving(clock=clock) as served:
        key = await _protected(served, clock)
        await served.control("POST", "/settings", {"sends_per_minute": 1})
        told = await send(served, key, text="1")
        refused = await send(served, key, text="2")
        silent = {"limit_headers": False, "retry_after_in_body": False}
        await served.control("POST", "/settings", silent)
        mute = await send(served, key, text="3")
        await served.control("POST", "/settings", {"limit_headers": True, "sends_per_minute": None})
        unlimited = await send(served, key, text="4")

    assert told.headers["X-RateLimit-Remaining"] == "0"
    assert refused.json["retry_after"] == 60
    assert mute.status == 429
    assert set(mute.json) == {"message"}
    assert not [name for name in (*mute.headers, *unlimited.headers) if "RateLimit" in name]
    assert unlimited.status == 200


async def test_without_a_subscription_every_send_is_a_403_in_words(served: Served) -> None:
    key = (await served.create())["api_key"]
    await served.control("POST", "/settings", {"has_subscription": False})
    reply = await send(served, key, text="hi")

    assert reply.status == 403
    assert "subscription" in reply.json["message"]
