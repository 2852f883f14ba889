"""Rows of one chat are locked in one order: an answer, a person and evidence never wait for each other."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC

import asyncpg
import pytest

from gateway.domain import sending
from gateway.domain.sending import Send, SendStatus
from gateway.postgres.connection.pool import Pool, open_pool
from gateway.postgres.sending.checks import CheckTable
from gateway.postgres.sending.outbox import OutboxTable
from gateway.postgres.sending.store import SendTable
from gateway.services.sending.checks import Check

SESSION = """
INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number, status) VALUES (12, 'Shop', '+1', 'connected')
"""
QUEUE = """
SELECT gateway.queue_send_v1(12, $1, $2, NULL, 'ok', 'text', NULL, NULL, 'api', 'A', 'a', '{"look": "ok"}', 'hash')
"""
LOCK = "SELECT FROM whatsapp_outgoing_messages WHERE send_no = $1 FOR UPDATE"
BLOCKED = (
    "SELECT EXISTS (SELECT FROM pg_locks AS l WHERE NOT l.granted AND $1 = ANY (pg_blocking_pids(l.pid)))"
)

Move = Callable[[Pool, Send], Awaitable[object]]


async def _answered(pool: Pool, send: Send) -> object:
    return await SendTable(pool).replace(send, send.to(SendStatus.ACCEPTED, msg_id=5))


async def _retried(pool: Pool, send: Send) -> object:
    return await OutboxTable(pool, UTC).change(12, send.id, lambda row: sending.retry(row, row.queued_at))


async def _failed(pool: Pool, send: Send) -> None:
    await CheckTable(pool).fail(Check(send, "1", "ok", 0.0, 0, None), "no such number")


@pytest.mark.parametrize(
    ("was", "error_code", "move", "comes_to"),
    [
        ("sending", None, _answered, "accepted"),
        ("failed", "settled", _retried, "queued"),
        ("accepted", None, _failed, "failed"),
    ],
)
async def test_who_moves_a_row_does_not_hold_it_while_evidence_has_an_older_one_of_its_chat(
    database: str, connection: asyncpg.Connection, was: str, error_code: str | None, move: Move, comes_to: str
) -> None:
    pool = await open_pool(database, timezone="UTC", max_size=2, pooled=False)
    try:
        await connection.execute(SESSION)
        for name in ("older", "newer"):
            await connection.execute(QUEUE, name, "1555@s.whatsapp.net")
        await connection.execute(
            "UPDATE whatsapp_outgoing_messages SET attempt = 1, holder = 'h', sending_at = now(), error_code = $2,"
            " status = CASE client_id WHEN 'older' THEN 'unknown' ELSE $1 END",
            was,
            error_code,
        )
        older, newer = [
            row["send_no"]
            for row in await connection.fetch(
                "SELECT send_no FROM whatsapp_outgoing_messages ORDER BY send_no"
            )
        ]
        send = await SendTable(pool).row(newer)
        assert send is not None

        async with connection.transaction():  # as evidence locks the chat's open rows, one after the other
            await connection.execute(LOCK, older)
            moving = asyncio.create_task(asyncio.wait_for(move(pool, send), 30))
            while not await connection.fetchval(BLOCKED, connection.get_server_pid()):
                assert not moving.done(), moving
                await asyncio.sleep(0.01)
            await connection.execute(LOCK + " NOWAIT", newer)
        await moving

        status = await connection.fetchval(
            "SELECT status FROM whatsapp_outgoing_messages WHERE send_no = $1", newer
        )
        assert status == comes_to
    finally:
        await pool.close()
