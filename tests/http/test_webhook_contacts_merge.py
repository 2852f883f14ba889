"""One person, one conversation: whatever address came first, and however the others became known."""

from typing import Any

import pytest

from gateway.services.contacts.service import Contacts
from tests.http.support import INCOMING, OUTGOING, Shop, eventually
from tests.http.webhook_makers import (
    GROUP,
    NINA,
    OLEG,
    contact,
    element,
    group,
    jid,
    key,
    said,
    status,
    upsert,
)

PEOPLE, KNOWN_LATER, MESSAGES = 96, 85, 1276


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


async def listed(shop: Shop, query: str = "") -> dict[str, Any]:
    data = await shop.gateway.data("GET", f"/api/conversations?session=12&limit=200{query}")
    return {item["chat"]: item for item in data["conversations"]}


async def thread(shop: Shop, chat: str) -> list[Any]:
    data = await shop.gateway.data("GET", f"/api/conversations/{chat}/messages?session=12&limit=200")
    return [message["message_text"] for message in data["messages"]]


async def test_96_people_known_by_lid_only_stay_96_when_85_numbers_become_known(shop: Shop) -> None:
    lids = [f"77{number:013d}@lid" for number in range(PEOPLE)]
    phones = [f"49151{number:08d}" for number in range(PEOPLE)]
    texts = [
        [f"{person}: {count}" for count in range(MESSAGES // PEOPLE + (person < MESSAGES % PEOPLE))]
        for person in range(PEOPLE)
    ]
    for person, own in enumerate(texts):
        elements = [
            element(key(f"M{person}-{count}", lids[person]), {"conversation": text}, ago=9000 - count)
            for count, text in enumerate(own)
        ]
        await shop.take(upsert(*elements))
    assert await shop.db.fetchval(f"SELECT count(*) FROM {INCOMING}") == MESSAGES
    assert set(await listed(shop)) == set(lids)

    for person in range(KNOWN_LATER):
        lid, phone = lids[person], phones[person]
        if person % 3 == 0:  # a later message names both
            await shop.take(said(f"N{person}", lid, "number", senderPn=jid(phone), senderLid=lid))
            texts[person].append("number")
        elif person % 3 == 1:  # the address book
            await shop.take(contact(jid(phone), lid=lid, name=f"Person {person}"))
        else:  # upstream is asked
            await shop.gateway.gateway.repositories.contacts.tell(12, [_pair(lid, phone)])

    chats = [jid(phone) for phone in phones[:KNOWN_LATER]] + lids[KNOWN_LATER:]
    await eventually(lambda: _all_in(shop, set(chats)), what="96 conversations")
    for person, chat in enumerate(chats):
        assert sorted(await thread(shop, chat)) == sorted(texts[person]), chat
        assert sorted(await thread(shop, lids[person])) == sorted(texts[person]), "under the address before"
    assert await shop.db.fetchval(f"SELECT count(*) FROM {INCOMING} WHERE chat LIKE '%@lid'") == sum(
        map(len, texts[KNOWN_LATER:])
    )


async def _all_in(shop: Shop, chats: set[str]) -> bool:
    return set(await listed(shop)) == chats


def _pair(lid: str, phone: str) -> Any:
    from gateway.domain.contacts import LidResolved

    return LidResolved(lid, phone)


async def test_a_number_that_upstream_knows_is_asked_for_once(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    asked: list[str] = []

    async def tell(_: str, lid: str) -> str | None:
        asked.append(lid)
        return NINA if lid.startswith("5") else None

    source = type("Source", (), {"get_phone_of_lid": staticmethod(tell), "get_contacts": _no_contacts})()
    people = Contacts(shop.gateway.gateway.repositories.contacts, source, lookup_pause_s=0.0)
    secret = (await shop.gateway.data("GET", f"/api/whatsapp-sessions/{session_id}?reveal=secrets"))[
        "webhook_secret"
    ]
    for lid in ("5500000000001@lid", "6600000000001@lid", "5500000000001@lid"):
        body = said(f"M{len(asked)}{lid}", lid)
        assert (await shop.post(body, secret=secret, path=f"/api/whatsapp/webhook/{session_id}"))[0] == 200
    await shop.db.execute("UPDATE whatsapp_sessions SET status = 'connected'")

    for _ in range(3):
        await people.ask()
    assert sorted(asked) == ["5500000000001@lid", "6600000000001@lid"]
    chats = await shop.db.fetch(f"SELECT DISTINCT chat FROM {INCOMING} ORDER BY 1")
    assert [row["chat"] for row in chats] == [jid(NINA), "6600000000001@lid"]


async def _no_contacts(*_: Any) -> tuple[list[Any], bool]:
    return [], False


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("5531987650001", "553187650001"),
        ("553187650001", "5531987650001"),
        ("525512340001", "5215512340001"),
        ("5215512340001", "525512340001"),
        ("5491123450001", "541123450001"),
        ("541123450001", "5491123450001"),
    ],
)
async def test_two_spellings_of_a_number_are_one_conversation(shop: Shop, first: str, second: str) -> None:
    await shop.take(said("A", first, "hello", mine=True))
    await shop.take(said("B", second, "hi", ago=50))

    assert set(await listed(shop)) == {jid(first)}
    for address in (first, second, jid(second)):
        assert await thread(shop, address) == ["hello", "hi"]
        one = await shop.gateway.data("GET", f"/api/conversations/{address}?session=12")
        assert one["chat"] == jid(first)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("551132123456", "5511932123456"),
        ("4915112345671", "491512345671"),
        ("5511987650001", "5521987650001"),
    ],
)
async def test_two_numbers_that_only_look_alike_are_two_people(shop: Shop, first: str, second: str) -> None:
    await shop.take(said("A", first))
    await shop.take(said("B", second))

    assert len(await listed(shop)) == 2


async def test_spellings_that_another_writer_left_apart_come_together(fresh_shop: Shop) -> None:
    for number, phone in enumerate(("553187650009", "5531987650009")):
        await fresh_shop.db.execute(
            "INSERT INTO whatsapp_incoming_messages (message_id, wasender_session_id, from_phone, message_text,"
            " received_at) VALUES ($1, 12, $2, 'fresh_shop', now())",
            f"S{number}",
            phone,
        )
    await eventually(lambda: _has_listed(fresh_shop, 2), what="the list")

    store = fresh_shop.gateway.gateway.repositories.contacts
    await store.find_moves()
    while await store.move_some(1000):
        pass
    assert len(await listed(fresh_shop)) == 1


async def _has_listed(shop: Shop, count: int) -> bool:
    return int(await shop.db.fetchval("SELECT count(*) FROM gateway.conversations")) == count


async def test_a_merge_is_told_to_browsers_in_steps_of_1000(shop: Shop) -> None:
    lid = "770000000009999@lid"
    await shop.db.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, wasender_session_id, chat, from_phone, received_at)"
        " SELECT 'L' || n, 12, $1, $1, now() FROM generate_series(1, 2500) AS n",
        lid,
    )
    before = await shop.db.fetchval("SELECT off FROM gateway.inboxes WHERE inbox = 12")
    await shop.take(contact(jid(NINA), lid=lid))
    await eventually(lambda: _none_left(shop, lid), what="the move")

    steps = await shop.db.fetch(
        "SELECT count(*) AS n FROM gateway.stream WHERE inbox = 12 AND off > $1 AND op = 'UPDATE'"
        " AND record ->> 'chat' = $2 GROUP BY date_trunc('milliseconds', at) ORDER BY 1 DESC",
        before,
        jid(NINA),
    )
    assert sum(row["n"] for row in steps) == 2500
    assert steps[0]["n"] <= 1000


async def _none_left(shop: Shop, lid: str) -> bool:
    return int(await shop.db.fetchval(f"SELECT count(*) FROM {INCOMING} WHERE chat = $1", lid)) == 0


# ------------------------------------------------------------------------------------------ names


async def test_names_come_from_the_address_book_and_empty_ones_change_nothing(shop: Shop) -> None:
    await shop.take(upsert(element(key("A", NINA), {"conversation": "x"}, pushName="Nina!")))
    await shop.take(upsert(element(key("B", NINA), {"conversation": "y"}, pushName="  ", ago=5)))
    assert (await listed(shop))[jid(NINA)]["name"] == "Nina!"
    await shop.take(contact(jid(NINA), name="Nina Baker", notify="nn"))
    await shop.take(contact(jid(NINA), name=None, imgUrl="changed"))

    assert (await listed(shop))[jid(NINA)]["name"] == "Nina Baker"
    assert set(await listed(shop, "&search=baker")) == {jid(NINA)}


async def test_groups_have_a_filter_of_their_own_and_names(shop: Shop) -> None:
    await shop.take(said("A", NINA))
    await shop.take(upsert(element(key("G", GROUP, by=OLEG), {"conversation": "bread"}, pushName=None)))
    await shop.take(group((OLEG, "admin"), subject="Night shift"))
    await shop.take(contact(jid(OLEG), name="Oleg Miller"))

    assert set(await listed(shop)) == {jid(NINA)}
    groups = await listed(shop, "&filter=groups")
    assert {chat: item["name"] for chat, item in groups.items()} == {GROUP: "Night shift"}
    data = await shop.gateway.data("GET", f"/api/conversations/{GROUP}/messages?session=12")
    assert [message["sender_name"] for message in data["messages"]] == ["Oleg Miller"]


@pytest.mark.parametrize(
    "chat",
    [
        "Front desk",
        "a/b",
        "x/messages",
        "50% off?",
        "#1",
        "ünï çødé",
        "12 34",
        "123",
        "+49 151",
        "a@b@c",
        "read",
    ],
)
async def test_every_listed_chat_can_be_opened(shop: Shop, chat: str) -> None:
    from urllib.parse import quote

    await shop.db.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, wasender_session_id, chat, from_phone, message_text,"
        " received_at) VALUES ('S', 12, $1, $1, 'hello', now())",
        chat,
    )
    assert set(await listed(shop)) == {chat}
    assert await thread(shop, quote(chat, safe="")) == ["hello"]
    one = await shop.gateway.data("GET", f"/api/conversations/{quote(chat, safe='')}?session=12")
    assert one["chat"] == chat


# ------------------------------------------------------------------------------------------ time


@pytest.mark.parametrize("first_is_mine", [True, False])
async def test_within_one_second_the_order_is_that_of_arrival(shop: Shop, first_is_mine: bool) -> None:
    await shop.take(said("A", NINA, "first", mine=first_is_mine))
    await shop.take(said("B", NINA, "second", mine=not first_is_mine))

    assert await thread(shop, NINA) == ["first", "second"]
    one = (await listed(shop))[jid(NINA)]
    assert (one["replied"], one["last_message"]["message_text"]) == (not first_is_mine, "second")
    assert (jid(NINA) in await listed(shop, "&filter=unreplied")) == first_is_mine


@pytest.mark.parametrize("first_is_mine", [True, False])
async def test_the_order_of_arrival_holds_within_one_webhook_too(shop: Shop, first_is_mine: bool) -> None:
    both = [
        element(key(name, NINA, mine=mine), {"conversation": name})
        for name, mine in (("A", first_is_mine), ("B", not first_is_mine))
    ]
    await shop.take(upsert(*both))

    assert await thread(shop, NINA) == ["A", "B"]
    assert (await listed(shop))[jid(NINA)]["replied"] == (not first_is_mine)


@pytest.mark.parametrize(("first", "later"), [("connected", "logged_out"), ("logged_out", "connected")])
async def test_an_old_status_never_beats_a_newer_one(shop: Shop, first: str, later: str) -> None:
    await shop.take(status(first, ago=30))
    await shop.take(status(later, ago=20))
    await shop.take(status(first, ago=3600))

    assert (
        await shop.db.fetchval("SELECT status FROM whatsapp_sessions WHERE wasender_session_id = 12") == later
    )
    assert (await shop.last_entry())["outcome"] == "ignored"


async def test_a_status_without_a_time_is_asked_for_and_the_answer_counts(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    secret = (await shop.gateway.data("GET", f"/api/whatsapp-sessions/{session_id}?reveal=secrets"))[
        "webhook_secret"
    ]
    await shop.db.execute("UPDATE whatsapp_sessions SET status = 'connected'")
    path = f"/api/whatsapp/webhook/{session_id}"
    assert (await shop.post(status("expired", ago=None), secret=secret, path=path))[0] == 200

    async def word() -> Any:
        return await shop.db.fetchval("SELECT status FROM whatsapp_sessions")

    assert await eventually(word, lambda found: found != "connected", "the answer") == "disconnected"


async def test_a_status_of_5000_characters_is_shortened(shop: Shop) -> None:
    await shop.take(status("x" * 5000))

    assert (
        await shop.db.fetchval("SELECT status FROM whatsapp_sessions WHERE wasender_session_id = 12")
        == "x" * 50
    )


@pytest.mark.parametrize(
    "body", [{"event": "webhook.test"}, {"event": "messages.received", "data": {"test": True}}]
)
async def test_a_test_is_journalled_and_marks_the_webhook_as_working(
    shop: Shop, body: dict[str, Any]
) -> None:
    await shop.take(body)

    assert (await shop.rows(), await shop.rows(OUTGOING)) == ([], [])
    assert (await shop.last_entry())["outcome"] == "ignored"
    seen = "SELECT webhook_seen_at FROM gateway.session_state WHERE wasender_session_id = 12"
    await eventually(lambda: shop.db.fetchval(seen), what="the mark")


@pytest.mark.parametrize("linked_first", [True, False])
async def test_a_contact_told_under_a_lid_names_the_conversation_of_the_number(
    shop: Shop, linked_first: bool
) -> None:
    lid = f"99001122000{int(linked_first)}001@lid"
    bodies = [
        said("A", lid, "hello", senderPn=jid(NINA)),
        contact(lid, name="Nina of the bakery"),
    ]
    for body in bodies if linked_first else bodies[::-1]:
        await shop.take(body)

    assert (await listed(shop))[jid(NINA)]["name"] == "Nina of the bakery"


async def test_a_contact_told_under_another_spelling_names_the_conversation(shop: Shop) -> None:
    await shop.take(said("A", "5531987650009", "hello"))
    await shop.take(contact(jid("553187650009"), name="Rute"))

    assert (await listed(shop))[jid("5531987650009")]["name"] == "Rute"
