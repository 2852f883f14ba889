"""`?position=page`: a page names its own inboxes, and one word stands for all others."""

from typing import Any

import pytest

from gateway.domain.access import Role
from tests.http.support import Shop, received

BOB = "4915199@s.whatsapp.net"


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


async def page(shop: Shop, query: str = "limit=1", **more: Any) -> dict[str, Any]:
    return dict(await shop.gateway.data("GET", f"/api/conversations?position=page&{query}", **more))


async def fill(shop: Shop) -> None:
    await shop.take(received("of thirteen", key_id="a"), 13)
    await shop.take(received("of twelve", key_id="b"), 12)


async def test_a_page_names_its_inboxes_and_the_old_form_all(shop: Shop) -> None:
    await fill(shop)
    short = await page(shop, "limit=1&session=12")
    assert set(short["position"]) == {"12", "*"}
    long = await shop.gateway.data("GET", "/api/conversations?limit=1")
    assert {"12", "13"} <= set(long["position"])
    assert "*" not in long["position"]


async def test_all_others_begin_at_the_snapshot_of_the_page(fresh_shop: Shop) -> None:
    await fill(fresh_shop)
    found = await page(fresh_shop, "limit=1&session=12")
    await fresh_shop.take(received("missed of thirteen", key_id="c"), 13)
    await fresh_shop.take(received("missed of twelve", key_id="d"), 12)

    async with fresh_shop.gateway.socket() as socket:
        await socket.send(type="subscribe", ref="1", topic="inbox:*", after=found["position"])
        events = [await socket.next("event") for _ in range(2)]
        subscribed = await socket.next("subscribed")
        await fresh_shop.take(received("live of thirteen", key_id="e"), 13)
        live = await socket.next("event")
    texts = {frame["data"]["message_text"]: frame["off"] for frame in events}
    assert texts == {"missed of thirteen": 2, "missed of twelve": 2}
    assert {"12", "13"} <= set(subscribed["tops"])
    assert (live["data"]["message_text"], live["off"]) == ("live of thirteen", 3)


async def test_what_has_not_moved_is_not_named(fresh_shop: Shop) -> None:
    await fill(fresh_shop)
    # Of the last two hundred transactions all are named: so far behind may a gateway's own reading be.
    for _ in range(250):
        await fresh_shop.db.execute("SELECT pg_current_xact_id()")
    found = await page(fresh_shop, "limit=1&session=12")
    async with fresh_shop.gateway.socket() as socket:
        await socket.send(type="subscribe", ref="1", topic="inbox:*", after=found["position"])
        assert set((await socket.next("subscribed"))["tops"]) == {"12"}
        await fresh_shop.take(received("now", key_id="c"), 13)
        assert (await socket.next("event"))["off"] == 2


async def test_a_commit_that_the_page_did_not_see_is_told_however_early_it_began(shop: Shop) -> None:
    """A transaction that was open while the page was read, and numbered its changes before."""
    await fill(shop)
    async with shop.db.transaction():
        await shop.db.execute(
            "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text, wasender_session_id)"
            " VALUES ('open', '49151', 'of an open transaction', 13)"
        )
        await shop.db.execute("SET CONSTRAINTS ALL IMMEDIATE")
        found = await page(shop, "limit=1&session=12")
    async with shop.gateway.socket() as socket:
        await socket.send(type="subscribe", ref="1", topic="inbox:*", after=found["position"])
        assert (await socket.next("event"))["data"]["message_text"] == "of an open transaction"


async def test_an_inbox_that_was_begun_anew_since_is_reset(shop: Shop) -> None:
    await fill(shop)
    found = await page(shop, "limit=1&session=12")
    await shop.db.execute(
        "UPDATE gateway.inboxes SET epoch = gen_random_uuid(), off = 7, floor = 7 WHERE inbox = 13"
    )
    async with shop.gateway.socket() as socket:
        await socket.send(type="subscribe", ref="1", topic="inbox:*", after=found["position"])
        reset = await socket.next("reset")
        assert (reset["topic"], reset["reason"], reset["off"]) == ("inbox:13", "epoch_changed", 7)
        await socket.next("subscribed")


async def test_a_word_of_another_history_resets_all_it_stands_for(shop: Shop) -> None:
    await fill(shop)
    found = await page(shop, "limit=1&session=12")
    seen = found["position"]["*"].partition(";")[0]
    async with shop.gateway.socket() as socket:
        await socket.send(
            type="subscribe", ref="1", topic="inbox:*", after={**found["position"], "*": f"{seen};another"}
        )
        assert (await socket.next("reset"))["topic"] != "inbox:12"
        await socket.next("subscribed")


@pytest.mark.parametrize("word", ["nonsense", 7, None, "1:2", "1:2:x;h", ["1:2:;h"], "9:1:;h"])
async def test_a_word_that_no_page_gave_out_is_refused(shop: Shop, word: object) -> None:
    await fill(shop)
    async with shop.gateway.socket() as socket:
        await socket.send(type="subscribe", ref="1", topic="inbox:*", after={"*": word})
        assert (await socket.next("error"))["ref"] == "1"


async def test_a_limited_login_is_told_of_its_own_inboxes(fresh_shop: Shop) -> None:
    await fill(fresh_shop)
    token = fresh_shop.gateway.token(Role.VIEWER, {13})
    found = await page(fresh_shop, "limit=1", token=token)
    await fresh_shop.take(received("secret", key_id="c"), 12)
    await fresh_shop.take(received("mine", key_id="d"), 13)
    async with fresh_shop.gateway.socket(token) as socket:
        await socket.send(type="subscribe", ref="1", topic="inbox:*", after=found["position"])
        assert (await socket.next("event"))["data"]["message_text"] == "mine"
        assert set((await socket.next("subscribed"))["tops"]) == {"13"}


async def page_of_twelve(shop: Shop) -> dict[str, Any]:
    """A page for which inbox 13 is one of the others, and so long ago that nothing of it is named."""
    await fill(shop)
    for _ in range(250):
        await shop.db.execute("SELECT pg_current_xact_id()")
    return dict((await page(shop, "limit=1&session=12"))["position"])


async def texts(socket: Any, count: int) -> list[tuple[str, int]]:
    """The next so many events: what they say, and their offsets."""
    events = [await socket.next("event") for _ in range(count)]
    return [(event["data"]["message_text"], event["off"]) for event in events]


async def test_one_of_the_others_goes_on_when_its_own_topic_ends(fresh_shop: Shop) -> None:
    after = await page_of_twelve(fresh_shop)
    async with fresh_shop.gateway.socket() as socket:
        await socket.send(type="subscribe", ref="1", topic="inbox:*", after=after)
        await socket.next("subscribed")
        await socket.subscribe("inbox:13")
        await fresh_shop.take(received("covered twice", key_id="c"), 13)
        assert await texts(socket, 1) == [("covered twice", 2)]
        await socket.send(type="unsubscribe", topic="inbox:13")
        await socket.next("unsubscribed")
        await fresh_shop.take(received("covered once", key_id="d"), 13)
        assert await texts(socket, 1) == [("covered once", 3)]
        await socket.send(type="unsubscribe", topic="inbox:*")
        await socket.next("unsubscribed")
        await fresh_shop.take(received("covered no more", key_id="e"), 13)
        await socket.subscribe("inbox:12")
        await fresh_shop.take(received("of twelve", key_id="f"), 12)
        assert await texts(socket, 1) == [("of twelve", 2)]


async def test_its_own_topic_replays_and_the_others_are_told_nothing_twice(fresh_shop: Shop) -> None:
    after = await page_of_twelve(fresh_shop)
    async with fresh_shop.gateway.socket() as socket:
        await socket.send(type="subscribe", ref="1", topic="inbox:*", after=after)
        await socket.next("subscribed")
        position = (await fresh_shop.gateway.data("GET", "/api/conversations"))["position"]["13"]
        await socket.send(type="subscribe", ref="2", topic="inbox:13", after={**position, "off": 0})
        assert await texts(socket, 1) == [("of thirteen", 1)]
        await socket.next("subscribed")
        await fresh_shop.take(received("live", key_id="c"), 13)
        assert await texts(socket, 1) == [("live", 2)]


async def test_what_comes_while_the_subscribe_looks_is_told_once(
    fresh_shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    after = await page_of_twelve(fresh_shop)
    streams = fresh_shop.gateway.gateway.repositories.streams
    asked, taken = streams.moved_since, list[int]()

    async def moves_meanwhile(*given: Any) -> Any:
        found = await asked(*given)
        if not taken:
            taken.append(13)
            await fresh_shop.take(received("meanwhile", key_id="c"), 13)
            await fresh_shop.db.execute(
                "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text, wasender_session_id)"
                " VALUES ('new', '49151', 'of a new inbox', 14)"
            )
            async with fresh_shop.gateway.socket() as witness:
                await witness.send(type="subscribe", ref="1", topic="inbox:*", after={})
                while (await texts(witness, 1))[0][0] != "of a new inbox":
                    pass
        return found

    monkeypatch.setattr(streams, "moved_since", moves_meanwhile)
    async with fresh_shop.gateway.socket() as socket:
        await socket.send(type="subscribe", ref="1", topic="inbox:*", after=after)
        assert set(await texts(socket, 2)) == {("meanwhile", 2), ("of a new inbox", 1)}
        await socket.next("subscribed")
        await fresh_shop.take(received("then", key_id="d"), 13)
        assert await texts(socket, 1) == [("then", 3)]


async def test_a_history_that_begins_anew_later_resets_one_of_the_others(fresh_shop: Shop) -> None:
    after = await page_of_twelve(fresh_shop)
    async with fresh_shop.gateway.socket() as socket:
        await socket.send(type="subscribe", ref="1", topic="inbox:*", after=after)
        await socket.next("subscribed")
        await fresh_shop.db.execute(
            "UPDATE gateway.inboxes SET epoch = gen_random_uuid(), off = 7, floor = 7 WHERE inbox = 13"
        )
        await fresh_shop.take(received("anew", key_id="c"), 13)
        reset = await socket.next("reset")
        assert (reset["topic"], reset["reason"]) == ("inbox:13", "epoch_changed")


async def test_a_login_that_is_renewed_covers_the_others_it_names_and_no_more(fresh_shop: Shop) -> None:
    await page_of_twelve(fresh_shop)
    narrow, wide = (fresh_shop.gateway.token(Role.VIEWER, sessions) for sessions in ({12}, {12, 13}))
    after = (await page(fresh_shop, "limit=1", token=narrow))["position"]
    async with fresh_shop.gateway.socket(narrow) as socket:
        await socket.send(type="subscribe", ref="1", topic="inbox:*", after=after)
        await socket.next("subscribed")
        await socket.send(type="auth", token=wide)
        assert "13" in (await socket.next("subscribed"))["tops"]
        await fresh_shop.take(received("now mine", key_id="c"), 13)
        assert await texts(socket, 1) == [("now mine", 2)]
        await socket.send(type="auth", token=narrow)
        await fresh_shop.take(received("not mine", key_id="d"), 13)
        await fresh_shop.take(received("still mine", key_id="e"), 12)
        assert await texts(socket, 1) == [("still mine", 2)]
