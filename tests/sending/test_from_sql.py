"""Rows that the shop's own code inserts are sent where the operator wants it, and those of before never are."""

from pathlib import Path
from typing import Any

from tests.sending.support import ANN, Shop, opened

INSERT = """
INSERT INTO whatsapp_outgoing_messages (wasender_session_id, client_id, to_phone, message_text, origin, status)
VALUES ($1, $2, $3, $4, $5, $6) RETURNING id::text
"""


async def insert(
    shop: Shop, session_id: int, client_id: str | None, text: str | None = "From SQL", **more: Any
) -> str:
    values = {"to_phone": ANN, "origin": "sql", "status": "queued", **more}
    row_id: str = await shop.db.fetchval(
        INSERT, session_id, client_id, values["to_phone"], text, values["origin"], values["status"]
    )
    return row_id


async def test_rows_from_the_moment_of_the_setting_are_sent_and_no_others(
    database: str, tmp_path: Path
) -> None:
    async with opened(database, tmp_path) as shop:
        session_id = await shop.linked()
        before = await insert(shop, session_id, "before")
    async with opened(database, tmp_path, send_from_sql=True) as shop:
        await shop.control("POST", "/settings", {"account_protection": False, "sent_delay_s": 0})
        session_id = await shop.db.fetchval("SELECT wasender_session_id FROM whatsapp_sessions")
        await shop.has_status(session_id, "connected")
        await shop.eventually(
            lambda: shop.db.fetchval("SELECT value FROM gateway.settings WHERE key = 'send_from_sql'")
        )
        others = [
            await insert(shop, session_id, None),
            await insert(shop, session_id, "x", origin="erp"),
            await insert(shop, session_id, "y", status=None),
        ]
        fresh = await insert(shop, session_id, "fresh")
        empty = await insert(shop, session_id, "empty", " ")

        await shop.until(fresh, "sent", "delivered", "read")
        failed = await shop.until(empty, "failed")

        assert failed["error_code"] == "invalid"
        assert [send["text"] for send in await shop.sends()] == ["From SQL"]
        assert [(await shop.row(row_id))["send_no"] for row_id in (before, *others)] == [None] * 4


async def test_without_the_setting_nothing_is_sent(shop: Shop) -> None:
    session_id = await shop.linked()
    row_id = await insert(shop, session_id, "a")
    sent = await shop.queue(session_id, {"client_id": "b", "text": "Hello"})

    await shop.until(sent["id"], "read")

    assert (await shop.row(row_id))["status"] == "queued"
    assert len(await shop.sends()) == 1


async def test_the_queue_ends_with_its_session(shop: Shop) -> None:
    session_id = await shop.linked()
    row = await shop.queue(session_id, {"client_id": "a", "text": "Hello", "send_at": "2026-12-24T08:00:00Z"})

    status, _ = await shop.call("DELETE", f"/api/whatsapp-sessions/{session_id}")

    assert status == 200
    assert (await shop.row(row["id"]))["status"] == "cancelled"
