"""Every call about one session under every fault of WasenderAPI: what is told, and what is true afterwards."""

import asyncio
from typing import Any

import pytest

from tests.http.faults import FAULTS, PHONE, Fault, check, switch_on
from tests.http.support import SESSIONS, Shop, eventually

CALLS = [
    ("GET", "?refresh=1", None),
    ("GET", "/status?refresh=1", None),
    ("PUT", "", {"name": "other"}),
    ("POST", "/disconnect", None),
    ("POST", "/restart", None),
    ("POST", "/regenerate-key", None),
    ("POST", "/repair-webhook", None),
    ("GET", "/logs?upstream=1", None),
]


async def made(shop: Shop, status: str) -> list[int]:
    """One session for each fault: what is paused for one delays no other."""
    wish = {"name": "before", "phone_number": PHONE}
    found = [int((await shop.gateway.data("POST", SESSIONS, wish))["id"]) for _ in FAULTS]
    await shop.db.execute("UPDATE whatsapp_sessions SET status = $1", status)
    return found


async def rows(shop: Shop) -> dict[int, dict[str, Any]]:
    columns = "wasender_session_id, name, status, api_key, webhook_secret, webhook_url"
    found = await shop.db.fetch(f"SELECT {columns} FROM whatsapp_sessions")
    return {row["wasender_session_id"]: dict(row) for row in found}


@pytest.mark.parametrize(("method", "tail", "body"), CALLS, ids=[f"{m} {t}" for m, t, _ in CALLS])
async def test_a_call_under_every_fault(hasty_shop: Shop, method: str, tail: str, body: Any) -> None:
    shop = hasty_shop
    numbers = await made(shop, "connected")
    before = await rows(shop)
    for number, fault in zip(numbers, FAULTS, strict=True):
        await switch_on(shop, f"/whatsapp-sessions/{number}", fault)

    answers = await asyncio.gather(
        *(shop.gateway.call(method, f"{SESSIONS}/{number}{tail}", body) for number in numbers)
    )
    after = await rows(shop)
    for number, fault, (status, reply) in zip(numbers, FAULTS, answers, strict=True):
        check(fault, status, reply)
        wanted = {**before[number], "status": "gone"} if fault.name == "404" else before[number]
        assert after[number] == wanted, fault.name


async def test_a_deletion_under_every_fault(hasty_shop: Shop) -> None:
    shop = hasty_shop
    numbers = await made(shop, "connected")
    for number, fault in zip(numbers, FAULTS, strict=True):
        await switch_on(shop, f"/whatsapp-sessions/{number}", fault)

    answers = await asyncio.gather(*(shop.gateway.call("DELETE", f"{SESSIONS}/{n}") for n in numbers))
    after = await rows(shop)
    for number, fault, (status, reply) in zip(numbers, FAULTS, answers, strict=True):
        if fault.name == "404":  # nothing is left to do: whoever asked may not have heard the first answer
            assert (status, reply["data"]) == (200, None)
        else:
            check(fault, status, reply)
        assert (number in after) is (fault.name != "404")


# What is said about an attempt whose `connect` fails; None: it goes on, and is slower.
ENDS = {"401": "upstream_unauthorized", "403": "upstream_limit", "404": "session_not_found", "422": "invalid"}


async def test_connect_under_every_fault_answers_at_once_and_the_attempt_tells_the_rest(
    hasty_shop: Shop,
) -> None:
    shop = hasty_shop
    numbers = await made(shop, "disconnected")
    for number, fault in zip(numbers, FAULTS, strict=True):
        await switch_on(shop, f"/whatsapp-sessions/{number}", fault)

    answers = await asyncio.gather(
        *(shop.gateway.call("POST", f"{SESSIONS}/{number}/connect") for number in numbers)
    )
    assert [status for status, _ in answers] == [200] * len(FAULTS)
    for number, fault in zip(numbers, FAULTS, strict=True):
        await until_told(shop, number, fault)


async def until_told(shop: Shop, number: int, fault: Fault) -> None:
    async def attempt() -> Any:
        return await shop.db.fetchrow(
            "SELECT reason, error FROM gateway.whatsapp_link_attempts WHERE wasender_session_id = $1", number
        )

    async def calls() -> int:
        return int((await shop.gateway.call("GET", f"{SESSIONS}/{number}/qr-code"))[0])

    if fault.name in ENDS:
        row = await eventually(attempt, lambda found: found["reason"] is not None, fault.name)
        told = (row["reason"], row["error"]["code"], row["error"]["action"])
        assert told == ("error", ENDS[fault.name], fault.told[2])
        assert (await rows(shop))[number]["status"] == ("gone" if fault.name == "404" else "disconnected")
    else:
        assert await calls() == 200, fault.name
        assert (await attempt())["reason"] is None, fault.name


async def test_connect_of_a_session_believed_to_be_linked_tells_what_cannot_pass(hasty_shop: Shop) -> None:
    shop = hasty_shop
    numbers = await made(shop, "connected")
    for number, fault in zip(numbers, FAULTS, strict=True):
        await switch_on(shop, f"/whatsapp-sessions/{number}", fault, "GET")

    answers = await asyncio.gather(
        *(shop.gateway.call("POST", f"{SESSIONS}/{number}/connect") for number in numbers)
    )
    for fault, (status, reply) in zip(FAULTS, answers, strict=True):
        if fault.name in ENDS:
            check(fault, status, reply)
        else:  # passing trouble: the poller asks again
            assert (status, reply["data"]["status"]) == (200, "connecting"), fault.name


async def test_a_restart_of_a_ghost_links_anew(empty_shop: Shop) -> None:
    shop = empty_shop
    number = await shop.create()
    await shop.db.execute("UPDATE whatsapp_sessions SET status = 'connected'")

    assert (await shop.gateway.data("POST", f"{SESSIONS}/{number}/restart"))["status"] == "connecting"
    assert (await shop.gateway.call("GET", f"{SESSIONS}/{number}/qr-code"))[0] == 200
