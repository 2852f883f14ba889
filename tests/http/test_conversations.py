"""The inbox over REST: what is listed, found and read, and from where a client goes on."""

import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio
from yarl import URL

from tests.http.support import Shop, deleted, edited, left_alone, received, sent
from tests.postgres.writers import insert_message
from tests.unit.wasender import payload_parts as parts

ANN, BOB = parts.ANN, parts.BOB


async def conversations(shop: Shop, query: str = "", **more: Any) -> list[dict[str, Any]]:
    data = await shop.gateway.data("GET", f"/api/conversations?{query}", **more)
    return list(data["conversations"])


async def texts(shop: Shop, chat: str, query: str = "") -> list[str]:
    data = await shop.gateway.data("GET", f"/api/conversations/{chat}/messages?{query}")
    return [item["message_text"] for item in data["messages"]]


def later(seconds: int) -> dict[str, Any]:
    return {"messageTimestamp": parts.SENT_S + seconds}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_talk(shared_empty_shop: Shop) -> AsyncIterator[Shop]:
    """Ann and Carl have written to session 12; for tests that only look."""
    await shared_empty_shop.add_session(12)
    await shared_empty_shop.take(received("What are your opening hours? 100% 😀", pushName="Ann Berg"))
    await shared_empty_shop.take(received("x", key_id="other", jid="111@s.whatsapp.net", pushName="Carl"))
    async with left_alone(shared_empty_shop):
        yield shared_empty_shop


# ------------------------------------------------------------------------------------------ the list


async def test_there_is_one_conversation_per_session_and_chat_the_newest_first(shop: Shop) -> None:
    await shop.take(received("one", key_id="1", pushName="Ann"))
    await shop.take(received("two", key_id="2", **later(10)))
    await shop.take(received("three", key_id="3", jid=parts.BOB_JID, **later(5)))
    await shop.take(received("four", key_id="4", **later(20)), 13)
    await shop.take(sent("five", key_id="5", **later(7)))

    found = [(item["session_id"], item["chat"], item["unread"]) for item in await conversations(shop)]
    assert found == [(13, parts.ANN_JID, 1), (12, parts.ANN_JID, 2), (12, parts.BOB_JID, 1)]
    first = (await conversations(shop, "session=12"))[0]
    assert (first["name"], first["phone"]) == ("Ann", ANN)
    assert first["last_message"]["message_text"] == "two"
    assert first["last_at"] == "2025-05-20T21:10:41Z"
    assert "raw_data" not in first["last_message"]


async def test_what_we_sent_last_is_the_last_message(shop: Shop) -> None:
    await shop.take(received("question", key_id="1"))
    await shop.take(sent("answer", key_id="2", **later(10)))

    (item,) = await conversations(shop)
    assert (item["last_message"]["message_text"], item["last_message"]["direction"]) == ("answer", "out")


async def test_a_chat_we_began_ourselves_is_listed_too(shop: Shop) -> None:
    await shop.take(sent("hello?"))

    (item,) = await conversations(shop)
    assert (item["unread"], item["replied"], item["name"]) == (0, True, None)


async def test_unread_and_unreplied_are_two_different_things(shop: Shop) -> None:
    for number, jid in enumerate([parts.ANN_JID, parts.BOB_JID, "49151@s.whatsapp.net"]):
        await shop.take(received(key_id=f"in{number}", jid=jid))
    await shop.gateway.data("POST", f"/api/conversations/{ANN}/read?session=12")
    await shop.take(sent(key_id="out", jid=parts.BOB_JID, **later(10)))

    async def phones(query: str) -> set[str]:
        return {item["phone"] for item in await conversations(shop, query)}

    assert await phones("filter=all") == {ANN, BOB, "49151"}
    assert await phones("filter=unread") == {BOB, "49151"}
    assert await phones("filter=unreplied") == {ANN, "49151"}


async def test_a_question_after_the_answer_is_unreplied_again(shop: Shop) -> None:
    await shop.take(received(key_id="1"))
    await shop.take(sent(key_id="2", **later(10)))
    assert await conversations(shop, "filter=unreplied") == []

    await shop.take(received(key_id="3", **later(20)))
    assert len(await conversations(shop, "filter=unreplied")) == 1


async def test_a_deleted_message_is_not_unread(shop: Shop) -> None:
    await shop.take(received())
    await shop.take(deleted())

    assert (await conversations(shop))[0]["unread"] == 0


@pytest.mark.parametrize(
    ("search", "is_found"),
    [
        ("ann", True),
        ("ANN", True),
        ("Berg", True),
        ("opening", True),
        ("+62 811-1222", True),
        ("(62)8111222333", True),
        ("0811 1222", True),
        ("100%", True),
        ("1_0", False),
        ("opening 62", False),
        ("%", True),
        ("Bob", False),
        ("999", False),
        ("\\", False),
        ("'; DROP TABLE customers; --", False),
        ("😀", True),
    ],
)
async def test_a_search_finds_names_numbers_in_any_formatting_and_texts(
    shared_talk: Shop, search: str, is_found: bool
) -> None:
    data = await shared_talk.gateway.data("GET", "/api/conversations", params={"search": search})
    found = {item["phone"] for item in data["conversations"]}
    assert found == ({ANN} if is_found else set())


async def test_pages_hold_every_conversation_once_also_those_of_the_same_second(shop: Shop) -> None:
    numbers = [f"49151{number:03}" for number in range(7)]
    for number in numbers:
        await shop.take(received(key_id=f"in{number}", jid=f"{number}@s.whatsapp.net"))
    await shop.take(received(key_id="newest", jid="999@s.whatsapp.net", **later(9)))

    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        data = await shop.gateway.data(
            "GET", "/api/conversations", params={"limit": "3", "cursor": cursor or ""}
        )
        seen += [item["phone"] for item in data["conversations"]]
        cursor = data["next_cursor"]

    assert seen[0] == "999"
    assert sorted(seen[1:]) == numbers


def cursor_of(*values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "filter=starred",
        "session=x",
        "cursor=!",
        "cursor=" + cursor_of("2025-05-20T21:10:41Z", 12),
        "cursor=" + cursor_of("yesterday", 12, "x"),
        "cursor=" + cursor_of("2025-05-20", 12, "x"),
        "cursor=" + cursor_of("2025-05-20T21:10:41Z", "x", "x"),
        "cursor=" + cursor_of("2025-05-20T21:10:41Z", 2**70, "x"),
        "cursor=" + cursor_of(None, None, None),
        "search=%00",
    ],
)
async def test_a_list_that_cannot_be_is_invalid(shared_talk: Shop, query: str) -> None:
    status, reply = await shared_talk.gateway.call("GET", f"/api/conversations?{query}")

    assert (status, reply["code"]) == (422, "invalid")


# ------------------------------------------------------------------------------------------ the thread


async def test_a_thread_has_both_directions_in_one_order(shop: Shop) -> None:
    await shop.take(received("1", key_id="1"))
    await shop.take(sent("2", key_id="2", **later(10)))
    await shop.take(received("3", key_id="3", **later(20)))
    await shop.take(edited("3 edited", "3"))
    await shop.take(received("of Bob", key_id="4", jid=parts.BOB_JID))

    assert await texts(shop, ANN) == ["1", "2", "3 edited"]


@pytest.mark.parametrize("chat", [ANN, "+62 811 1222-333", parts.ANN_JID, "628111222333%40s.whatsapp.net"])
async def test_a_chat_is_named_by_digits_or_by_its_jid(shared_talk: Shop, chat: str) -> None:
    assert await texts(shared_talk, chat) == ["What are your opening hours? 100% 😀"]


async def test_pages_of_a_thread_hold_every_message_once_also_those_of_the_same_second(shop: Shop) -> None:
    for number in range(5):
        await shop.take(received(f"in {number}", key_id=f"in{number}"))
        await shop.take(sent(f"out {number}", key_id=f"out{number}"))

    seen: list[str] = []
    before: str | None = ""
    while before is not None:
        path = f"/api/conversations/{ANN}/messages"
        data = await shop.gateway.data("GET", path, params={"limit": "3", "before": before or ""})
        seen = [item["message_text"] for item in data["messages"]] + seen
        before = data["before"]
        assert data["has_more"] is (before is not None)

    assert len(seen) == 10
    assert set(seen) == {f"{way} {number}" for way in ("in", "out") for number in range(5)}


async def test_a_chat_of_two_sessions_must_be_told_apart(shop: Shop) -> None:
    await shop.take(received("to 12"), 12)
    await shop.take(received("to 13"), 13)

    status, reply = await shop.gateway.call("GET", f"/api/conversations/{ANN}/messages")
    assert (status, reply["details"]) == (422, {"sessions": [12, 13]})
    assert await texts(shop, ANN, "session=13") == ["to 13"]


@pytest.mark.parametrize(
    ("chat", "status"), [("49999", 404), ("x", 422), ("%20", 422), ("nobody@lid", 404), ("%00@lid", 422)]
)
async def test_a_chat_without_messages_is_not_found_and_one_that_cannot_be_is_invalid(
    shared_talk: Shop, chat: str, status: int
) -> None:
    assert (await shared_talk.gateway.call("GET", f"/api/conversations/{chat}/messages"))[0] == status


@pytest.mark.parametrize(
    "before", ["!", cursor_of("x", "in", "1"), cursor_of("2025-05-20T21:10:41Z", 1, "1")]
)
async def test_a_place_in_a_thread_that_was_never_given_out_is_invalid(
    shared_talk: Shop, before: str
) -> None:
    status, _ = await shared_talk.gateway.call("GET", f"/api/conversations/{ANN}/messages?before={before}")
    assert status == 422


# ------------------------------------------------------------------------------------------ reading


@pytest.mark.parametrize("name", ["query", "session", "session_id"])
async def test_marking_read_is_for_one_chat_of_one_session_and_other_browsers_see_it(
    shop: Shop, name: str
) -> None:
    await shop.take(received(key_id="a"), 12)
    await shop.take(received(key_id="b"), 13)
    await shop.take(received(key_id="c", jid=parts.BOB_JID), 12)
    async with shop.gateway.socket() as socket:
        await socket.subscribe("inbox:*")
        path = f"/api/conversations/{ANN}/read" + ("?session=12" if name == "query" else "")
        marked = await shop.gateway.data("POST", path, {} if name == "query" else {name: 12})
        frame = await socket.event("message.updated")

    assert marked == {"marked": 1}
    assert (frame["data"]["wa_key_id"], frame["data"]["is_read"]) == ("a", True)
    assert {row["wa_key_id"] for row in await shop.rows() if not row["is_read"]} == {"b", "c"}
    assert await shop.gateway.data("POST", f"/api/conversations/{ANN}/read?session=12") == {"marked": 0}


async def test_a_chat_that_is_not_utf_8_is_invalid(shared_talk: Shop) -> None:
    for path in ("/api/conversations/%ff", "/api/conversations/%ff/messages"):
        async with shared_talk.http.get(
            URL(shared_talk.gateway.url + path, encoded=True),
            headers={"Authorization": f"Bearer {shared_talk.gateway.token()}"},
        ) as reply:
            assert (reply.status, (await reply.json())["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    "ending", ["typing", "on-whatsapp", "messages/7", "messages/7/retry", "messages/7/settle"]
)
async def test_what_is_within_a_conversation_is_no_conversation_but_a_name_may_end_so(
    ending: str, shop: Shop
) -> None:
    """A slash in a name comes percent-encoded."""
    session_id = await shop.create()
    name = f"Ann/{ending}"
    await insert_message(shop.db, session_id, chat=name, message_text="odd")

    status, _ = await shop.gateway.call("GET", f"/api/conversations/Ann/{ending}?session={session_id}")
    opened = await shop.gateway.data("GET", f"/api/conversations/{quote(name, safe='')}?session={session_id}")

    assert status == 405
    assert opened["chat"] == name


async def test_what_nobody_can_have_for_an_address_is_not_erased(shop: Shop) -> None:
    session_id = await shop.create()

    status, reply = await shop.gateway.call("DELETE", f"/api/conversations/null?session={session_id}&erase=1")

    assert (status, reply["code"]) == (404, "not_found")


async def test_a_long_list_comes_compressed_to_those_who_take_it(shop: Shop) -> None:
    await shop.db.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, wasender_session_id, chat, from_phone, message_text,"
        " message_type, received_at, created_at)"
        " SELECT 'm' || n, 12, (255700000000 + n) || '@s.whatsapp.net', (255700000000 + n)::text, 'Hello', 'text',"
        " now(), now() FROM generate_series(1, 50) AS n"
    )
    bearer = {"Authorization": f"Bearer {shop.gateway.token()}"}
    sizes: dict[str, int] = {}
    for accepted in ("identity", "gzip", "gzip;q=0"):
        headers = {**bearer, "Accept-Encoding": accepted}
        async with shop.http.get(shop.gateway.url + "/api/conversations", headers=headers) as reply:
            assert len((await reply.json())["data"]["conversations"]) == 50
            assert "Accept-Encoding" in reply.headers["Vary"]
            assert reply.headers.get("Content-Encoding") == ("gzip" if accepted == "gzip" else None)
            sizes[accepted] = int(reply.headers["Content-Length"])
    assert sizes["gzip"] * 5 < sizes["identity"] == sizes["gzip;q=0"]
