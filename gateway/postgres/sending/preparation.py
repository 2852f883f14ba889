"""What a message needs before its call: its content, and what it quotes."""

from dataclasses import dataclass
from typing import Any

import asyncpg

from gateway.domain.send_content import Content
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.sending.outbox import is_whole, quoted_row
from gateway.postgres.sending.rows import content_of

_ROW = """
SELECT m.wasender_session_id::bigint AS session, m.chat, m.payload
FROM public.whatsapp_outgoing_messages AS m
WHERE m.send_no = $1
"""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A row's content, with what stands behind its quote."""

    session_id: int
    content: Content
    extra: dict[str, Any]
    """Fields that are handed to upstream as they came."""
    quoted_msg_id: int | None = None
    quoted: tuple[dict[str, Any], dict[str, Any]] | None = None
    """Key and message of the webhook."""
    is_quote_missing: bool = False


class PreparationTable:
    """Reads what is to be sent."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def read(self, send_id: int) -> Prepared | None:
        """What the row says; None if it is gone. Raises StoreUnavailable."""
        with mapped_errors():
            async with self._pool.acquire() as connection:
                row = await connection.fetchrow(_ROW, send_id)
                if row is None:
                    return None
                payload = row["payload"] if isinstance(row["payload"], dict) else {}
                content, extra = content_of(payload), dict(payload.get("extra") or {})
                if content.reply_to is None:
                    return Prepared(row["session"], content, extra)
                quoted = await quoted_row(connection, row["session"], row["chat"], content.reply_to)
        if quoted is not None and quoted["msg_id"]:
            return Prepared(row["session"], content, extra, quoted_msg_id=quoted["msg_id"])
        if quoted is not None and is_whole(quoted["key"], quoted["message"]):
            return Prepared(row["session"], content, extra, quoted=(quoted["key"], quoted["message"]))
        return Prepared(row["session"], content, extra, is_quote_missing=True)
