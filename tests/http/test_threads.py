"""Threads by reference, reading up to what was seen, and the search that opens them."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from gateway.domain.access import Role
from tests.http.support import Shop, deleted, left_alone, received, sent
from tests.unit.wasender import payload_parts as parts

ANN = parts.ANN
MESSAGES = f"/api/conversations/{ANN}/messages"


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


def later(seconds: int) -> dict[str, Any]:
    return {"messageTimestamp": parts.SENT_S + seconds}


async def talk(shop: Shop, count: int = 9) -> None:
    """Customer and shop by turns, a second each: texts 0, 1, 2, …"""
    for number in range(count):
        make = sent if number % 2 else received
        await shop.take(make(str(number), key_id=f"k{number}", **later(number)))


ODD = ["%", "_", "\\", "'; DROP TABLE customers; --", "😀"]
"""Letters that mean something in a pattern, in a statement, or take more than one place."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_talk(shared_empty_shop: Shop) -> AsyncIterator[Shop]:
    """Session 12 with a few messages, one of each odd kind; for tests that only look."""
    await shared_empty_shop.add_session(12)
    await talk(shared_empty_shop, 2)
    for number, text in enumerate(ODD):
        await shared_empty_shop.take(received(f"with {text} in it", key_id=f"odd{number}"))
    await shared_empty_shop.take(received("without", key_id="plain"))
    async with left_alone(shared_empty_shop):
        yield shared_empty_shop


async def part(shop: Shop, query: str) -> dict[str, Any]:
    page: dict[str, Any] = await shop.gateway.data("GET", f"{MESSAGES}?session=12&{query}")
    page["texts"] = [item["message_text"] for item in page["messages"]]
    return page


async def test_every_row_has_a_reference_that_names_it_in_both_tables(shop: Shop) -> None:
    await talk(shop, 4)
    page = await part(shop, "")
    refs = [item["ref"] for item in page["messages"]]

    assert [ref.partition(":")[0] for ref in refs] == ["in", "out", "in", "out"]
    assert [f"{item['direction']}:{item['id']}" for item in page["messages"]] == refs
    for place, ref in enumerate(refs):
        around = await part(shop, f"around={ref}&limit=1")
        assert around["texts"] == [str(place)]


async def test_a_thread_is_opened_around_a_message_and_read_on_in_both_directions(shop: Shop) -> None:
    await talk(shop)
    refs = [item["ref"] for item in (await part(shop, ""))["messages"]]

    middle = await part(shop, f"around={refs[4]}&limit=3")
    assert (middle["texts"], middle["has_before"], middle["has_after"]) == (["3", "4", "5"], True, True)
    older = await part(shop, f"before={middle['before']}&limit=3")
    assert (older["texts"], older["has_before"], older["has_after"]) == (["0", "1", "2"], False, True)
    newer = await part(shop, f"after={middle['after']}&limit=2")
    assert (newer["texts"], newer["has_before"], newer["has_after"]) == (["6", "7"], True, True)
    end = await part(shop, f"after={refs[6]}")
    assert (end["texts"], end["has_after"], end["after"]) == (["7", "8"], False, None)
    assert (await part(shop, f"before={refs[2]}"))["texts"] == ["0", "1"]
    newest = await part(shop, "limit=2")
    assert (newest["texts"], newest["has_before"], newest["has_after"]) == (["7", "8"], True, False)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("around=in:999999", 404),
        ("around=in:nonsense", 404),
        ("around=out:1e400", 404),
        ("before=in:-1", 404),
        ("after=in:99999999999999999999999999", 404),
        ("around=in:1&before=in:1", 422),
        ("after=nonsense", 422),
        ("before=in:%00", 422),
        ("around=%00", 422),
    ],
)
async def test_what_names_no_message_of_the_chat_is_refused_in_a_sentence(
    shared_talk: Shop, query: str, status: int
) -> None:
    code, reply = await shared_talk.gateway.call("GET", f"{MESSAGES}?session=12&{query}")
    assert (code, reply["success"], bool(reply["error"])) == (status, False, True)


async def test_a_message_of_another_chat_opens_no_thread_here(shop: Shop) -> None:
    await talk(shop, 2)
    await shop.take(received("elsewhere", key_id="bob", jid=parts.BOB_JID))
    other = await shop.gateway.data("GET", f"/api/conversations/{parts.BOB}/messages?session=12")
    code, _ = await shop.gateway.call("GET", f"{MESSAGES}?session=12&around={other['messages'][0]['ref']}")
    assert code == 404


# ------------------------------------------------------------------------------------------ reading


async def test_reading_goes_up_to_what_was_seen(shop: Shop) -> None:
    await shop.take(received("seen", key_id="1"))
    seen = (await part(shop, ""))["position"]["12"]
    await shop.take(received("came meanwhile", key_id="2", **later(5)))

    marked = await shop.gateway.data("POST", f"/api/conversations/{ANN}/read?session=12", {"up_to": seen})
    assert marked == {"marked": 1}
    assert [item["is_read"] for item in (await part(shop, ""))["messages"]] == [True, False]
    assert await shop.gateway.data("POST", f"/api/conversations/{ANN}/read?session=12") == {"marked": 1}


async def test_hundreds_are_read_in_one_call_with_one_event_for_each(shop: Shop) -> None:
    await shop.db.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text, wasender_session_id)"
        " SELECT 'm' || n, $1, 'x', 12 FROM generate_series(1, 2500) AS n",
        ANN,
    )
    top = (await part(shop, ""))["position"]["12"]

    marked = await shop.gateway.data("POST", f"/api/conversations/{ANN}/read?session=12", {"up_to": top})

    after = (await part(shop, ""))["position"]["12"]
    assert marked == {"marked": 2500}
    assert (after["off"] - top["off"], after["epoch"]) == (2500, top["epoch"])


@pytest.mark.parametrize(
    ("up_to", "status"),
    [
        ({"off": 1, "epoch": "another"}, 409),
        ({"off": 1}, 422),
        ({"off": -1, "epoch": "x"}, 422),
        ({"off": "1", "epoch": "x"}, 422),
        ({"off": True, "epoch": "x"}, 422),
        ({"off": 2**70, "epoch": "x"}, 422),
        (7, 422),
        ("12", 422),
    ],
)
async def test_a_position_that_is_none_marks_nothing(shop: Shop, up_to: object, status: int) -> None:
    await shop.take(received())
    code, reply = await shop.gateway.call(
        "POST", f"/api/conversations/{ANN}/read?session=12", {"up_to": up_to}
    )
    assert (code, bool(reply["error"])) == (status, True)
    assert (await shop.row())["is_read"] in (False, None)


# ------------------------------------------------------------------------------------------ search


async def search(shop: Shop, query: str, **more: Any) -> dict[str, Any]:
    return dict(await shop.gateway.data("GET", f"/api/search?{query}", **more))


async def test_a_hit_opens_the_thread_around_it(shop: Shop) -> None:
    await talk(shop)
    await shop.take(received("about sugar", key_id="s", **later(20)))
    await talk(shop, 3)

    found = await search(shop, "q=SUGAR")
    (hit,) = found["messages"]
    assert (hit["chat"], hit["session_id"], hit["message_text"]) == (parts.ANN_JID, 12, "about sugar")
    assert hit["position"] == found["position"]["12"]
    around = await part(shop, f"around={hit['id']}&limit=3")
    assert "about sugar" in around["texts"]
    assert found["conversations"] == []


@pytest.mark.parametrize("written", ["+62 811-1222-333", "(62) 8111222333", "0811 1222", ANN])
async def test_a_conversation_is_found_by_its_number_however_it_is_written(shop: Shop, written: str) -> None:
    await shop.take(received("hello", key_id="1", jid="628111222333@s.whatsapp.net", pushName="Ann Berg"))
    await shop.take(received("hello", key_id="2"))
    found = await search(shop, "q=" + written.replace("+", "%2B").replace(" ", "%20"))
    expected = ANN if written == ANN else "628111222333"
    assert [item["phone"] for item in found["conversations"]] == [expected]


async def test_names_find_conversations_and_texts_find_messages(shop: Shop) -> None:
    await shop.take(received("I am not the one", key_id="1", pushName="Carla"))
    await shop.take(received("ask Carla", key_id="2", jid=parts.BOB_JID, pushName="Bob"))
    await shop.take(sent("dear carla", key_id="3", **later(9)))
    await shop.take(received("carla was here", key_id="4", **later(3)))
    await shop.take(deleted("4"))

    found = await search(shop, "q=carla")
    assert [item["name"] for item in found["conversations"]] == ["Carla"]
    assert [item["message_text"] for item in found["messages"]] == ["dear carla", "ask Carla"]
    assert [hit["name"] for hit in found["messages"]] == ["Carla", "Bob"]


async def test_hits_come_in_pages_the_newest_first(shop: Shop) -> None:
    await talk(shop)
    for number in range(5):
        await shop.take(received(f"match {number}", key_id=f"m{number}", **later(30 + number)))

    texts: list[str] = []
    cursor = ""
    while True:
        page = await search(shop, f"q=match&limit=2&cursor={cursor}")
        texts += [item["message_text"] for item in page["messages"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert texts == [f"match {number}" for number in (4, 3, 2, 1, 0)]


async def test_a_search_stays_within_the_chat_the_session_and_the_login(shop: Shop) -> None:
    await shop.take(received("here too", key_id="1"))
    await shop.take(received("here too", key_id="2", jid=parts.BOB_JID))
    await shop.take(received("here too", key_id="3"), 13)
    group = "120363000000000001@g.us"
    await shop.db.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, chat, message_text, wasender_session_id)"
        " VALUES ('g', '49151', $1, 'here too', 12)",
        group,
    )

    async def hits(query: str, **more: Any) -> set[tuple[int, str]]:
        found = await search(shop, f"q=here%20too&{query}", **more)
        return {(item["session_id"], item["chat"]) for item in found["messages"]}

    everywhere = {(12, parts.ANN_JID), (12, parts.BOB_JID), (13, parts.ANN_JID)}
    assert await hits("") == everywhere
    assert await hits("groups=1") == everywhere | {(12, group)}
    assert await hits("session=13") == {(13, parts.ANN_JID)}
    assert await hits(f"chat={ANN}") == {(12, parts.ANN_JID), (13, parts.ANN_JID)}
    assert await hits(f"session=12&chat={parts.BOB_JID}") == {(12, parts.BOB_JID)}
    limited = shop.gateway.token(Role.VIEWER, {13})
    assert await hits("", token=limited) == {(13, parts.ANN_JID)}


@pytest.mark.parametrize("query", ["", "q=", "q=%20", "q=x&limit=0", "q=x&cursor=abc", "q=%00"])
async def test_a_search_for_nothing_is_refused(shared_talk: Shop, query: str) -> None:
    code, reply = await shared_talk.gateway.call("GET", f"/api/search?{query}")
    assert (code, reply["code"]) == (422, "invalid")


@pytest.mark.parametrize("text", ODD)
async def test_what_is_typed_means_just_these_letters(shared_talk: Shop, text: str) -> None:
    found = await search(shared_talk, f"q={quote(text)}")
    assert [item["message_text"] for item in found["messages"]] == [f"with {text} in it"]
