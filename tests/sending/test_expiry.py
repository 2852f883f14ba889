"""What was due and waited too long for a way out is given up; waiting for its turn gives up nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from gateway.postgres.connection.pool import connect_direct
from tests.sending.support import Shop, opened, text

KEEP_H = 1.5 / 3600
"""So that what is to be given up is given up at once."""
STRANGER = "15550003333"


@pytest_asyncio.fixture
async def hasty_shop(database: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """A gateway that keeps messages for a second and a half."""
    async with opened(database, tmp_path, send_keep_h=KEEP_H) as shop:
        yield shop


async def test_only_what_has_no_way_out_is_given_up_and_a_person_may_send_it_again(hasty_shop: Shop) -> None:
    shop = hasty_shop
    session_id = await shop.linked()
    await shop.customer_writes(session_id, "Is it there?")

    # Two seconds of a 429 are a wait for pace; the restriction behind it is a way that is closed.
    await shop.fault(path="/send-message", status=429, retry_after=2)
    await shop.fault(mode="restricted", times=1)
    stranger = await shop.queue(session_id, text("stranger", "Hello."), chat=STRANGER)
    answer = await shop.queue(session_id, text("answer", "Yes."))
    await shop.until(answer["id"], "read")
    refused = await shop.until(stranger["id"], "failed")
    assert refused["error_code"] == "expired"

    await shop.gateway.data("POST", f"/api/whatsapp-sessions/{session_id}/disconnect")
    await shop.has_status(session_id, "disconnected")
    waiting = await shop.queue(session_id, text("waiting", "Still there?"))
    gone = await shop.until(waiting["id"], "failed")
    assert gone["error_code"] == "expired"
    assert gone["error"]

    await shop.gateway.data("POST", f"/api/whatsapp-sessions/{session_id}/connect")
    await shop.has_status(session_id, "connected")
    path = f"/api/conversations/15550002222/messages/{gone['id']}/retry?session={session_id}"
    await shop.gateway.data("POST", path)
    await shop.until(waiting["id"], "read")
    assert [send["text"] for send in await shop.sends()] == ["Yes.", "Still there?"]


async def test_a_day_without_a_connection_is_a_day_whichever_gateway_runs(
    database: str, tmp_path: Path
) -> None:
    async with opened(database, tmp_path) as shop:
        session_id = await shop.linked()
        await shop.customer_writes(session_id, "Is it there?")
        await shop.gateway.data("POST", f"/api/whatsapp-sessions/{session_id}/disconnect")
        await shop.has_status(session_id, "disconnected")
        row = await shop.queue(session_id, text("a", "Yes."))
        since = "SELECT queue ->> 'not_connected_since' FROM gateway.send_queues"
        await shop.eventually(lambda: shop.db.fetchval(since))

    # A day later, as far as this message and the connection go. `due_at` repeats what `queued_at` says.
    db = await connect_direct(database)
    await db.execute(
        "UPDATE gateway.send_queues SET queue = jsonb_set(queue, '{not_connected_since}',"
        " to_jsonb((queue ->> 'not_connected_since')::float8 - 90000))"
    )
    await db.execute(
        "UPDATE whatsapp_outgoing_messages SET queued_at = queued_at - interval '25 hours',"
        " due_at = due_at - interval '25 hours'"
    )
    await db.close(timeout=5)

    async with opened(database, tmp_path) as shop:
        gone = await shop.until(row["id"], "failed")
        fresh = await shop.queue(session_id, text("b", "Tomorrow."))
        shown = "SELECT shown ->> 'reason' FROM gateway.send_queues"
        await shop.eventually(lambda: shop.db.fetchval(shown), lambda reason: reason == "not_connected")

        assert gone["error_code"] == "expired"
        assert (await shop.row(fresh["id"]))["status"] == "queued"
        assert await shop.sends() == []
