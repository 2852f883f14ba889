"""Sessions over REST, with the simulator as WasenderAPI."""

from typing import Any

import pytest

from gateway.services.sessions.service import WEBHOOK_EVENTS
from tests.http.support import HOOK, SESSIONS, Shop, received
from tests.launcher.running import running
from tests.launcher.settings import settings_for


async def upstream(shop: Shop, session_id: int) -> dict[str, Any]:
    """The session as the simulator has it, asked with the account token, past the gateway's own routes."""
    token = shop.gateway.gateway.upstream.simulator.account_token  # type: ignore[union-attr]
    path = f"/simulator/api/whatsapp-sessions/{session_id}"
    found: dict[str, Any] = await shop.gateway.data("GET", path, token=token)
    return found


async def forget_upstream(shop: Shop, session_id: int) -> None:
    """Somebody deletes the session in WasenderAPI's own dashboard."""
    token = shop.gateway.gateway.upstream.simulator.account_token  # type: ignore[union-attr]
    status, _ = await shop.gateway.call(
        "DELETE", f"/simulator/api/whatsapp-sessions/{session_id}", token=token
    )
    assert status == 204


async def status_of(shop: Shop, session_id: int) -> Any:
    return await shop.db.fetchval(
        "SELECT status FROM whatsapp_sessions WHERE wasender_session_id = $1", session_id
    )


# ------------------------------------------------------------------------------------------ create


async def test_a_new_session_sends_its_webhooks_here(empty_shop: Shop) -> None:
    shop = empty_shop
    status, reply = await shop.gateway.call(
        "POST", SESSIONS, {"name": "Shop", "phone_number": "+1 555 000-1111"}
    )
    session_id = reply["data"]["id"]

    assert status == 201
    theirs = await upstream(shop, session_id)
    assert theirs["webhook_url"] == shop.gateway.url + HOOK
    assert theirs["webhook_enabled"] is True
    assert set(theirs["webhook_events"]) == set(WEBHOOK_EVENTS)
    ours = await shop.row("whatsapp_sessions")
    assert ours["webhook_secret"] == theirs["webhook_secret"] != ""
    assert ours["api_key"] == theirs["api_key"] != ""
    assert reply["data"]["status"] == "disconnected"


async def test_the_public_url_is_the_one_that_upstream_is_told(database: str, tmp_path: Any) -> None:
    settings = settings_for(database, tmp_path, public_url="https://gateway.example/base/")
    async with running(settings) as gateway:
        shown = await gateway.data("POST", SESSIONS, {"name": "Shop", "phone_number": "+15550001111"})

    assert shown["webhook_url"] == f"https://gateway.example/base{HOOK}"


async def test_the_address_is_noted_before_a_webhook_is_registered_under_it(empty_shop: Shop) -> None:
    """A backup of the next moment names it, so that a gateway elsewhere brings the webhook along."""
    await empty_shop.create()

    noted = await empty_shop.db.fetchval("SELECT value ->> 0 FROM gateway.settings WHERE key = 'public_url'")
    assert noted == empty_shop.gateway.url


async def test_a_webhook_url_of_ones_own_is_left_alone(empty_shop: Shop) -> None:
    session_id = await empty_shop.create(webhook_url="https://shop.example/hook", webhook_enabled=False)

    theirs = await upstream(empty_shop, session_id)
    assert (theirs["webhook_url"], theirs["webhook_enabled"]) == ("https://shop.example/hook", False)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "x"},
        {"name": "", "phone_number": "+1555"},
        {"name": "x", "phone_number": 5, "nonsense": 1},
    ],
)
async def test_a_session_that_makes_no_sense_is_invalid_and_not_sent_upstream(
    empty_shop: Shop, fields: dict[str, Any]
) -> None:
    status, reply = await empty_shop.gateway.call("POST", SESSIONS, fields)

    assert (status, reply["code"], reply["action"]) == (422, "invalid", "fix_input")
    assert reply["error"]
    assert await empty_shop.gateway.data("GET", "/_simulator/sessions", token="") == []


@pytest.mark.parametrize("raw", ["{", "[]", '"x"', "[1]"])
async def test_a_body_that_is_no_object_is_invalid(empty_shop: Shop, raw: str) -> None:
    headers = {"Authorization": f"Bearer {empty_shop.gateway.token()}"}
    async with empty_shop.http.post(empty_shop.gateway.url + SESSIONS, data=raw, headers=headers) as reply:
        assert (reply.status, (await reply.json())["code"]) == (422, "invalid")


# ------------------------------------------------------------------------------------------ one session


async def test_a_change_of_one_field_leaves_the_others(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    before = await upstream(shop, session_id)

    shown = await shop.gateway.data("PUT", f"{SESSIONS}/{session_id}", {"name": "Renamed"})

    after = await upstream(shop, session_id)
    same = {name for name in before if before[name] == after[name]}
    assert (shown["name"], after["name"]) == ("Renamed", "Renamed")
    assert set(before) - same <= {"name", "updated_at"}
    assert await shop.db.fetchval("SELECT name FROM whatsapp_sessions") == "Renamed"


async def test_upstreams_warning_is_passed_on(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    await linked(shop, session_id)
    fault = {"mode": "webhook_sync_fails"}
    await shop.gateway.data("POST", "/_simulator/faults", fault, token="")

    status, reply = await shop.gateway.call(
        "PUT", f"{SESSIONS}/{session_id}", {"webhook_events": ["session.status"]}
    )

    assert status == 200
    assert reply["warning"]
    assert reply["data"]["webhook_events"] == ["session.status"]


async def linked(shop: Shop, session_id: int) -> None:
    """A phone scans the code."""
    async with shop.gateway.socket() as socket:
        await socket.subscribe(f"session:{session_id}")
        await shop.gateway.data("POST", f"{SESSIONS}/{session_id}/connect")
        await socket.state("session.qr")
        await shop.gateway.data("POST", f"/_simulator/sessions/{session_id}/scan", token="")
        await socket.state("session.link_ended")


async def test_a_session_made_elsewhere_is_found_by_its_id(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    await shop.db.execute("DELETE FROM whatsapp_sessions")

    assert (await shop.gateway.data("GET", f"{SESSIONS}/{session_id}"))["name"] == "Shop"
    assert await status_of(shop, session_id) == "disconnected"


async def test_deleting_keeps_the_messages_takes_the_logs_and_leaves_one_line(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    secret = await shop.db.fetchval("SELECT webhook_secret FROM whatsapp_sessions")
    assert (await shop.post(received(), secret=secret, path=f"{HOOK}/{session_id}"))[0] == 200

    status, reply = await shop.gateway.call("DELETE", f"{SESSIONS}/{session_id}")

    assert (status, reply) == (200, {"success": True, "data": None})
    assert (await shop.row())["wasender_session_id"] == session_id
    (line,) = await shop.rows("whatsapp_session_logs")
    assert (line["event_type"], line["session_id"]) == ("session_deleted", None)
    assert line["metadata"] == {
        "session_id": session_id,
        "name": "Shop",
        "phone_number": "+15550001111",
        "actor": "Tester",
        "sub": "tester",
    }
    thread = await shop.gateway.data("GET", f"/api/conversations/628111222333/messages?session={session_id}")
    assert len(thread["messages"]) == 1
    assert (await shop.gateway.call("GET", f"{SESSIONS}/{session_id}"))[0] == 404


async def test_a_session_that_is_gone_upstream_already_can_be_deleted_here(empty_shop: Shop) -> None:
    session_id = await empty_shop.create()
    await forget_upstream(empty_shop, session_id)

    assert (await empty_shop.gateway.call("DELETE", f"{SESSIONS}/{session_id}"))[0] == 200
    assert await empty_shop.rows("whatsapp_sessions") == []


async def test_a_session_that_nobody_has_is_not_found(empty_shop: Shop) -> None:
    for method in ("GET", "DELETE"):
        status, reply = await empty_shop.gateway.call(method, f"{SESSIONS}/4711")
        assert (status, reply["code"], reply["action"]) == (404, "session_not_found", "refresh_sessions")


@pytest.mark.parametrize(
    ("method", "tail", "body"),
    [
        ("GET", "?refresh=1", None),
        ("GET", "/status?refresh=1", None),
        ("PUT", "", {"name": "x"}),
        ("POST", "/disconnect", None),
        ("POST", "/restart", None),
        ("POST", "/regenerate-key", None),
    ],
)
async def test_upstreams_404_makes_the_session_gone_with_its_messages_still_readable(
    empty_shop: Shop, method: str, tail: str, body: Any
) -> None:
    shop = empty_shop
    session_id = await shop.create()
    secret = await shop.db.fetchval("SELECT webhook_secret FROM whatsapp_sessions")
    await shop.post(received(), secret=secret, path=f"{HOOK}/{session_id}")
    await forget_upstream(shop, session_id)

    status, reply = await shop.gateway.call(method, f"{SESSIONS}/{session_id}{tail}", body)

    assert (status, reply["code"], reply["action"]) == (404, "session_not_found", "refresh_sessions")
    assert await status_of(shop, session_id) == "gone"
    assert await shop.gateway.data("GET", SESSIONS) == []
    assert len((await shop.gateway.data("GET", "/api/conversations"))["conversations"]) == 1


async def test_the_status_stands_at_top_level_and_in_data(empty_shop: Shop) -> None:
    session_id = await empty_shop.create()

    status, reply = await empty_shop.gateway.call("GET", f"{SESSIONS}/{session_id}/status")

    assert status == 200
    assert reply["status"] == reply["data"]["status"] == "disconnected"
    assert (reply["data"]["source"], reply["data"]["stale"]) == ("api", False)
    assert reply["data"]["checked_at"].endswith("Z")


@pytest.mark.parametrize("action", ["disconnect", "restart", "regenerate-key"])
async def test_actions_on_a_session_that_is_not_here_are_not_found(empty_shop: Shop, action: str) -> None:
    status, reply = await empty_shop.gateway.call("POST", f"{SESSIONS}/4711/{action}")

    assert (status, reply["code"]) == (404, "not_found")


async def test_every_change_leaves_a_line_with_who_did_it(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    one = f"{SESSIONS}/{session_id}"
    await shop.gateway.data("PUT", one, {"name": "Other"})
    await shop.gateway.data("POST", f"{one}/regenerate-key")
    await shop.gateway.data("POST", f"{one}/disconnect")

    lines = await shop.gateway.data("GET", f"{one}/logs")
    words = [line["event_type"] for line in lines]
    assert words == ["disconnected", "key_regenerated", "session_updated", "session_created"]
    assert {line["metadata"]["actor"] for line in lines} == {"Tester"}


# ------------------------------------------------------------------------------------------ sync


async def test_a_sync_counts_what_it_did_and_writes_a_line_for_each(empty_shop: Shop) -> None:
    shop = empty_shop
    same, changed, gone, new = [await shop.create(name=name) for name in ("same", "changed", "gone", "new")]
    await shop.db.execute(
        "UPDATE whatsapp_sessions SET name = 'old name' WHERE wasender_session_id = $1", changed
    )
    await shop.db.execute("DELETE FROM whatsapp_sessions WHERE wasender_session_id = $1", new)
    await forget_upstream(shop, gone)

    data = await shop.gateway.data("POST", f"{SESSIONS}/sync")

    assert data == {
        "created": 1, "updated": 1, "gone": 1, "unchanged": 1, "synced_count": 3, "total_sessions": 3, "errors": [],
    }  # fmt: skip
    assert [await status_of(shop, one) for one in (same, gone)] == ["disconnected", "gone"]
    lines = await shop.db.fetch(
        "SELECT event_type FROM whatsapp_session_logs WHERE event_type <> 'session_created'"
    )
    assert sorted(row["event_type"] for row in lines) == ["session_gone", "sync_created", "sync_updated"]
    again = await shop.gateway.data("POST", f"{SESSIONS}/sync.php")
    assert (again["unchanged"], again["created"] + again["updated"] + again["gone"]) == (3, 0)


async def test_a_list_that_upstream_cannot_give_makes_nothing_gone(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    for fault in ({"status": 500}, {"html": True}, {"status": 404}, {"status": 200, "body": {"data": "x"}}):
        switch = {"path": "/whatsapp-sessions", "method": "GET", "times": None, **fault}
        await shop.gateway.data("DELETE", "/_simulator/faults", token="")
        await shop.gateway.data("POST", "/_simulator/faults", switch, token="")
        assert (await shop.gateway.call("POST", f"{SESSIONS}/sync"))[0] == 502

    assert await status_of(shop, session_id) == "disconnected"
