"""WasenderAPI's own addresses: a bot that knows no others gets the queue and the pace without a change."""

from gateway.domain.access import Role
from tests.sending.support import ANN, Shop


async def test_a_message_goes_into_the_queue_and_its_state_comes_from_there(shop: Shop) -> None:
    session_id = await shop.linked()
    token = shop.gateway.token(Role.AGENT, {session_id})

    status, reply = await shop.call(
        "POST", "/api/send-message", {"to": f"+{ANN}", "text": "Hello"}, token=token
    )

    assert (status, reply["success"], reply["data"]["status"]) == (200, True, "in_progress")
    number = reply["data"]["msgId"]
    (row,) = await shop.rows()
    await shop.until(str(row["id"]), "read")
    _, info = await shop.call("GET", f"/api/messages/{number}/info", token=token)
    (send,) = await shop.sends()
    assert (info["data"]["msgId"], info["data"]["id"], info["data"]["status"]) == (number, send["key_id"], 4)

    status, edited = await shop.call("PUT", f"/api/messages/{number}", {"text": "Hi"}, token=token)
    assert (status, edited["data"]["message"]) == (200, {"conversation": "Hi"})
    status, gone = await shop.call("DELETE", f"/api/messages/{number}", token=token)
    assert (status, gone) == (200, {"success": True, "message": "Message deleted successfully."})


async def test_it_is_once_per_call_and_once_per_idempotency_key(shop: Shop) -> None:
    session_id = await shop.linked()
    token = shop.gateway.token(Role.AGENT, {session_id})
    body = {"to": ANN, "text": "ok", "messageType": "text"}

    plain = [await shop.call("POST", "/api/send-message", body, token=token) for _ in range(2)]
    keyed = [
        await shop.call("POST", "/api/send-message", body, token=token, headers={"Idempotency-Key": "k"})
        for _ in range(2)
    ]

    numbers = [reply["data"]["msgId"] for _, reply in (*plain, *keyed)]
    assert len(set(numbers)) == 3
    assert numbers[2] == numbers[3]


async def test_files_by_address_and_polls_are_handed_on_as_they_came(shop: Shop) -> None:
    session_id = await shop.linked()
    token = shop.gateway.token(Role.AGENT, {session_id})
    image = {"to": ANN, "text": "Look", "imageUrl": "https://shop.example/a.jpg"}
    poll = {"to": ANN, "poll": {"question": "When?", "options": ["Now", "Later"]}}

    for body in (image, poll):
        status, reply = await shop.call("POST", "/api/send-message", body, token=token)
        assert status == 200, reply

    await shop.eventually(shop.sends, lambda sends: len(sends) == 2)
    kinds = [(row["message_type"], row["message_text"]) for row in await shop.rows()]
    assert kinds == [("image", "Look"), ("poll", None)]


async def test_a_token_for_several_sessions_is_refused_and_a_bad_body_is_explained(shop: Shop) -> None:
    session_id = await shop.linked()
    token = shop.gateway.token(Role.AGENT, {session_id})

    refused, why = await shop.call("POST", "/api/send-message", {"to": ANN, "text": "Hello"})
    bad, fields = await shop.call("POST", "/api/send-message", {"text": "Hello"}, token=token)
    empty, _ = await shop.call("POST", "/api/send-message", {"to": ANN}, token=token)

    assert (refused, why["code"]) == (403, "forbidden")
    assert (bad, list(fields["errors"]), empty) == (422, ["to"], 422)


async def test_a_phone_number_may_come_as_a_json_number(shop: Shop) -> None:
    session_id = await shop.linked()
    token = shop.gateway.token(Role.AGENT, {session_id})

    status, reply = await shop.call(
        "POST", "/api/send-message", {"to": int(ANN), "text": "Hello"}, token=token
    )

    assert (status, reply["data"]["jid"]) == (200, ANN)
    (row,) = await shop.rows()
    assert row["to_phone"] == ANN
