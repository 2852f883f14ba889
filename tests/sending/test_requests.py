"""What the routes take, refuse and answer: one `client_id` is one message, bad input has one sentence."""

import asyncio
from typing import Any

import pytest

from gateway.domain.access import Role
from tests.sending.support import ANN, Shop, text


async def test_the_same_request_twice_is_one_message(shop: Shop) -> None:
    session_id = await shop.linked()
    body = text("a", "Hello")
    first = await shop.queue(session_id, body)

    status, again = await shop.post(session_id, body)

    assert (status, again["data"]["id"]) == (200, first["id"])
    await shop.until(first["id"], "read")
    status, later = await shop.post(session_id, body)
    assert (status, later["data"]["status"]) == (200, "read")
    assert len(await shop.sends()) == 1


async def test_the_same_request_is_known_after_what_it_quotes_was_erased(shop: Shop) -> None:
    session_id = await shop.linked()
    quoted = await shop.customer_writes(session_id, "Are you open?")
    body = text("a", "Yes", reply_to=f"in:{quoted['id']}")
    first = await shop.queue(session_id, body)
    await shop.until(first["id"], "read")
    await shop.db.execute("DELETE FROM whatsapp_incoming_messages WHERE id = $1", quoted["id"])

    status, again = await shop.post(session_id, body)
    other, _ = await shop.post(session_id, {**body, "client_id": "b"})

    assert (status, again.get("data", again).get("id"), other) == (200, first["id"], 422)


async def test_a_row_that_other_code_commits_meanwhile_with_the_same_client_id_is_a_conflict(
    shop: Shop,
) -> None:
    session_id = await shop.linked()
    transaction = shop.db.transaction()
    await transaction.start()
    await shop.db.execute(
        "INSERT INTO whatsapp_outgoing_messages"
        " (wasender_session_id, client_id, to_phone, message_text, origin, status)"
        " VALUES ($1, 'a', $2, 'From SQL', 'sql', 'queued')",
        session_id,
        ANN,
    )
    asked = asyncio.create_task(shop.post(session_id, text("a", "Hello")))
    await shop.eventually(
        lambda: shop.db.fetchval(
            "SELECT pid FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
        )
    )
    await transaction.commit()

    status, reply = await asked

    assert (status, reply["code"], list(reply["details"]["errors"])) == (409, "conflict", ["client_id"])
    assert [row["message_text"] for row in await shop.rows()] == ["From SQL"]


async def test_an_idempotency_key_stands_in_for_the_client_id(shop: Shop) -> None:
    session_id = await shop.linked()
    first = await shop.queue(session_id, {"text": "Hello"}, headers={"Idempotency-Key": "k1"})

    status, again = await shop.post(session_id, {"text": "Hello"}, headers={"Idempotency-Key": "k1"})

    assert (status, again["data"]["id"], again["data"]["client_id"]) == (200, first["id"], "k1")


async def test_the_same_client_id_with_another_body_is_a_conflict(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.queue(session_id, text("a", "Hello"))

    status, reply = await shop.post(session_id, text("a", "Goodbye"))
    other, _ = await shop.post(session_id, text("a", "Hello"), chat="15550009999")

    assert (status, reply["code"], other) == (409, "conflict", 409)
    assert len(await shop.rows()) == 1


async def test_two_sessions_may_use_one_client_id(shop: Shop) -> None:
    one, other = await shop.linked(), await shop.linked(phone_number="+15550001112")

    first, second = await shop.queue(one, text("a", "Hello")), await shop.queue(other, text("a", "Hello"))

    assert first["id"] != second["id"]
    await shop.until(second["id"], "read")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": "Hello"}, "client_id"),
        ({"client_id": "a" * 101, "text": "Hello"}, "client_id"),
        ({"client_id": "a"}, "text"),
        ({"client_id": "a", "text": " \n\t"}, "text"),
        ({"client_id": "a", "text": "x" * 4097}, "text"),
        ({"client_id": "a", "text": 5}, "text"),
        ({"client_id": "a", "location": {"latitude": 91, "longitude": 0}}, "location"),
        ({"client_id": "a", "contact": {"name": "Ben"}}, "contact"),
        ({"client_id": "a", "text": "Hello", "reply_to": "seven"}, "reply_to"),
        ({"client_id": "a", "text": "Hello", "reply_to": "in:999"}, "reply_to"),
        ({"client_id": "a", "text": "Hello", "mentions": "all"}, "mentions"),
        ({"client_id": "a", "text": "Hello", "seen": {"off": -1}}, "seen"),
        ({"client_id": "a", "text": "Hello", "send_at": "tomorrow"}, "send_at"),
        ({"client_id": "a", "text": "Hello", "send_at": "2099-01-01T00:00:00Z"}, "send_at"),
        ({"client_id": "a", "text": "Hello", "colour": "red"}, "colour"),
    ],
)
async def test_bad_input_has_one_sentence_and_names_the_field(
    shop: Shop, body: dict[str, Any], field: str
) -> None:
    session_id = await shop.linked()

    status, reply = await shop.post(session_id, body)

    assert (status, reply["code"], next(iter(reply["details"]["errors"]))) == (422, "invalid", field)
    assert await shop.rows() == []


@pytest.mark.parametrize(
    "chat", ["12", "00000000000", "abc@s.whatsapp.net", "15550002222@example.com", "+4930"]
)
async def test_a_number_that_no_country_has_is_refused(shop: Shop, chat: str) -> None:
    session_id = await shop.linked()

    status, reply = await shop.post(session_id, text("a", "Hello"), chat=chat)

    assert (status, list(reply["details"]["errors"])) == (422, ["chat"])


@pytest.mark.parametrize("written", ["030 901820", "+49 (30) 901820", "0049 30 901820", "4930901820"])
async def test_a_new_chat_is_a_number_in_any_form_of_the_sessions_country(shop: Shop, written: str) -> None:
    session_id = await shop.linked(phone_number="+4915112345678")

    row = await shop.queue(session_id, text("a", "Hello"), chat=written)

    assert (row["chat"], row["to_phone"]) == ("4930901820@s.whatsapp.net", "4930901820")
    await shop.until(row["id"], "read")


async def test_an_agent_sends_and_a_viewer_does_not(shop: Shop) -> None:
    session_id = await shop.linked()
    viewer, agent = shop.gateway.token(Role.VIEWER), shop.gateway.token(Role.AGENT, {session_id})
    stranger = shop.gateway.token(Role.AGENT, {session_id + 1})

    refused, _ = await shop.post(session_id, text("a", "Hello"), token=viewer)
    beyond, _ = await shop.post(session_id, text("a", "Hello"), token=stranger)
    row = await shop.queue(session_id, text("a", "Hello"), token=agent)

    assert (refused, beyond) == (403, 403)
    assert (row["origin"], row["created_by"]) == ("api", "Tester")


async def test_the_session_may_be_left_out_where_it_is_clear(shop: Shop) -> None:
    session_id = await shop.linked()

    status, reply = await shop.call("POST", f"/api/conversations/{ANN}/messages", text("a", "Hello"))
    await shop.linked(phone_number="+15550001112")
    clear, _ = await shop.call("POST", f"/api/conversations/{ANN}/messages", text("b", "Hello"))
    unclear, why = await shop.call("POST", "/api/conversations/15550009999/messages", text("c", "Hello"))

    assert (status, reply["data"]["session_id"], clear) == (202, session_id, 202)
    assert unclear == 422
    assert len(why["details"]["sessions"]) == 2


async def test_nothing_of_the_request_is_told_but_the_row(shop: Shop) -> None:
    session_id = await shop.linked()
    async with shop.gateway.socket() as socket:
        await socket.subscribe(f"inbox:{session_id}")
        row = await shop.queue(session_id, text("a", "Hello"))
        event = await socket.event("message.created")
        moved = await socket.event("message.status")

    for told in (row, event["data"], moved["data"]):
        assert not {"payload", "request_hash", "holder", "send_no", "due_at"} & set(told), told
    assert moved["data"]["status"] == "sending"


async def test_an_unknown_session_or_message_is_not_found(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.queue(session_id, text("a", "Hello"))

    unknown, _ = await shop.post(session_id + 7, text("a", "Hello"))
    path = f"/api/conversations/{ANN}/messages/999"
    answers = [
        (await shop.call(method, f"{path}{more}?session={session_id}", body))[0]
        for method, more, body in (
            ("PUT", "", {"text": "x"}),
            ("DELETE", "", None),
            ("POST", "/retry", None),
            ("POST", "/settle", {"sent": True}),
        )
    ]

    assert (unknown, answers) == (404, [404] * 4)
