"""Sessions over REST, with the simulator as WasenderAPI."""

import json
from typing import Any

import pytest

from gateway.services.sessions import WEBHOOK_EVENTS
from tests.http.support import HOOK, SESSIONS, Shop, received
from tests.running import running, settings_for


async def upstream(shop: Shop, session_id: int) -> dict[str, Any]:
    """The session as the simulator has it, asked with the account token, past the gateway's own routes."""
    token = shop.gateway.gateway._simulator.account_token  # type: ignore[union-attr]
    path = f"/simulator/api/whatsapp-sessions/{session_id}"
    found: dict[str, Any] = await shop.gateway.data("GET", path, token=token)
    return found


async def forget_upstream(shop: Shop, session_id: int) -> None:
    """Somebody deletes the session in WasenderAPI's own dashboard."""
    token = shop.gateway.gateway._simulator.account_token  # type: ignore[union-attr]
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
    ours = await shop.db.fetchrow("SELECT * FROM whatsapp_sessions")
    assert ours["webhook_secret"] == theirs["webhook_secret"] != ""
    assert ours["api_key"] == theirs["api_key"] != ""
    assert reply["data"]["status"] == "disconnected"


async def test_the_public_url_is_the_one_that_upstream_is_told(database: str, tmp_path: Any) -> None:
    settings = settings_for(database, tmp_path, public_url="https://gateway.example/base/")
    async with running(settings) as gateway:
        shown = await gateway.data("POST", SESSIONS, {"name": "Shop", "phone_number": "+15550001111"})

    assert shown["webhook_url"] == f"https://gateway.example/base{HOOK}"


async def test_a_webhook_url_of_ones_own_is_left_alone(empty_shop: Shop) -> None:
    session_id = await empty_shop.create(webhook_url="https://shop.example/hook", webhook_enabled=False)

    theirs = await upstream(empty_shop, session_id)
    assert (theirs["webhook_url"], theirs["webhook_enabled"]) == ("https://shop.example/hook", False)


@pytest.mark.parametrize(
    "fields",
    [{}, {"name": "x"}, {"name": "", "phone_number": "+1555"}, {"name": "x", "phone_number": 5, "nonsense": 1}],
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


# ------------------------------------------------------------------------------------------ list


@pytest.fixture
async def many(empty_shop: Shop) -> Shop:
    """Sessions 1–5 of which 4 is gone and 5 has a foreign casing."""
    rows = [
        (1, "Alpha", "+49 151 111", "connected"),
        (2, "Beta 100%", "+49 151 222", "disconnected"),
        (3, "Gamma_3", "+34600333", "need_scan"),
        (4, "Delta", "+49 151 444", "gone"),
        (5, "epsilon", "+49 151 555", "CONNECTED"),
    ]
    for session_id, name, phone, status in rows:
        await empty_shop.add_session(session_id, name=name, phone_number=phone, status=status)
    return empty_shop


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", {1, 2, 3, 5}),
        ("include=gone", {1, 2, 3, 4, 5}),
        ("status=gone", {4}),
        ("status=connected", {1, 5}),
        ("status=CONNECTED", {1, 5}),
        ("status=need_scan", {3}),
        ("search=alp", {1}),
        ("search=EPS", {5}),
        ("search=%2B49+(151)+22", {2}),
        ("search=100%25", {2}),
        ("search=%25", {2}),
        ("search=a_3", {3}),
        ("search=Gamma+9", set()),
        ("search=Shop+1", set()),
        ("search=151", {1, 2, 5}),
        ("search=nothing", set()),
    ],
)
async def test_a_list_shows_what_was_asked_for(many: Shop, query: str, ids: set[int]) -> None:
    assert {item["id"] for item in await many.gateway.data("GET", f"{SESSIONS}?{query}")} == ids


@pytest.mark.parametrize(
    ("sort", "ids"),
    [("id", [1, 2, 3, 5]), ("-id", [5, 3, 2, 1]), ("-name,id", None), ("phone_number", [3, 1, 2, 5])],
)
async def test_a_list_is_sorted_as_asked(many: Shop, sort: str, ids: list[int] | None) -> None:
    shown = await many.gateway.data("GET", f"{SESSIONS}?sort={sort}")

    names = [item["name"] for item in shown]
    assert [item["id"] for item in shown] == ids if ids else sorted(names, key=str.lower, reverse=True) == names


async def test_pages_hold_every_session_once(many: Shop) -> None:
    seen: list[int] = []
    cursor = ""
    for _ in range(10):
        _, reply = await many.gateway.call("GET", f"{SESSIONS}?include=gone&sort=id&limit=2{cursor}")
        seen += [item["id"] for item in reply["data"]]
        if reply["next_cursor"] is None:
            break
        cursor = f"&cursor={reply['next_cursor']}"

    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=-1", "limit=x", "limit=", "sort=api_key", "sort=1", "cursor=!", "cursor=YQ"]
    + ["search=%00", "cursor=LTU", "cursor=" + "OTk5" * 10],
)
async def test_a_list_that_cannot_be_is_invalid(many: Shop, query: str) -> None:
    status, reply = await many.gateway.call("GET", f"{SESSIONS}?{query}")

    assert (status, reply["code"]) == (422, "invalid")


async def test_statuses_are_shown_in_one_casing_and_left_as_they_are(many: Shop) -> None:
    shown = await many.gateway.data("GET", f"{SESSIONS}/5")

    assert shown["status"] == "connected"
    assert await status_of(many, 5) == "CONNECTED"


@pytest.mark.parametrize("session_id", ["x", "1.5", "-1", "%31%20", "9" * 19])
async def test_an_id_is_digits_only(many: Shop, session_id: str) -> None:
    status, reply = await many.gateway.call("GET", f"{SESSIONS}/{session_id}")

    assert (status, reply["code"]) == (422, "invalid")


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
    fault = {"mode": "webhook_sync_fails"}
    await shop.gateway.data("POST", "/_simulator/faults", fault, token="")

    status, reply = await shop.gateway.call(
        "PUT", f"{SESSIONS}/{session_id}", {"webhook_events": ["session.status"]}
    )

    assert status == 200
    assert reply["warning"]
    assert reply["data"]["webhook_events"] == ["session.status"]


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


async def test_pages_of_the_log_hold_every_line_once(many: Shop) -> None:
    for number in range(5):
        await many.db.execute(
            "INSERT INTO whatsapp_session_logs (session_id, event_type, message)"
            " SELECT id, 'test', $1 FROM whatsapp_sessions WHERE wasender_session_id = 1",
            str(number),
        )
    seen: list[str] = []
    cursor = ""
    for _ in range(5):
        _, reply = await many.gateway.call("GET", f"{SESSIONS}/1/logs?limit=2{cursor}")
        seen += [line["message"] for line in reply["data"]]
        if reply["next_cursor"] is None:
            break
        cursor = f"&cursor={reply['next_cursor']}"

    assert seen == ["4", "3", "2", "1", "0"]


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
    lines = await shop.db.fetch("SELECT event_type FROM whatsapp_session_logs WHERE event_type <> 'session_created'")
    assert sorted(row["event_type"] for row in lines) == ["session_gone", "sync_created", "sync_updated"]
    again = await shop.gateway.data("POST", f"{SESSIONS}/sync.php")
    assert (again["unchanged"], again["created"] + again["updated"] + again["gone"]) == (3, 0)


async def test_a_list_that_upstream_cannot_give_makes_nothing_gone(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    for fault in ({"status": 500}, {"html": True}, {"status": 404}, {"status": 200, "body": {"data": "x"}}):
        switch = {"path": "/whatsapp-sessions", "method": "GET", **fault}
        await shop.gateway.data("POST", "/_simulator/faults", switch, token="")
        assert (await shop.gateway.call("POST", f"{SESSIONS}/sync"))[0] == 502

    assert await status_of(shop, session_id) == "disconnected"


# ------------------------------------------------------------------------------------------ qr codes


async def test_there_is_no_code_while_nothing_is_linked(empty_shop: Shop) -> None:
    session_id = await empty_shop.create()

    for query in ("", "?format=svg", "?format=png", "?format=raw"):
        status, reply = await empty_shop.gateway.call("GET", f"{SESSIONS}/{session_id}/qr-code{query}")
        assert (status, reply["code"]) == (409, "not_linking")


async def test_a_code_comes_as_json_svg_png_and_text_and_is_never_cached(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    one = f"{SESSIONS}/{session_id}"
    async with shop.gateway.socket() as socket:
        await socket.subscribe(f"session:{session_id}")
        await shop.gateway.data("POST", f"{one}/connect")
        pushed = (await socket.state("session.qr"))["data"]

    headers = {"Authorization": f"Bearer {shop.gateway.token()}"}
    found: dict[str, tuple[str, bytes]] = {}
    for query in ("", "?format=json", "?format=svg", "?format=png", "?format=raw"):
        for path in ("qr-code", "qrcode"):
            url = f"{shop.gateway.url}{one}/{path}{query}"
            async with shop.http.get(url, headers=headers) as reply:
                assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")
                found[query] = reply.content_type, await reply.read()
    assert found["?format=svg"][0] == "image/svg+xml"
    assert found["?format=png"][0] == "image/png"
    assert found["?format=png"][1].startswith(b"\x89PNG")
    assert found["?format=raw"] == ("text/plain", pushed["qrCode"].encode())
    shown = json.loads(found[""][1])
    assert shown["data"] == pushed
    assert shown["qr_code"] == pushed["qr_code"]
    assert (pushed["attempt"], pushed["max_attempts"], pushed["seq"]) == (1, 6, 1)
    assert (await shop.gateway.call("GET", f"{one}/qr-code?format=gif"))[0] == 422


async def test_connecting_twice_is_one_attempt(empty_shop: Shop) -> None:
    session_id = await empty_shop.create()

    for _ in range(3):
        status, reply = await empty_shop.gateway.call("POST", f"{SESSIONS}/{session_id}/connect")
        assert (status, reply["data"]["session_id"]) == (200, session_id)
    count = await empty_shop.db.fetchval("SELECT count(*) FROM gateway.whatsapp_link_attempts")
    assert count == 1


@pytest.mark.parametrize("action", ["disconnect", "delete"])
async def test_the_code_is_gone_when_the_attempt_was_ended(empty_shop: Shop, action: str) -> None:
    shop = empty_shop
    session_id = await shop.create()
    one = f"{SESSIONS}/{session_id}"
    await shop.gateway.data("POST", f"{one}/connect")
    call = ("DELETE", one) if action == "delete" else ("POST", f"{one}/disconnect")
    await shop.gateway.call(*call)

    status, reply = await shop.gateway.call("GET", f"{one}/qr-code")
    assert (status, reply["code"]) == (409, "not_linking")
    assert await shop.db.fetchval("SELECT reason FROM gateway.whatsapp_link_attempts") == "cancelled"
