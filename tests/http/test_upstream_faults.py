"""What callers are told when WasenderAPI refuses, breaks, or keeps silent."""

from pathlib import Path
from typing import Any

import pytest

from tests.http.support import SESSIONS, Shop
from tests.launcher.running import running
from tests.launcher.settings import settings_for


async def fault(shop: Shop, **switch: Any) -> None:
    await shop.gateway.data("POST", "/_simulator/faults", {"path": "/whatsapp-sessions", **switch}, token="")


CASES = [
    ({"status": 401}, 502, "upstream_unauthorized", "check_token"),
    ({"status": 403}, 403, "upstream_limit", "show_limit"),
    ({"status": 404}, 404, "session_not_found", "refresh_sessions"),
    ({"status": 422}, 422, "invalid", "fix_input"),
    ({"status": 429, "retry_after": 7}, 429, "rate_limited", "retry"),
    ({"status": 500}, 502, "upstream_error", "retry"),
    ({"status": 503}, 502, "upstream_error", "retry"),
    ({"html": True}, 502, "upstream_error", "retry"),
    ({"html": True, "status": 200}, 502, "upstream_error", "retry"),
    ({"status": 200, "body": []}, 502, "upstream_error", "retry"),
    ({"status": 200, "body": {"success": False, "message": "no"}}, 502, "upstream_error", "retry"),
    ({"hang": True}, 504, "upstream_timeout", "retry"),
    ({"drop": "before"}, 504, "upstream_timeout", "retry"),
    ({"drop": "after"}, 504, "upstream_timeout", "retry"),
]


@pytest.mark.parametrize(("switch", "status", "code", "action"), CASES, ids=[str(case[0]) for case in CASES])
async def test_every_fault_of_upstream_is_told_in_our_words(
    hasty_shop: Shop, switch: dict[str, Any], status: int, code: str, action: str
) -> None:
    shop = hasty_shop
    session_id = await shop.create()
    await fault(shop, method="PUT", times=None, **switch)

    found, reply = await shop.gateway.call("PUT", f"{SESSIONS}/{session_id}", {"name": "x"})

    assert (found, reply["code"], reply["action"]) == (status, code, action)
    assert reply["success"] is False
    assert len(reply["error"]) > 10
    stored = await shop.db.fetchval("SELECT status FROM whatsapp_sessions")
    assert stored == ("gone" if status == 404 else "disconnected")


@pytest.mark.parametrize(("switch", "status", "code", "action"), [CASES[0], CASES[5], CASES[11]])
async def test_a_fault_while_creating_leaves_no_half_session(
    hasty_shop: Shop, switch: dict[str, Any], status: int, code: str, action: str
) -> None:
    await fault(hasty_shop, method="POST", times=None, **switch)
    wish = {"name": "x", "phone_number": "+15550001111"}

    found, reply = await hasty_shop.gateway.call("POST", SESSIONS, wish)

    assert (found, reply["code"], reply["action"]) == (status, code, action)
    assert await hasty_shop.rows("whatsapp_sessions") == []


async def test_a_429_says_when_to_come_again(empty_shop: Shop) -> None:
    session_id = await empty_shop.create()
    await fault(empty_shop, method="GET", status=429, retry_after=7)
    url = f"{empty_shop.gateway.url}{SESSIONS}/{session_id}?refresh=1"
    headers = {"Authorization": f"Bearer {empty_shop.gateway.token()}"}

    async with empty_shop.http.get(url, headers=headers) as reply:
        body = await reply.json()

    assert (reply.status, reply.headers["Retry-After"], body["retry_after_s"]) == (429, "7", 7)


async def test_a_422_brings_upstreams_words_for_each_field(empty_shop: Shop) -> None:
    session_id = await empty_shop.create()
    words = {"message": "The given data was invalid.", "errors": {"name": ["The name is taken."]}}
    await fault(empty_shop, method="PUT", status=422, body=words)

    _, reply = await empty_shop.gateway.call("PUT", f"{SESSIONS}/{session_id}", {"name": "x"})

    assert reply["details"] == {"errors": {"name": ["The name is taken."]}}
    assert "The given data was invalid." in reply["error"]


async def test_a_fault_that_repeats_our_token_does_not_bring_it_to_the_browser(empty_shop: Shop) -> None:
    session_id = await empty_shop.create()
    token = empty_shop.gateway.gateway.upstream.simulator.account_token  # type: ignore[union-attr]
    await fault(
        empty_shop, method="PUT", status=400, body={"success": False, "message": f"bad token {token}"}
    )

    _, reply = await empty_shop.gateway.call("PUT", f"{SESSIONS}/{session_id}", {"name": "x"})

    assert "bad token [redacted]" in reply["error"]


async def test_a_gateway_without_an_account_token_says_what_to_do(database: str, tmp_path: Path) -> None:
    settings = settings_for(database, tmp_path, simulator=False, wasender_base_url="http://127.0.0.1:9")
    async with running(settings) as gateway:
        status, reply = await gateway.call("GET", f"{SESSIONS}/12")

    assert (status, reply["code"], reply["action"]) == (502, "upstream_unauthorized", "check_token")
    assert "WASENDER_TOKEN" in reply["error"]


async def test_what_is_stored_is_shown_while_upstream_is_away(hasty_shop: Shop) -> None:
    session_id = await hasty_shop.create()
    await fault(hasty_shop, hang=True, times=None)

    for path in (SESSIONS, f"{SESSIONS}/{session_id}", f"{SESSIONS}/{session_id}/status"):
        assert (await hasty_shop.gateway.call("GET", path))[0] == 200
