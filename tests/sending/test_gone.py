"""A session that upstream no longer has: what is asked for is kept and waits, and nothing of it is given up."""

from pathlib import Path

from tests.sending.support import opened, text


async def test_what_is_written_to_a_session_that_is_gone_waits_and_never_expires(
    database: str, tmp_path: Path
) -> None:
    async with opened(database, tmp_path, send_keep_h=0.5 / 3600) as shop:
        session_id = await shop.linked()
        await shop.customer_writes(session_id, "Is it there?")
        # The list of sessions, too: the monitor's sync, at a time of its own, must not find the session there.
        await shop.fault(path="/whatsapp-sessions", status=404, times=None)
        await shop.call("POST", f"/api/whatsapp-sessions/{session_id}/refresh")
        await shop.has_status(session_id, "gone")

        row = await shop.queue(session_id, text("a", "Yes."))
        shown = "SELECT shown ->> 'reason' FROM gateway.send_queues"
        await shop.eventually(lambda: shop.db.fetchval(shown), lambda reason: reason == "gone")
        since = "SELECT clock_timestamp() > queued_at + interval '1 second' FROM whatsapp_outgoing_messages"
        await shop.eventually(lambda: shop.db.fetchval(since), bool)
        await shop.db.execute("SELECT gateway.wake_sender_v1($1)", session_id)
        later = await shop.queue(session_id, text("b", "In blue."))
        waits = "SELECT (shown ->> 'queued')::int FROM gateway.send_queues"
        await shop.eventually(lambda: shop.db.fetchval(waits), lambda count: count == 2)

        assert [(await shop.row(one["id"]))["status"] for one in (row, later)] == ["queued", "queued"]
        assert await shop.sends() == []


async def test_a_queue_that_a_404_holds_goes_on_when_the_session_is_found_again(
    database: str, tmp_path: Path
) -> None:
    async with opened(database, tmp_path) as shop:
        session_id = await shop.linked()
        await shop.customer_writes(session_id, "Is it there?")
        await shop.fault(path="/send-message", status=404, times=None)
        row = await shop.queue(session_id, text("a", "Yes."))
        shown = "SELECT shown ->> 'reason' FROM gateway.send_queues"
        await shop.eventually(lambda: shop.db.fetchval(shown), lambda reason: reason == "gone")

        await shop.control("DELETE", "/faults")
        await shop.call("POST", f"/api/whatsapp-sessions/{session_id}/refresh")

        await shop.until(row["id"], "accepted", "sent", "delivered", "read")
        assert [send["text"] for send in await shop.sends()] == ["Yes."]
