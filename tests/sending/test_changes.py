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
