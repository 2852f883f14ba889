"""What goes with age, and by which statement: small batches by index, past rows that a transaction holds."""

from collections.abc import Sequence
from datetime import timedelta

import asyncpg

from gateway.postgres.connection.pool import LOAN_S, mapped_errors
from gateway.postgres.connection.readers import Shared
from gateway.postgres.streams import StreamStore

STREAM_DAYS = 7
JOURNAL_DAYS = 30
LOG_DAYS = 365
ATTEMPT_DAYS = 30
ACCESS_LOG_DAYS = 90
ALERT_DAYS = 90
EARLY_DAYS = 7
"""A delivery state whose message has not come for so long will not meet it any more."""
ECHO_DAYS = 7
DELIVERY_DAYS = 1
"""Of a webhook out that was taken; a dead letter stays for 30 days."""
RAW_DAYS = 3
"""Of a webhook that is kept as it came, while a target is in raw mode."""
NUMBER_DAYS = 30
"""After that a number is asked for again (`services.sending.numbers`)."""

STREAM = "stream"
MESSAGES = "messages"
FORGET_S = 60.0
"""A table of millions is read for messages that are old enough: no index is in the order of their times."""
_FORGET = "SELECT gateway.forget_messages_v1($1, $2)"
_FORGET_RAW = "DELETE FROM gateway.raw_webhooks WHERE at < now() - $1::float8 * interval '1 day'"

# $1: how many; $2: days after which. Rows of log tables that the shop's own code wrote are the shop's; `written_by`
# tells.
_STATEMENTS = {
    "journal": """
DELETE FROM gateway.journal WHERE id IN (
    SELECT id FROM gateway.journal WHERE received_at < now() - make_interval(days => $2)
    ORDER BY received_at LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    "logs": """
DELETE FROM public.whatsapp_session_logs WHERE id IN (
    SELECT id FROM public.whatsapp_session_logs
    WHERE written_by = 'gateway' AND created_at < now() - make_interval(days => $2)
    ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    # The newest of a session stays: it is what its `link` part shows.
    "attempts": """
DELETE FROM gateway.whatsapp_link_attempts WHERE id IN (
    SELECT a.id FROM gateway.whatsapp_link_attempts AS a
    WHERE a.ended_at < now() - make_interval(days => $2) AND EXISTS (
        SELECT FROM gateway.whatsapp_link_attempts AS newer
        WHERE newer.wasender_session_id = a.wasender_session_id AND newer.id > a.id)
    ORDER BY a.id LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    "early deliveries": """
DELETE FROM gateway.early_deliveries WHERE (wasender_session_id, wa_key_id) IN (
    SELECT wasender_session_id, wa_key_id FROM gateway.early_deliveries
    WHERE came_at < now() - make_interval(days => $2)
    ORDER BY came_at LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    "early changes": """
DELETE FROM gateway.early_changes WHERE (wasender_session_id, wa_key_id, kind, author) IN (
    SELECT wasender_session_id, wa_key_id, kind, author FROM gateway.early_changes
    WHERE came_at < now() - make_interval(days => $2)
    ORDER BY came_at LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    # One that is still held is no row yet: the sender's part that asks for open messages lets it go first.
    "sent echoes": """
DELETE FROM gateway.sent_echoes WHERE (session, key_id) IN (
    SELECT session, key_id FROM gateway.sent_echoes
    WHERE came_at < now() - make_interval(days => $2) AND (message IS NULL OR claimed_by IS NOT NULL)
    ORDER BY came_at LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    "read receipts": """
DELETE FROM gateway.read_receipts WHERE (session, key_id) IN (
    SELECT session, key_id FROM gateway.read_receipts
    WHERE made_at < now() - make_interval(days => $2)
    ORDER BY made_at LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    "webhook deliveries": """
DELETE FROM gateway.webhook_deliveries WHERE id IN (
    SELECT id FROM gateway.webhook_deliveries
    WHERE ended_at < now() - make_interval(days => CASE state WHEN 'dead' THEN 30 ELSE $2 END)
    ORDER BY ended_at LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    "raw webhooks": """
DELETE FROM gateway.raw_webhooks WHERE id IN (
    SELECT id FROM gateway.raw_webhooks
    WHERE at < now() - make_interval(days => $2)
        OR NOT EXISTS (SELECT FROM gateway.webhook_targets WHERE mode = 'raw')
    ORDER BY at LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    "number checks": """
DELETE FROM gateway.number_checks WHERE jid IN (
    SELECT jid FROM gateway.number_checks WHERE asked_at < now() - make_interval(days => $2)
    ORDER BY asked_at LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    "logins": """
DELETE FROM gateway.logins WHERE id IN (
    SELECT id FROM gateway.logins WHERE ends_at < now()
    ORDER BY ends_at LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    # What names no end of its own stays: it is an operator's word, and the token's end is not known here.
    "revoked": """
DELETE FROM gateway.revoked WHERE id IN (
    SELECT id FROM gateway.revoked WHERE ends_at < now() - interval '1 day'
    ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    "access log": """
DELETE FROM gateway.access_log WHERE id IN (
    SELECT id FROM gateway.access_log WHERE at < now() - make_interval(days => $2)
    ORDER BY at LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    "alerts": """
DELETE FROM gateway.alerts WHERE id IN (
    SELECT id FROM gateway.alerts WHERE ended_at < now() - make_interval(days => $2)
    ORDER BY ended_at LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
    "tickets": """
DELETE FROM gateway.tickets WHERE digest IN (
    SELECT digest FROM gateway.tickets WHERE expires_at < now()
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED)
""",
}

_DAYS = {
    "journal": JOURNAL_DAYS,
    "logs": LOG_DAYS,
    "attempts": ATTEMPT_DAYS,
    "early deliveries": EARLY_DAYS,
    "early changes": EARLY_DAYS,
    "sent echoes": ECHO_DAYS,
    "read receipts": ECHO_DAYS,
    "webhook deliveries": DELIVERY_DAYS,
    "raw webhooks": RAW_DAYS,
    "number checks": NUMBER_DAYS,
    "access log": ACCESS_LOG_DAYS,
    "alerts": ALERT_DAYS,
}


class RetentionTable:
    """Deletes what is old enough, batch by batch."""

    def __init__(self, pool: asyncpg.Pool, message_days: float = 0.0) -> None:
        """`message_days` is how long messages are kept; 0 for ever."""
        self._pool = pool
        self._message_days = message_days
        # No client waits for this, and a thousand rows on a busy disk take longer than a read may.
        self._streams = StreamStore(Shared(pool, LOAN_S))

    @property
    def kinds(self) -> Sequence[str]:
        """Names of everything that is pruned: streams first."""
        return (STREAM, *((MESSAGES,) if self._message_days else ()), *_STATEMENTS)

    async def prune(self, kind: str, batch: int) -> int:
        """How many rows went. Raises StoreUnavailable, also when a transaction holds the whole table."""
        if kind == STREAM:
            return await self._streams.prune(timedelta(days=STREAM_DAYS), batch)
        with mapped_errors():
            if kind == MESSAGES:
                async with self._pool.acquire(timeout=FORGET_S) as connection:
                    await connection.execute(_FORGET_RAW, self._message_days, timeout=FORGET_S)
                    gone: int = await connection.fetchval(
                        _FORGET, self._message_days, batch, timeout=FORGET_S
                    )
                    return gone
            async with self._pool.acquire() as connection, connection.transaction():
                # Behind a request that waits for a lock, every other writer waits, too.
                await connection.execute("SET LOCAL lock_timeout = '200ms'")
                days = [_DAYS[kind]] if kind in _DAYS else []
                status: str = await connection.execute(_STATEMENTS[kind], batch, *days)
        return int(status.rpartition(" ")[2])
