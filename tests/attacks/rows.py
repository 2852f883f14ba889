"""Messages in bulk, for searches that have something to look through."""

import asyncpg

from tests.attacks.victim import Victim

_FILL = """
INSERT INTO whatsapp_incoming_messages (message_id, from_phone, wasender_session_id, chat, message_text,
    message_type, received_at)
SELECT 'FILL' || n, '49151' || n % 5000, $1, '49151' || n % 5000 || '@s.whatsapp.net', md5(n::text), 'text',
    now() - n * interval '1 second'
FROM generate_series($2::int, $3::int) AS n
"""


async def fill(victim: Victim, rows: int) -> None:
    connection = await asyncpg.connect(victim.dsn)
    try:
        for start in range(0, rows, 4000):
            await connection.execute(_FILL, victim.session_id, start, min(rows, start + 4000) - 1)
    finally:
        await connection.close()
