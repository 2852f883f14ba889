"""Marks of conversations: taken once, done until the customer writes, told to browsers, and counted."""

import asyncio
import os
from typing import Any

import pytest

from gateway.domain.access import Principal, Role
from tests.http.media_parts import linked_number
from tests.http.support import Shop, eventually, received
from tests.realtime.phoenix import phoenix
from tests.unit.wasender import payload_parts as parts

ANN, BOB = parts.ANN, parts.BOB
PATH = f"/api/conversations/{ANN}?session=12"


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


def later(seconds: int) -> dict[str, Any]:
    return {"messageTimestamp": parts.SENT_S + seconds}


def agent(shop: Shop, sub: str, role: Role = Role.AGENT) -> str:
    return shop.gateway.gateway.access.login.issue(Principal(sub, sub.title(), role, None), 600)[0]


async def put(shop: Shop, body: Any, sub: str = "ann", role: Role = Role.AGENT) -> tuple[int, Any]:
    return await shop.gateway.call("PUT", PATH, body, token=agent(shop, sub, role))


async def listed(shop: Shop, which: str, sub: str = "ann") -> list[str]:
    data = await shop.gateway.data("GET", f"/api/conversations?filter={which}", token=agent(shop, sub))
    return [item["phone"] for item in data["conversations"]]


async def totals(shop: Shop, sub: str = "ann", query: str = "") -> dict[str, int]:
    page = await shop.gateway.data("GET", f"/api/conversations?limit=1&{query}", token=agent(shop, sub))
    return dict(page["totals"])


async def test_a_conversation_is_taken_by_one_and_a_colleague_is_told_who_has_it(shop: Shop) -> None:
    await shop.take(received())

    status, reply = await put(shop, {"owner": "ann"})
    assert (status, reply["data"]["owner"], reply["data"]["owner_name"]) == (200, "ann", "Ann")
    status, reply = await put(shop, {"owner": "bob"}, "bob")
    assert (status, reply["code"]) == (409, "conflict")
    assert reply["details"] == {"owner": "ann", "owner_name": "Ann"}
    assert "Ann" in reply["error"]
    status, reply = await put(shop, {"owner": None}, "bob")
    assert status == 409
    assert (await put(shop, {"owner": "ann"}, "bob"))[0] == 200  # it is so already
    assert (await listed(shop, "mine"), await listed(shop, "free")) == ([ANN], [])
    assert await listed(shop, "mine", "bob") == []

    status, reply = await put(shop, {"owner": "bob"}, "boss", Role.ADMIN)
    assert (status, reply["data"]["owner"]) == (200, "bob")
    assert (await put(shop, {"owner": None}, "bob"))[0] == 200
    assert await listed(shop, "free") == [ANN]


async def test_done_lasts_until_the_customer_writes_again(shop: Shop) -> None:
    await shop.take(received("question", key_id="1"))
    assert await listed(shop, "unreplied") == [ANN]

    _, reply = await put(shop, {"done": True})
    assert reply["data"]["done"] is True
    assert (await listed(shop, "unreplied"), await listed(shop, "done")) == ([], [ANN])
    assert (await listed(shop, "all"), await listed(shop, "free")) == ([ANN], [])

    await shop.take(received("one more", key_id="2", **later(-3600)))  # WhatsApp delivered it late
    assert (await listed(shop, "unreplied"), await listed(shop, "done")) == ([ANN], [])
    await put(shop, {"done": True})
    await put(shop, {"done": False})
    assert await listed(shop, "done") == []


async def test_unread_is_for_everybody_and_reading_takes_it_back(shop: Shop) -> None:
    await shop.take(received())
    await shop.gateway.data("POST", f"/api/conversations/{ANN}/read?session=12")
    assert await listed(shop, "unread") == []

    _, reply = await put(shop, {"unread": True})
    assert (reply["data"]["unread"], reply["data"]["marked_unread"]) == (1, True)
    assert await listed(shop, "unread", "bob") == [ANN]
    await shop.gateway.data("POST", f"/api/conversations/{ANN}/read?session=12")
    assert await listed(shop, "unread") == []
    await put(shop, {"unread": True})
    await shop.take(received("new", key_id="2"))
    _, reply = await put(shop, {"unread": False})
    assert (reply["data"]["unread"], reply["data"]["marked_unread"]) == (0, False)


async def test_a_name_given_here_is_shown_and_found(shop: Shop) -> None:
    await shop.take(received(pushName="xX_ann_Xx"))
    _, reply = await put(shop, {"name": " Ann from the bakery "})
    assert reply["data"]["name"] == "Ann from the bakery"
    found = await shop.gateway.data("GET", "/api/search?q=bakery")
    assert [item["name"] for item in found["conversations"]] == ["Ann from the bakery"]
    _, reply = await put(shop, {"name": None})
    assert reply["data"]["name"] == "xX_ann_Xx"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"nonsense": 1},
        {"done": "yes"},
        {"done": None},
        {"unread": 1},
        {"owner": ""},
        {"owner": 7},
        {"owner": "user:999999"},
        {"owner": "a" * 256},
        {"name": "two\nlines"},
        {"name": ""},
        {"name": "x" * 256},
        {"blocked": "true"},
    ],
)
async def test_what_cannot_be_meant_is_refused_and_changes_nothing(shop: Shop, body: Any) -> None:
    await shop.take(received())
    status, reply = await put(shop, {**body, "session": 12})
    assert (status, reply["code"], bool(reply["error"])) == (422, "invalid", True)
    assert (await shop.one("SELECT count(*) AS n FROM gateway.conversation_marks"))["n"] == 0


async def test_a_chat_without_messages_has_no_marks(shop: Shop) -> None:
    assert (await put(shop, {"done": True}))[0] == 404


async def test_every_change_stands_in_the_sessions_log(shop: Shop) -> None:
    await shop.take(received())
    await put(shop, {"owner": "ann", "done": True})
    await put(shop, {"owner": "ann", "done": True})  # nothing new
    logs = await shop.gateway.data("GET", "/api/whatsapp-sessions/12/logs?event_type=conversation_marked")
    (row,) = logs["logs"] if isinstance(logs, dict) else logs
    assert row["metadata"]["sub"] == "ann"
    assert row["metadata"]["changes"] == {"owner": "ann", "done": True}
    assert row["metadata"]["chat"] == parts.ANN_JID


async def test_browsers_of_both_dialects_are_told_in_the_order_of_the_stream(shop: Shop) -> None:
    await shop.take(received())
    page = await shop.gateway.data("GET", PATH)
    async with shop.gateway.socket() as socket, phoenix(shop.gateway, shop.gateway.token()) as client:
        await socket.send(type="subscribe", ref="1", topic="inbox:12", after=page["position"]["12"])
        await socket.next("subscribed")
        await client.join("shop", {"event": "*", "schema": "gateway", "table": "conversation_marks"})
        await client.system()

        await put(shop, {"owner": "ann", "name": "Ann B."})
        frame = await socket.next("event")
        change = await client.change()

        await shop.take(received("next", key_id="2"))
        following = await socket.next("event")
    off = page["position"]["12"]["off"]
    assert (frame["event"], frame["off"], frame["topic"]) == ("conversation.updated", off + 1, "inbox:12")
    assert frame["data"] == {
        "session_id": 12,
        "chat": parts.ANN_JID,
        "phone": ANN,
        "owner": "ann",
        "owner_name": "Ann",
        "name": "Ann B.",
        "done_at": None,
        "marked_unread_at": None,
        "blocked_at": None,
    }
    assert (following["event"], following["off"]) == ("message.created", off + 2)
    assert (change["schema"], change["table"], change["type"]) == ("gateway", "conversation_marks", "UPDATE")
    assert (change["record"]["owner"], change["record"]["chat"]) == ("ann", parts.ANN_JID)

    async with shop.gateway.socket() as socket:  # a client that comes back is told again
        await socket.send(type="subscribe", ref="1", topic="inbox:12", after=page["position"]["12"])
        assert (await socket.next("event"))["event"] == "conversation.updated"


async def test_marks_of_a_hidden_number_follow_its_conversation(shop: Shop) -> None:
    lid = "77@lid"
    await shop.take(received("who am I?", key_id="1", jid=lid))
    path = f"/api/conversations/{lid}?session=12"
    await shop.gateway.data("PUT", path, {"owner": "ann", "done": True, "name": "Stranger"})
    await shop.db.execute("SELECT gateway.learn_lids_v2(ARRAY[$1], ARRAY[$2])", lid, ANN)

    async def moved() -> bool:
        item = await shop.gateway.data("GET", PATH)
        return (item["owner"], item["done"], item["name"]) == ("ann", True, "Stranger")

    await eventually(moved)
    rows = await shop.db.fetch("SELECT chat FROM gateway.conversation_marks")
    assert [row["chat"] for row in rows] == [parts.ANN_JID]
    assert await listed(shop, "mine") == []
    assert await listed(shop, "done") == [ANN]


async def test_totals_say_how_many_each_filter_finds(shop: Shop) -> None:
    for number, jid in enumerate([parts.ANN_JID, parts.BOB_JID, "49151@s.whatsapp.net", "1-2@g.us"]):
        await shop.db.execute(
            "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, chat, wasender_session_id)"
            " VALUES ($1, '49151', $2, 12)",
            f"m{number}",
            jid,
        )
    await shop.take(received(key_id="other"), 13)
    await put(shop, {"owner": "ann"})
    await shop.gateway.data("POST", f"/api/conversations/{BOB}/read?session=12")
    await shop.gateway.data("PUT", f"/api/conversations/{BOB}?session=12", {"done": True})

    every = {"all": 4, "unread": 3, "unreplied": 3, "mine": 1, "free": 2, "groups": 1, "done": 1}
    assert await totals(shop) == every
    assert await totals(shop, "bob") == every | {"mine": 0}
    other = dict.fromkeys(every, 0) | {"all": 1, "unread": 1, "unreplied": 1, "free": 1}
    assert await totals(shop, query="session=13") == other
    assert await totals(shop, query="filter=done&search=nothing") == every
    limited = shop.gateway.token(Role.VIEWER, {13})
    page = await shop.gateway.data("GET", "/api/conversations", token=limited)
    assert page["totals"]["all"] == 1


async def test_of_twenty_agents_at_once_one_gets_each_conversation(shop: Shop) -> None:
    """Each conversation is wanted by twenty at the same moment; every refusal names the one who has it.

    `CONTESTED_CHATS=1000` is what was shown once: twenty thousand requests, some minutes.
    """
    chats = int(os.environ.get("CONTESTED_CHATS", "20"))
    await shop.db.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, wasender_session_id)"
        " SELECT 'm' || n, (490000000000 + n)::text, 12 FROM generate_series(1, $1) AS n",
        chats,
    )
    won: dict[int, list[str]] = {number: [] for number in range(1, chats + 1)}
    named: dict[int, set[str]] = {number: set() for number in won}

    async def want(sub: str) -> None:
        headers = {"Authorization": f"Bearer {agent(shop, sub)}"}
        for number in won:
            url = f"{shop.gateway.url}/api/conversations/{490000000000 + number}?session=12"
            while True:
                async with shop.http.put(url, json={"owner": sub}, headers=headers) as reply:
                    body = await reply.json()
                    if reply.status == 429:
                        await asyncio.sleep(float(reply.headers["Retry-After"]))
                        continue
                    break
            if reply.status == 200:
                won[number].append(sub)
            else:
                assert (reply.status, body["code"]) == (409, "conflict"), body
                named[number].add(body["details"]["owner"])

    async with asyncio.timeout(900), asyncio.TaskGroup() as group:
        for place in range(20):
            group.create_task(want(f"agent{place}"))

    assert {number: winners for number, winners in won.items() if len(winners) != 1} == {}
    assert {number for number in won if not named[number] <= set(won[number])} == set()
    rows = await shop.db.fetch("SELECT owner, chat FROM gateway.conversation_marks WHERE owner IS NOT NULL")
    assert {int(row["chat"].partition("@")[0]) - 490000000000: row["owner"] for row in rows} == {
        number: winners[0] for number, winners in won.items()
    }


async def test_blocking_is_upstreams_word_first(shop: Shop) -> None:
    post = await linked_number(shop)
    await shop.db.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, wasender_session_id) VALUES ('x', $1, $2)",
        ANN,
        post.session_id,
    )
    path = f"/api/conversations/{ANN}?session={post.session_id}"

    async def asked_upstream() -> list[str]:
        calls = await shop.gateway.data("GET", "/_simulator/calls", token="")
        return sorted(
            action
            for action in ("block", "unblock")
            if any(call["path"].endswith(f"/{action}") for call in calls)
        )

    assert (await shop.gateway.data("PUT", path, {"blocked": True}))["blocked"] is True
    assert await asked_upstream() == ["block"]
    assert (await shop.gateway.data("PUT", path, {"blocked": False}))["blocked"] is False
    assert await asked_upstream() == ["block", "unblock"]
    await shop.gateway.data(
        "POST",
        "/_simulator/faults",
        {"path": f"/api/contacts/{ANN}/block", "status": 500, "times": 9},
        token="",
    )
    status, reply = await shop.gateway.call("PUT", path, {"blocked": True})
    assert (status, reply["code"]) == (502, "upstream_error")
    assert (await shop.gateway.data("GET", path))["blocked"] is False
