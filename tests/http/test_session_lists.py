"""Lists of sessions: what is shown, in which order, page by page."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.http.cursors import make_cursor
from tests.http.support import SESSIONS, Shop


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
        ("search=004915122", {2}),
        ("search=0151%2F22", {2}),
        ("search=49-151.22-2", {2}),
        ("search=%2B34600333", {3}),
        ("search=34+600+333", {3}),
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
    [
        ("id", [1, 2, 3, 5]),
        ("-id", [5, 3, 2, 1]),
        ("name", [1, 2, 5, 3]),
        ("-name,id", [3, 5, 2, 1]),
        ("phone_number", [3, 1, 2, 5]),
    ],
)
async def test_a_list_is_sorted_as_asked_and_names_as_people_read_them(
    many: Shop, sort: str, ids: list[int]
) -> None:
    assert [item["id"] for item in await many.gateway.data("GET", f"{SESSIONS}?sort={sort}")] == ids


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


ORDERS = ["name", "-name", "created_at", "-created_at", "updated_at", "-updated_at", "status", "-status"]
ORDERS += ["phone_number", "-phone_number", "last_connected_at", "-last_connected_at", "id", "-id"]
ORDERS += ["status,-name", "-last_connected_at,status", "-status,id"]


@pytest.fixture
async def alike(empty_shop: Shop) -> Shop:
    """Sessions that share most values, or have none: 1–9."""
    for number in range(1, 10):
        connected_at = None if number % 3 == 0 else datetime(2026, 1, number % 2 + 1, tzinfo=UTC)
        await empty_shop.add_session(
            number,
            name=f"Shop {number % 2}",
            phone_number=f"+{number % 4}",
            status=None if number % 5 == 0 else ("connected", "Connected", "expired")[number % 3],
            last_connected_at=connected_at,
            created_at=datetime(2026, 1, 1, 0, 0, 0, number % 2, tzinfo=UTC),
        )
    return empty_shop


async def page(shop: Shop, query: str) -> tuple[list[int], str | None]:
    status, reply = await shop.gateway.call("GET", f"{SESSIONS}?{query}")
    assert status == 200, reply
    return [item["id"] for item in reply["data"]], reply["next_cursor"]


@pytest.mark.parametrize("sort", ORDERS)
async def test_pages_of_any_order_hold_what_the_whole_list_holds(alike: Shop, sort: str) -> None:
    whole, _ = await page(alike, f"sort={sort}")
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        ids, cursor = await page(alike, f"sort={sort}&limit=2" + (f"&cursor={cursor}" if cursor else ""))
        seen += ids

    assert seen == whole
    assert sorted(seen) == list(range(1, 10))


@pytest.mark.parametrize("sort", ["name", "-name", "-created_at", "last_connected_at"])
async def test_sessions_that_come_and_go_move_nobody_to_another_page(alike: Shop, sort: str) -> None:
    whole, _ = await page(alike, f"sort={sort}")
    seen, cursor = await page(alike, f"sort={sort}&limit=3")
    await alike.add_session(77, name="Aaa", created_at=datetime(2025, 1, 1, tzinfo=UTC))
    await alike.add_session(78, name="zzz", created_at=datetime(2027, 1, 1, tzinfo=UTC))
    await alike.db.execute("DELETE FROM whatsapp_sessions WHERE wasender_session_id = $1", seen[0])
    while cursor is not None:
        ids, cursor = await page(alike, f"sort={sort}&limit=3&cursor={cursor}")
        seen += ids

    assert [number for number in seen if number < 77] == whole


async def test_a_cursor_belongs_to_the_order_it_was_given_for(alike: Shop) -> None:
    _, cursor = await page(alike, "sort=name&limit=2")
    for sort in ("-name", "name,id", "created_at"):
        status, reply = await alike.gateway.call("GET", f"{SESSIONS}?sort={sort}&cursor={cursor}")
        assert (status, reply["code"]) == (422, "invalid")


@pytest.mark.parametrize("values", [["created_at", ["x"], 1], ["created_at", [], 1], ["created_at", [1], 1]])
async def test_an_altered_cursor_is_invalid(alike: Shop, values: list[Any]) -> None:
    cursor = make_cursor(*values)
    status, reply = await alike.gateway.call("GET", f"{SESSIONS}?sort=created_at&cursor={cursor}")

    assert (status, reply["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=-1",
        "limit=x",
        "limit=",
        "sort=api_key",
        "sort=1",
        "cursor=!",
        "cursor=YQ",
        "search=%00",
        "cursor=LTU",
        "cursor=" + "OTk5" * 10,
    ],
)
async def test_a_list_that_cannot_be_is_invalid(many: Shop, query: str) -> None:
    status, reply = await many.gateway.call("GET", f"{SESSIONS}?{query}")

    assert (status, reply["code"]) == (422, "invalid")


async def test_statuses_are_shown_in_one_casing_and_left_as_they_are(many: Shop) -> None:
    shown = await many.gateway.data("GET", f"{SESSIONS}/5")

    assert shown["status"] == "connected"
    stored = "SELECT status FROM whatsapp_sessions WHERE wasender_session_id = 5"
    assert await many.db.fetchval(stored) == "CONNECTED"


@pytest.mark.parametrize("session_id", ["x", "1.5", "-1", "%31%20", "9" * 19])
async def test_an_id_is_digits_only(many: Shop, session_id: str) -> None:
    status, reply = await many.gateway.call("GET", f"{SESSIONS}/{session_id}")

    assert (status, reply["code"]) == (422, "invalid")


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
