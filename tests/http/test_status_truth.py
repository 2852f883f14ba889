"""How sure a status is, and statuses that nobody has heard of."""

import time
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from tests.http.support import HOOK, SESSIONS, Shop, eventually
from tests.unit.wasender import payload_parts as parts


async def told(shop: Shop, session_id: int) -> dict[str, Any]:
    data: dict[str, Any] = await shop.gateway.data("GET", f"{SESSIONS}/{session_id}/status")
    return data


async def asked(shop: Shop, session_id: int, action: str) -> int:
    status, _ = await shop.gateway.call("POST", f"{SESSIONS}/{session_id}/{action}")
    return status


async def webhook(shop: Shop, session_id: int, event: str, data: dict[str, Any]) -> None:
    secret = await shop.db.fetchval("SELECT webhook_secret FROM whatsapp_sessions")
    body = parts.envelope(event, data, time.time())
    assert (await shop.post(body, secret=secret, path=f"{HOOK}/{session_id}"))[0] == 200


async def test_a_status_that_nobody_confirmed_is_stale(shop: Shop) -> None:
    status = await told(shop, 12)
    assert (status["status"], status["stale"], status["checked_at"]) == ("connected", True, None)
    assert status["source"] is None


@pytest.mark.parametrize(("minutes", "is_stale"), [(14, False), (16, True)])
async def test_a_status_that_was_confirmed_long_ago_is_stale(
    shop: Shop, minutes: int, is_stale: bool
) -> None:
    await shop.db.execute(
        "UPDATE gateway.session_state SET checked_at = now() - make_interval(mins => $1)", minutes
    )
    assert (await told(shop, 12))["stale"] is is_stale


async def test_a_status_says_when_and_by_whom_it_was_learned(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    assert (await told(shop, session_id))["source"] == "api"
    before = datetime.now(UTC)
    await webhook(shop, session_id, "session.status", {"status": "connected"})

    status = await told(shop, session_id)
    assert (status["status"], status["source"], status["stale"]) == ("connected", "webhook", False)
    assert datetime.fromisoformat(status["checked_at"]) >= before


@pytest.mark.parametrize("word", ["need_passkey", "NEED_PASSKEY", "weather", "Some New Word"])
async def test_a_status_that_is_new_in_the_world_passes_through_and_breaks_nothing(
    empty_shop: Shop, word: str
) -> None:
    shop = empty_shop
    async with shop.gateway.socket() as socket:
        await socket.subscribe("sessions")
        session_id = await shop.create()
        await socket.state("session.created")  # told late, it would bring the status with it
        await webhook(shop, session_id, "session.status", {"status": word})
        frame = await socket.state("session.status")

    assert frame["data"]["status"] == word.lower()
    assert (await told(shop, session_id))["status"] == word.lower()
    assert [one["id"] for one in await shop.gateway.data("GET", f"{SESSIONS}?status={word}")] == [session_id]
    for action in ("connect", "disconnect", "restart", "disconnect"):
        # 503 says to come again: so does Postgres' silence, also where the whole machine stood still.
        asking = partial(asked, shop, session_id, action)
        done = await eventually(asking, lambda status: status != 503)
        assert done == 200


async def test_a_status_that_is_new_comes_in_by_sync_too(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    listed = [{"id": session_id, "name": "Shop", "phone_number": "+15550001111", "status": "HIBERNATING"}]
    switch = {"path": "/whatsapp-sessions", "method": "GET", "body": {"success": True, "data": listed}}
    await shop.gateway.data("POST", "/_simulator/faults", switch, token="")

    assert (await shop.gateway.data("POST", f"{SESSIONS}/sync"))["updated"] == 1
    assert (await told(shop, session_id))["status"] == "hibernating"


async def test_a_passkey_that_is_asked_for_is_a_status(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    await webhook(shop, session_id, "passkey.updated", {"stage": "request", "token": "x"})

    assert (await told(shop, session_id))["status"] == "need_passkey"


async def test_a_new_key_counts_at_once_for_webhooks_and_for_calls(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    row = await shop.row("whatsapp_sessions")
    secret, old = row["webhook_secret"], row["api_key"]
    await shop.gateway.data("POST", f"{SESSIONS}/{session_id}/regenerate-key")

    new = (await shop.row("whatsapp_sessions"))["api_key"]
    assert new != old
    named = {**parts.envelope("session.status", {"status": "connected"}), "sessionId": new}
    assert (await shop.post(named, secret=secret))[0] == 200
    # One that was under way with the old key is known by its secret.
    assert (await shop.post({**named, "sessionId": old}, secret=secret))[0] == 200
    assert (await shop.post({**named, "sessionId": old}, secret="wrong"))[0] == 401


async def test_the_old_paths_of_list_and_sync_are_the_new_ones(empty_shop: Shop) -> None:
    shop = empty_shop
    await shop.create()
    new = await shop.gateway.call("GET", f"{SESSIONS}?sort=-id&limit=1")
    assert await shop.gateway.call("GET", f"{SESSIONS}/list.php?sort=-id&limit=1") == new
    report = await shop.gateway.data("POST", f"{SESSIONS}/sync.php")
    assert (report["unchanged"], report["total_sessions"]) == (1, 1)
