"""A failure of a send that upstream had taken over: whose it is, upstream may say, or is asked."""

from datetime import datetime

from gateway.domain import sending
from gateway.domain.message import SendRefused, digits_of
from gateway.domain.sending import SendStatus
from gateway.postgres.connection.driver import Connection
from gateway.postgres.sending.moves import move
from gateway.postgres.sending.rows import SEND, send_of

FEWEST_DIGITS = 7
"""A number in the words of a failure with fewer digits names no phone."""

_BY_NUMBER = f"""
SELECT {SEND} FROM public.whatsapp_outgoing_messages AS m
WHERE m.wasender_session_id = $1 AND m.msg_id = $2 AND m.send_no IS NOT NULL AND m.status IN ('accepted', 'sent')
FOR UPDATE OF m
"""

# Without a number it may be any that was accepted lately; where the words name a phone, one to that phone.
_ASK = """
UPDATE gateway.send_checks AS c
SET due_at = least(c.due_at, clock_timestamp()), told = $2
FROM public.whatsapp_outgoing_messages AS m
WHERE c.session = $1 AND m.send_no = c.send_no AND m.status = 'accepted'
    AND (length($3) < $4 OR strpos($3, m.to_phone) > 0 OR NOT EXISTS (
        SELECT FROM gateway.send_checks AS o
        JOIN public.whatsapp_outgoing_messages AS n ON n.send_no = o.send_no
        WHERE o.session = $1 AND n.status = 'accepted' AND strpos($3, n.to_phone) > 0))
RETURNING c.send_no
"""


# Beside the queue's own column, which only the sender writes: it takes this up with its next step.
_RESTRICT = "SELECT gateway.note_restriction_v1($1, $2)"


async def note_failure(connection: Connection, session_id: int, refused: SendRefused) -> bool:
    """Moves the row that it names, or has upstream asked about those that may be meant; whether it meant anything.

    A restriction is of the session, whichever row failed.
    """
    is_known = await _failed(connection, session_id, refused)
    if refused.is_restriction:
        await note_restriction(connection, session_id, refused.at)
    return is_known or refused.is_restriction


async def note_restriction(connection: Connection, session_id: int, at: datetime) -> None:
    """WhatsApp lets the session's number start no new chats: its sender, wherever it runs, takes this up."""
    await connection.execute(_RESTRICT, session_id, at)


async def _failed(connection: Connection, session_id: int, refused: SendRefused) -> bool:
    if refused.msg_id is not None:
        rows = await connection.fetch(_BY_NUMBER, session_id, refused.msg_id)
        for row in rows:
            send = send_of(row)
            await move(connection, send, sending.reported(send, SendStatus.FAILED, error=refused.error))
        return bool(rows)
    digits = digits_of(refused.error)
    asked = await connection.fetch(_ASK, session_id, refused.error, digits, FEWEST_DIGITS)
    if asked:
        await connection.execute("SELECT gateway.wake_sender_v1($1)", session_id)
    return bool(asked)
