"""What people do with a message on its way: cancel, edit, delete, try again, settle. And what stands in its way."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.sending.support import ANN, Shop, text

LATER = (datetime.now(UTC) + timedelta(hours=5)).isoformat()


async def change(
    shop: Shop, session_id: int, method: str, row_id: str, more: str = "", body: Any = None
) -> Any:
    """Status and answer of a change of a message."""
    return await shop.call(
        method, f"/api/conversations/{ANN}/messages/{row_id}{more}?session={session_id}", body
    )


async def test_a_scheduled_message_waits_and_can_be_edited_and_cancelled(shop: Shop) -> None:
    session_id = await shop.linked()
    row = await shop.queue(session_id, text("a", "Hello", send_at=LATER))
    assert row["status"] == "queued"
    assert row["queue_position"] == 1

    edited, reply = await change(shop, session_id, "PUT", row["id"], body={"text": "Good morning"})
    cancelled, gone = await change(shop, session_id, "DELETE", row["id"])
    again, still = await change(shop, session_id, "DELETE", f"out:{row['id']}")

    assert (edited, reply["data"]["message_text"], reply["data"]["status"]) == (200, "Good morning", "queued")
    assert (cancelled, gone["data"]["status"]) == (200, "cancelled")
    assert (again, still["data"]["status"]) == (200, "cancelled")
    refused, why = await change(shop, session_id, "POST", row["id"], "/retry")
    assert (refused, why["details"]["status"]) == (409, "cancelled")
    assert await shop.sends() == []


async def test_a_sent_message_is_edited_and_deleted_for_everyone_and_told_once(shop: Shop) -> None:
    session_id = await shop.linked()
    row = await shop.queue(session_id, text("a", "Helo"))
    await shop.until(row["id"], "read")
    async with shop.gateway.socket() as socket:
        await socket.subscribe(f"inbox:{session_id}")
        status, reply = await change(shop, session_id, "PUT", row["id"], body={"text": "Hello"})
        assert (status, reply["data"]["message_text"]) == (200, "Hello")
        await socket.event("message.updated")
        status, reply = await change(shop, session_id, "DELETE", row["id"])
        assert (status, bool(reply["data"]["deleted_at"])) == (200, True)
        await socket.event("message.deleted")
        await shop.customer_writes(session_id, "Thanks")
        await socket.event("message.created")
        names = [frame["event"] for frame in socket.frames if frame["type"] == "event"]

    assert names == ["message.updated", "message.deleted", "message.created"]
    refused, _ = await change(shop, session_id, "PUT", row["id"], body={"text": "Hi"})
    assert refused == 409


async def test_a_row_written_on_the_phone_and_one_that_came_in_cannot_be_changed(shop: Shop) -> None:
    session_id = await shop.linked()
    came = await shop.customer_writes(session_id, "Hi")

    status, reply = await change(shop, session_id, "PUT", f"in:{came['id']}", body={"text": "x"})

    assert (status, reply["code"]) == (422, "invalid")


async def test_a_message_that_upstream_refuses_has_failed_and_is_sent_again_by_a_person(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.control("POST", "/numbers", {"not_on_whatsapp": [ANN]})
    row = await shop.queue(session_id, text("a", "Hello"))
    failed = await shop.until(row["id"], "failed")
    assert failed["error_code"] == "not_on_whatsapp"
    await shop.control("POST", "/numbers", {"not_on_whatsapp": []})

    status, reply = await change(shop, session_id, "POST", row["id"], "/retry")

    assert (status, reply["data"]["status"], reply["data"]["error"]) == (200, "queued", None)
    sent = await shop.until(row["id"], "read")
    assert sent["attempt"] == 2


async def test_silence_makes_a_message_unknown_and_its_webhook_settles_it(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.fault(path="/send-message", drop="after", times=1)

    row = await shop.queue(session_id, text("a", "Hello"))

    sent = await shop.until(row["id"], "read")
    assert sent["attempt"] == 1
    assert len(await shop.sends()) == 1
    assert len(await shop.rows()) == 1


async def test_an_unknown_message_is_settled_by_a_person_after_two_minutes(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.control("POST", "/faults", {"mode": "lose", "times": 50})
    await shop.fault(path="/send-message", drop="before", times=1)
    row = await shop.queue(session_id, text("a", "Hello"))
    await shop.until(row["id"], "unknown")

    early, why = await change(shop, session_id, "POST", row["id"], "/settle", {"sent": False})
    retry, _ = await change(shop, session_id, "POST", row["id"], "/retry")
    await shop.db.execute(
        "UPDATE whatsapp_outgoing_messages SET sending_at = sending_at - interval '3 minutes' WHERE id = $1",
        int(row["id"]),
    )
    status, reply = await change(shop, session_id, "POST", row["id"], "/settle", {"sent": False})

    assert (early, why["details"]["status"], retry) == (409, "unknown", 409)
    assert (status, reply["data"]["status"], reply["data"]["error_code"]) == (200, "failed", "settled")
    logged = await shop.db.fetch(
        "SELECT event_type FROM whatsapp_session_logs WHERE event_type LIKE 'message_%'"
    )
    assert [entry["event_type"] for entry in logged] == ["message_settled"]


async def test_two_equal_texts_are_two_messages_each_with_its_own_key(shop: Shop) -> None:
    session_id = await shop.linked()
    rows = [await shop.queue(session_id, text(str(number), "ok")) for number in range(3)]

    done = [await shop.until(row["id"], "read") for row in rows]

    sends = await shop.sends()
    assert [row["wa_key_id"] for row in done] == [send["key_id"] for send in sends]
    assert len(await shop.rows()) == 3


async def test_a_sent_message_whose_key_is_not_known_is_edited_and_deleted_too(shop: Shop) -> None:
    session_id = await shop.linked()
    row = await shop.queue(session_id, text("a", "Helo"))
    await shop.until(row["id"], "read")
    await shop.db.execute("UPDATE whatsapp_outgoing_messages SET wa_key_id = NULL")

    edited, reply = await change(shop, session_id, "PUT", row["id"], body={"text": "Hello"})
    deleted, gone = await change(shop, session_id, "DELETE", row["id"])

    assert (edited, reply["data"]["message_text"], bool(reply["data"]["edited_at"])) == (200, "Hello", True)
    assert (deleted, bool(gone["data"]["deleted_at"])) == (200, True)

    await shop.db.execute("UPDATE whatsapp_outgoing_messages SET deleted_at = NULL, msg_id = NULL")
    refused, why = await change(shop, session_id, "PUT", row["id"], body={"text": "x"})
    assert (refused, why["details"]["status"]) == (409, "read")
    assert "on the phone only" in why["error"]


async def test_a_thread_says_when_each_waiting_message_may_go_and_answers_come_first(shop: Shop) -> None:
    session_id = await shop.linked()
    await shop.customer_writes(session_id, "Is it there?")
    # Nothing goes for a while, and each that goes then takes five seconds and a half of the queue.
    await shop.db.execute(
        "UPDATE whatsapp_sessions SET account_protection = true WHERE wasender_session_id = $1", session_id
    )
    await shop.fault(path="/send-message", status=429, retry_after=600, times=50)
    strangers = [
        await shop.queue(session_id, text(f"s{number}", "Hello"), chat=f"1555000888{number}")
        for number in range(3)
    ]
    answers = [await shop.queue(session_id, text(f"a{number}", "Yes")) for number in range(2)]
    tomorrow = await shop.queue(session_id, text("later", "Tomorrow", send_at=LATER))
    path = f"/api/conversations/{ANN}/messages?session={session_id}"
    is_paused = "SELECT queue -> 'pace' ->> 'not_before' FROM gateway.send_queues"
    await shop.eventually(lambda: shop.db.fetchval(is_paused))

    found = (await shop.gateway.data("GET", path))["messages"]
    told = {row["client_id"]: row for row in found if row["direction"] == "out"}
    path = f"/api/conversations/15550008882/messages?session={session_id}"
    (stranger,) = (await shop.gateway.data("GET", path))["messages"]

    assert [answer["queue_position"] for answer in answers] == [1, 2]
    assert [told[name]["queue_position"] for name in ("a0", "a1", "later")] == [1, 2, 6]
    assert stranger["queue_position"] == 5
    assert strangers[0]["queue_position"] == 1  # nothing else waited when it was queued
    assert datetime.fromisoformat(told["later"]["send_after"]) == datetime.fromisoformat(LATER)
    assert tomorrow["send_after"] == told["later"]["send_after"]
    places = [told["a0"], told["a1"], stranger]
    at = [datetime.fromisoformat(place["send_after"]) for place in places]
    assert [(moment - at[0]).total_seconds() for moment in at] == [0, 5.5, 22]
