"""Sync, and what happens while its list is under way."""

import asyncio
import time
from typing import Any

import pytest

from tests.http.support import HOOK, SESSIONS, Shop, eventually
from tests.unit.wasender import payload_parts as parts


async def hold(shop: Shop, path: str, body: Any, method: str = "GET") -> None:
    """The next call of this path is answered with this, after a second."""
    switch = {"path": path, "method": method, "status": 200, "body": body, "delay_ms": 1000}
    await shop.gateway.data("POST", "/_simulator/faults", switch, token="")


async def until_held(shop: Shop) -> None:
    async def faults() -> Any:
        return await shop.gateway.data("GET", "/_simulator/faults", token="")

    await eventually(faults, lambda found: not found, "the call that is held")


async def tell(shop: Shop, session_id: int, status: str) -> None:
    secret = await shop.db.fetchval("SELECT webhook_secret FROM whatsapp_sessions")
    body = parts.envelope("session.status", {"status": status}, time.time())
    assert (await shop.post(body, secret=secret, path=f"{HOOK}/{session_id}"))[0] == 200


async def status(shop: Shop) -> Any:
    return await shop.db.fetchval("SELECT status FROM whatsapp_sessions")


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("POST", f"{SESSIONS}/sync", "list"),
        ("GET", f"{SESSIONS}?refresh=1", "list"),
        ("GET", f"{SESSIONS}/{{id}}?refresh=1", "one"),
        ("GET", f"{SESSIONS}/{{id}}/status?refresh=1", "one"),
        ("PUT", f"{SESSIONS}/{{id}}", "one"),
    ],
)
async def test_an_answer_that_was_held_ends_in_the_status_a_webhook_brought_meanwhile(
    empty_shop: Shop, method: str, path: str, answer: str
) -> None:
    shop = empty_shop
    session_id = await shop.create(name="before")
    told = {"id": session_id, "name": "held", "phone_number": "+15550001111", "status": "need_scan"}
    upstream = "/whatsapp-sessions" if answer == "list" else f"/whatsapp-sessions/{session_id}"
    data = [told] if answer == "list" else told
    await hold(shop, upstream, {"success": True, "data": data}, "PUT" if method == "PUT" else "GET")
    body = {"name": "held"} if method == "PUT" else None
    asking = asyncio.create_task(
        shop.gateway.call(method, path.format(id=session_id), body), name="the call that is held"
    )
    await until_held(shop)
    await tell(shop, session_id, "connected")
    assert await status(shop) == "connected"

    assert (await asking)[0] == 200
    row = await shop.one("SELECT name, status FROM whatsapp_sessions")
    assert row == {"name": "held", "status": "connected"}


async def test_a_sync_does_not_take_a_session_for_gone_that_spoke_meanwhile(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    await hold(shop, "/whatsapp-sessions", {"success": True, "data": []})
    syncing = asyncio.create_task(shop.gateway.data("POST", f"{SESSIONS}/sync"), name="sync")
    await until_held(shop)
    await tell(shop, session_id, "connected")

    assert (await syncing)["gone"] == 0
    assert await status(shop) == "connected"


async def test_settings_changed_during_a_sync_are_not_taken_back(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create(name="old")
    told = {"id": session_id, "name": "old", "phone_number": "+15550001111", "status": "disconnected"}
    await hold(shop, "/whatsapp-sessions", {"success": True, "data": [told]})
    syncing = asyncio.create_task(shop.gateway.data("POST", f"{SESSIONS}/sync"), name="sync")
    await until_held(shop)
    await shop.gateway.data("PUT", f"{SESSIONS}/{session_id}", {"name": "new"})

    await syncing
    assert await shop.db.fetchval("SELECT name FROM whatsapp_sessions") == "new"


async def test_two_updates_at_once_end_in_upstreams_state(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create(name="before")
    one = f"{SESSIONS}/{session_id}"
    # The first is carried out at once and answered late; the second is done in between.
    late = {"id": session_id, "name": "first", "phone_number": "+15550001111", "status": "disconnected"}
    await hold(shop, f"/whatsapp-sessions/{session_id}", {"success": True, "data": late}, "PUT")
    first = asyncio.create_task(shop.gateway.call("PUT", one, {"name": "first"}), name="first")
    await until_held(shop)
    await shop.gateway.data("PUT", one, {"name": "second"})

    status, reply = await first
    assert (status, reply["data"]["name"]) == (200, "second")
    assert await shop.db.fetchval("SELECT name FROM whatsapp_sessions") == "second"


async def test_a_session_whose_first_storing_failed_is_adopted_by_the_next_sync(empty_shop: Shop) -> None:
    shop = empty_shop
    await shop.db.execute("ALTER TABLE whatsapp_sessions ADD CONSTRAINT refuse CHECK (name <> 'orphan')")
    status, reply = await shop.gateway.call(
        "POST", SESSIONS, {"name": "orphan", "phone_number": "+15550001111"}
    )
    assert (status, reply["success"]) == (422, False)
    assert await shop.rows("whatsapp_sessions") == []
    await shop.db.execute("ALTER TABLE whatsapp_sessions DROP CONSTRAINT refuse")

    report = await shop.gateway.data("POST", f"{SESSIONS}/sync")
    assert report["created"] == 1
    row = await shop.row("whatsapp_sessions")
    assert row["name"] == "orphan"
    assert row["api_key"]
    assert row["webhook_secret"]
