"""The votes of polls, written into the text of their rows."""

from collections.abc import Sequence

from gateway.domain.message import PollCounted
from gateway.domain.polls import with_votes
from gateway.postgres.connection.driver import Connection

_FIND_RECEIVED = """
SELECT m.id, m.message_text AS text, coalesce((m.raw_data ->> 'pollCountedAt')::bigint, 0) > $4::bigint AS is_newer
FROM public.whatsapp_incoming_messages AS m
WHERE m.wasender_session_id = $1 AND m.wa_key_id = $2 AND m.message_type = 'poll' AND m.deleted_at IS NULL
    AND ($3::text IS NULL OR gateway.is_one_person_v1(gateway.chat_of(m.chat, m.from_phone), $3))
FOR UPDATE OF m
"""

_FIND_SENT = """
SELECT m.id, m.message_text AS text, coalesce((m.raw_data ->> 'pollCountedAt')::bigint, 0) > $4::bigint AS is_newer
FROM public.whatsapp_outgoing_messages AS m
WHERE m.wasender_session_id = $1 AND m.wa_key_id = $2 AND m.message_type = 'poll' AND m.deleted_at IS NULL
    AND ($3::text IS NULL OR gateway.is_one_person_v1(gateway.chat_of(m.chat, m.to_phone), $3))
FOR UPDATE OF m
"""

_WRITE_RECEIVED = """
UPDATE public.whatsapp_incoming_messages AS m
SET message_text = $2, raw_data = coalesce(m.raw_data, '{}') || jsonb_build_object('pollCountedAt', $3::bigint)
WHERE m.id = $1
"""

_WRITE_SENT = """
UPDATE public.whatsapp_outgoing_messages AS m
SET message_text = $2, raw_data = coalesce(m.raw_data, '{}') || jsonb_build_object('pollCountedAt', $3::bigint)
WHERE m.id = $1
"""

_TABLES = ((_FIND_RECEIVED, _WRITE_RECEIVED), (_FIND_SENT, _WRITE_SENT))


async def write_polls(connection: Connection, items: Sequence[tuple[int, PollCounted]]) -> list[bool]:
    """Whether the poll of each is there, and shows these votes now, or later ones.

    Each item is a session and a count. The caller sorts them by session and key: the order in which rows are locked.
    """
    return [await _write(connection, session_id, counted) for session_id, counted in items]


async def _write(connection: Connection, session_id: int, counted: PollCounted) -> bool:
    at_ms = int(counted.at.timestamp() * 1000)
    for find, write in _TABLES:
        row = await connection.fetchrow(find, session_id, counted.key_id, counted.chat, at_ms)
        if row is not None:
            text = with_votes(row["text"], counted.votes)
            if not row["is_newer"] and text != row["text"]:
                await connection.execute(write, row["id"], text, at_ms)
            return True
    return False
