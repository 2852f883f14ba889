"""What a colleague said is a precondition; what stops a queue is told; what has not gone out answers nothing."""

import asyncio
from typing import Any

from gateway.domain.access import Principal, Role
from tests.sending.support import ANN, Shop, text


def colleague(shop: Shop, name: str) -> str:
    """The token of another agent."""
    principal = Principal(sub=name, name=name, role=Role.AGENT, sessions=None)
    return shop.gateway.gateway.access.login.issue(principal, 600)[0]


async def seen(shop: Shop, session_id: int) -> dict[str, Any]:
    """The position of the thread as it is now."""
    page = await shop.gateway.data("GET", f"/api/conversations/{ANN}/messages?session={session_id}")
    position: dict[str, Any] = page["position"][str(session_id)]
    return position


async def test_an_answer_that_its_author_has_not_seen_is_told_first(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.customer_writes(session_id, "Is it there?")
    place = await seen(shop, session_id)
    first = await shop.queue(session_id, text("a", "Yes", seen=place), token=colleague(shop, "anna"))

    status, reply = await shop.post(session_id, text("b", "No", seen=place), token=colleague(shop, "ben"))
    own, _ = await shop.post(session_id, text("c", "In blue", seen=place), token=colleague(shop, "anna"))
    again, _ = await shop.post(session_id, text("a", "Yes", seen=place), token=colleague(shop, "anna"))

    assert (status, reply["code"]) == (409, "newer_reply")
    assert [message["id"] for message in reply["details"]["messages"]] == [first["id"]]
    assert (own, again) == (202, 200)
    late = await seen(shop, session_id)
    status, _ = await shop.post(session_id, text("b", "No", seen=late), token=colleague(shop, "ben"))
    assert status == 202


async def test_of_two_answers_at_once_one_is_told_of_the_other(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.customer_writes(session_id, "Is it there?")
    for turn in range(5):
        place = await seen(shop, session_id)
        answers = await asyncio.gather(
            *(
                shop.post(session_id, text(f"{turn}{name}", name, seen=place), token=colleague(shop, name))
                for name in ("anna", "ben")
            )
        )
        assert sorted(status for status, _ in answers) == [202, 409]


async def test_of_an_unknown_position_the_last_answers_are_told(shop: Shop) -> None:
    session_id = await shop.linked()
    row = await shop.queue(session_id, text("a", "Yes"), token=colleague(shop, "anna"))
    strange = {"off": 1, "epoch": "11111111-1111-1111-1111-111111111111"}

    status, reply = await shop.post(session_id, text("b", "No", seen=strange), token=colleague(shop, "ben"))

    assert (status, [message["id"] for message in reply["details"]["messages"]]) == (409, [row["id"]])


async def test_a_queue_waits_for_the_connection_says_so_and_goes_on(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.control("POST", f"/sessions/{session_id}/unlink")
    await shop.has_status(session_id, "logged_out")
    viewer = shop.gateway.token(Role.VIEWER)
    async with shop.gateway.socket(viewer) as socket:
        await socket.subscribe(f"session:{session_id}")
        row = await shop.queue(session_id, text("a", "Hello"))
        state = await socket.next(
            "state", lambda frame: frame["part"] == "sending" and frame["data"]["queued"] == 1
        )
        assert state["data"]["reason"] == "not_connected"
        assert (await shop.row(row["id"]))["status"] == "queued"

        await shop.gateway.data("POST", f"/api/whatsapp-sessions/{session_id}/connect")
        await shop.eventually(
            lambda: shop.gateway.data("GET", f"/api/whatsapp-sessions/{session_id}/qr-code"),
            lambda code: bool(code["qrCode"]),
        )
        await shop.control("POST", f"/sessions/{session_id}/scan")
        await socket.next("state", lambda frame: frame["part"] == "sending" and frame["data"]["queued"] == 0)

    await shop.until(row["id"], "read")


async def test_a_429_pauses_the_queue_and_is_no_failure(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.fault(path="/send-message", status=429, retry_after=1, times=1)

    row = await shop.queue(session_id, text("a", "Hello"))

    sent = await shop.until(row["id"], "read")
    assert (sent["attempt"], sent["error"]) == (2, None)
    assert len(await shop.sends()) == 1


async def test_a_scheduled_message_answers_nothing_and_a_sent_one_does(shop: Shop) -> None:
    session_id = await shop.linked()
    came = await shop.customer_writes(session_id, "Is it there?")
    await shop.queue(session_id, text("a", "Later", send_at="2027-06-01T08:00:00Z"))
    listed = await shop.gateway.data("GET", f"/api/conversations/{ANN}?session={session_id}")
    assert (listed["replied"], listed["last_message"]["message_text"]) == (False, "Is it there?")

    row = await shop.queue(session_id, text("b", "Yes", reply_to=f"in:{came['id']}"))
    await shop.until(row["id"], "read")

    listed = await shop.gateway.data("GET", f"/api/conversations/{ANN}?session={session_id}")
    assert (listed["replied"], listed["last_message"]["message_text"]) == (True, "Yes")
    answered = await shop.db.fetchrow("SELECT replied, replied_at FROM whatsapp_incoming_messages")
    assert answered is not None
    assert answered["replied"]
    (send,) = await shop.sends()
    assert send["quoted"] == came["wa_key_id"]
