"""`services.sending.ports.SendStore` in Postgres: what a sender reads and writes.

A row is changed only if it stands as its author read it, and a call begins only for the session's newest holder, in
the history that the queue was taken in. The rules are SQL functions; here they are called.
"""

import time

from gateway.domain.send_queue import Queue
from gateway.domain.sending import Send, SendStatus
from gateway.domain.session import SessionStatus, normalise_status
from gateway.postgres.connection.driver import Pool
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.sending.evidence import lock_chat_of, settle_chat
from gateway.postgres.sending.moves import move
from gateway.postgres.sending.rows import SEND, moment_of, queue_data, queue_of, send_of, unix
from gateway.services.sending.ports import QueueView, Shown, Start

TOLERANCE_S = 0.02

_TAKE = "SELECT gateway.take_queue_v1($1, $2)"

_STANDING = """
SELECT q.holder, q.restricted_at, s.status, s.account_protection, s.wasender_session_id IS NOT NULL AS is_here,
    st.saved_at,
    (SELECT m.status FROM public.whatsapp_outgoing_messages AS m
     WHERE m.send_no = (q.queue ->> 'trial')::bigint) AS trial,
    extract(epoch FROM clock_timestamp())::float8 AS moment
FROM gateway.send_queues AS q
LEFT JOIN public.whatsapp_sessions AS s ON s.wasender_session_id = q.session
LEFT JOIN gateway.session_state AS st ON st.wasender_session_id = q.session
WHERE q.session = $1
"""

_VIEW = f"""
SELECT v.known, {SEND}
FROM gateway.send_view_v1($1, $2) AS v
JOIN public.whatsapp_outgoing_messages AS m ON m.send_no = v.send_no
WHERE m.status IN ('queued', 'sending')
"""

ROW = f"SELECT {SEND} FROM public.whatsapp_outgoing_messages AS m WHERE m.send_no = $1"

_BEGIN = "SELECT gateway.begin_send_v1($1, $2, $3, $4, $5, $6, $7)"

_SAVE = "UPDATE gateway.send_queues AS q SET queue = $3 WHERE q.session = $1 AND q.holder = $2"

_SHOW = """
WITH shown AS (
    UPDATE gateway.send_queues AS q SET shown = $3
    WHERE q.session = $1 AND q.holder = $2 AND q.shown IS DISTINCT FROM $3
    RETURNING q.session
)
SELECT gateway.touch_sessions_v1(array_agg(shown.session)) FROM shown HAVING count(*) > 0
"""

_COUNT = """
SELECT count(*) FROM public.whatsapp_outgoing_messages AS m
WHERE m.wasender_session_id = $1 AND m.send_no IS NOT NULL AND m.status = 'queued'
"""

# From one session of the index to the next: 100,000 waiting messages cost what one costs.
_BUSY = """
WITH RECURSIVE waiting AS (
    (SELECT m.wasender_session_id AS session FROM public.whatsapp_outgoing_messages AS m
     WHERE m.send_no IS NOT NULL AND m.status = 'queued' ORDER BY m.wasender_session_id LIMIT 1)
    UNION ALL
    SELECT (SELECT m.wasender_session_id FROM public.whatsapp_outgoing_messages AS m
            WHERE m.send_no IS NOT NULL AND m.status = 'queued' AND m.wasender_session_id > w.session
            ORDER BY m.wasender_session_id LIMIT 1)
    FROM waiting AS w WHERE w.session IS NOT NULL
)
SELECT w.session::bigint AS session FROM waiting AS w WHERE w.session IS NOT NULL
UNION
SELECT m.wasender_session_id FROM public.whatsapp_outgoing_messages AS m
WHERE m.send_no IS NOT NULL AND m.wa_key_id IS NULL AND m.status = 'sending'
    AND m.status IN ('sending', 'accepted', 'unknown')
UNION
SELECT c.session FROM gateway.send_checks AS c
UNION
SELECT e.session FROM gateway.sent_echoes AS e WHERE e.claimed_by IS NULL AND e.message IS NOT NULL
"""
_WITH_RECEIPTS = """
SELECT DISTINCT r.session FROM gateway.read_receipts AS r
JOIN public.whatsapp_sessions AS s ON s.wasender_session_id = r.session AND lower(s.status) = 'connected'
WHERE r.told_at IS NULL
"""


class SendClock:
    """Postgres' clock, as near as it can be known without asking: it never jumps with this machine's.

    `now` gives unix seconds to the microsecond, as rows have them.
    """

    def __init__(self) -> None:
        self._ahead_s = time.time() - time.monotonic()

    def now(self) -> float:
        """Unix seconds."""
        return round(time.monotonic() + self._ahead_s, 6)

    def heard(self, moment: float) -> None:
        """Postgres has just said what time it is."""
        ahead_s = moment - time.monotonic()
        if abs(ahead_s - self._ahead_s) > TOLERANCE_S:
            self._ahead_s = ahead_s


class SendTable:
    """The rows of messages on their way out. Everything raises StoreUnavailable."""

    def __init__(self, pool: Pool, clock: SendClock | None = None, *, with_receipts: bool = False) -> None:
        self._pool = pool
        self.clock = clock or SendClock()
        self._with_receipts = with_receipts
        self._versions: dict[int, dict[int, str]] = {}
        """By session, of the rows that its sender may begin: which version it has read."""

    async def fault(self) -> str | None:
        """Why nothing can be sent from this table; None if it can."""
        with mapped_errors():
            found: str | None = await self._pool.fetchval("SELECT gateway.sending_fault_v1()")
        return found

    async def busy_sessions(self) -> list[int]:
        """Sessions with something to send, or to find out."""
        with mapped_errors():
            rows = await self._pool.fetch(_BUSY)
            if self._with_receipts:
                rows += await self._pool.fetch(_WITH_RECEIPTS)
        return [row["session"] for row in rows]

    async def take(self, session_id: int, holder: str) -> Queue | None:
        """Makes `holder` the only one that may begin calls; gives what the former one knew of the queue."""
        with mapped_errors():
            return queue_of(await self._pool.fetchval(_TAKE, session_id, holder))

    async def view(self, session_id: int, holder: str) -> QueueView | None:
        """What decides about the next step; None if another sender has taken the queue."""
        with mapped_errors():
            async with self._pool.acquire() as connection:
                standing = await connection.fetchrow(_STANDING, session_id)
                if standing is None or standing["holder"] != holder:
                    return None
                self.clock.heard(standing["moment"])
                await connection.execute("SELECT gateway.note_lanes_v1($1)", session_id)
                rows = await connection.fetch(_VIEW, session_id, moment_of(self.clock.now()))
        self._versions[session_id] = {row["send_no"]: row["version"] for row in rows}
        status = normalise_status(standing["status"]) if standing["is_here"] else str(SessionStatus.GONE)
        return QueueView(
            sends=[send_of(row) for row in rows],
            wrote=frozenset(row["chat"] for row in rows if row["known"]),
            connected=status == SessionStatus.CONNECTED,
            protected=bool(standing["account_protection"]),
            is_gone=status == SessionStatus.GONE,
            restricted_at=unix(standing["restricted_at"]),
            trial=None if standing["trial"] is None else SendStatus(standing["trial"]),
            fetched_at=unix(standing["saved_at"]),
        )

    async def row(self, send_id: int) -> Send | None:
        """The row as it stands; None if it is gone."""
        with mapped_errors():
            row = await self._pool.fetchrow(ROW, send_id)
        return send_of(row) if row else None

    async def begin(self, session_id: int, holder: str, before: Send, after: Send) -> Start:
        """Commits `sending` before a call. Unless it is BEGUN, no call may follow."""
        with mapped_errors():
            word = await self._pool.fetchval(
                _BEGIN,
                session_id,
                holder,
                before.id,
                self._versions.get(session_id, {}).get(before.id, ""),
                after.attempt,
                moment_of(after.sending_at),
                after.is_first_contact,
            )
        return Start(word)

    async def replace(self, before: Send, after: Send) -> bool:
        """Commits a change of status. False if the row has changed since `before` was read."""
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                place = await lock_chat_of(connection, after.id) if after.status in _MAY_BE_PROVEN else None
                if not await move(connection, before, after):
                    return False
                if place is not None:
                    await settle_chat(connection, *place)
        return True

    async def save_queue(self, session_id: int, holder: str, queue: Queue) -> None:
        """Keeps what is known of the queue. Does nothing for a former holder."""
        with mapped_errors():
            await self._pool.execute(_SAVE, session_id, holder, queue_data(queue))

    async def count(self, session_id: int) -> int:
        """How many messages wait."""
        with mapped_errors():
            found: int = await self._pool.fetchval(_COUNT, session_id)
        return found

    async def show(self, session_id: int, holder: str, shown: Shown) -> None:
        """Tells viewers how the queue stands. Does nothing for a former holder, and where nothing has changed."""
        with mapped_errors():
            await self._pool.execute(_SHOW, session_id, holder, shown.data())


_MAY_BE_PROVEN = frozenset({SendStatus.ACCEPTED, SendStatus.UNKNOWN, SendStatus.FAILED, SendStatus.SENT})
"""What keys that were heard of may settle, or settle otherwise, from now on."""
