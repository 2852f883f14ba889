"""Lists of sessions: what is shown, and in which order."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.http.support import SESSIONS, Shop, left_alone


async def add_many(shop: Shop) -> None:
    """Sessions 1–5 of which 4 is gone and 5 has a foreign casing."""
    rows = [
        (1, "Alpha", "+49 151 111", "connected"),
        (2, "Beta 100%", "+49 151 222", "disconnected"),
        (3, "Gamma_3", "+34600333", "need_scan"),
        (4, "Delta", "+49 151 444", "gone"),
        (5, "epsilon", "+49 151 555", "CONNECTED"),
    ]
    for session_id, name, phone, status in rows:
        await shop.add_session(session_id, name=name, phone_number=phone, status=status)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_many(shared_empty_shop: Shop) -> AsyncIterator[Shop]:
    """For tests that only look."""
    await add_many(shared_empty_shop)
    async with left_alone(shared_empty_shop):
        yield shared_empty_shop


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
async def test_a_list_shows_what_was_asked_for(shared_many: Shop, query: str, ids: set[int]) -> None:
    assert {item["id"] for item in await shared_many.gateway.data("GET", f"{SESSIONS}?{query}")} == ids


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
    shared_many: Shop, sort: str, ids: list[int]
) -> None:
    assert [item["id"] for item in await shared_many.gateway.data("GET", f"{SESSIONS}?sort={sort}")] == ids


async def test_pages_hold_every_session_once(shared_many: Shop) -> None:
    seen: list[int] = []
    cursor = ""
    for _ in range(10):
        _, reply = await shared_many.gateway.call("GET", f"{SESSIONS}?include=gone&sort=id&limit=2{cursor}")
        seen += [item["id"] for item in reply["data"]]
        if reply["next_cursor"] is None:
            break
        cursor = f"&cursor={reply['next_cursor']}"

    assert seen == [1, 2, 3, 4, 5]


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
async def test_a_list_that_cannot_be_is_invalid(shared_many: Shop, query: str) -> None:
    status, reply = await shared_many.gateway.call("GET", f"{SESSIONS}?{query}")

    assert (status, reply["code"]) == (422, "invalid")


async def test_statuses_are_shown_in_one_casing_and_left_as_they_are(shared_many: Shop) -> None:
    shown = await shared_many.gateway.data("GET", f"{SESSIONS}/5")

    assert shown["status"] == "connected"
    stored = "SELECT status FROM whatsapp_sessions WHERE wasender_session_id = 5"
    assert await shared_many.db.fetchval(stored) == "CONNECTED"


@pytest.mark.parametrize("session_id", ["x", "1.5", "-1", "%31%20", "9" * 19])
async def test_an_id_is_digits_only(shared_many: Shop, session_id: str) -> None:
    status, reply = await shared_many.gateway.call("GET", f"{SESSIONS}/{session_id}")

    assert (status, reply["code"]) == (422, "invalid")


async def test_pages_of_the_log_hold_every_line_once(empty_shop: Shop) -> None:
    await add_many(empty_shop)
    for number in range(5):
        await empty_shop.db.execute(
            "INSERT INTO whatsapp_session_logs (session_id, event_type, message)"
            " SELECT id, 'test', $1 FROM whatsapp_sessions WHERE wasender_session_id = 1",
            str(number),
        )
    seen: list[str] = []
    cursor = ""
    for _ in range(5):
        _, reply = await empty_shop.gateway.call("GET", f"{SESSIONS}/1/logs?limit=2{cursor}")
        seen += [line["message"] for line in reply["data"]]
        if reply["next_cursor"] is None:
            break
        cursor = f"&cursor={reply['next_cursor']}"

    assert seen == ["4", "3", "2", "1", "0"]
