"""How a row on its way out is moved, within the caller's transaction."""

from gateway.domain.sending import Send
from gateway.postgres.connection.driver import Connection
from gateway.postgres.sending.rows import moment_of

_MOVE = "SELECT gateway.move_send_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"


async def move(connection: Connection, before: Send, after: Send, at: float | None = None) -> bool:
    """Moves the row if it stands as `before` says; whether it did.

    `at` is when WhatsApp said what it says; None: now.
    """
    done: bool = await connection.fetchval(
        _MOVE,
        before.id,
        str(before.status),
        before.attempt,
        before.holder,
        moment_of(before.sending_at),
        str(after.status),
        moment_of(after.queued_at),
        moment_of(after.send_at),
        after.msg_id,
        after.key_id,
        after.error,
        after.error_code,
        moment_of(at),
    )
    return done
