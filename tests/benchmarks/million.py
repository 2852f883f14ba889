"""A shop's database after months: many messages in many inboxes, made in under a minute.

The triggers are off while it is filled (a flood of this size would end all streams anyway), so what they would have
kept is made afterwards: the streams of the last days, and the list of conversations.
"""

from collections.abc import Iterator

CHATS = 200
"""In every inbox; a quarter of its messages is in the first."""

FIRST_PHONE = "49170"

# Three of four messages came, one was sent; the newest are of this moment.
_MESSAGES = """
SET session_replication_role = replica;
INSERT INTO public.whatsapp_incoming_messages
    (message_id, wa_key_id, from_phone, chat, push_name, message_text, wasender_session_id, received_at, is_read,
    replied, raw_data)
SELECT 'OLD' || i, 'OLD' || i, phone, phone || '@s.whatsapp.net', 'Customer', 'An older message, number ' || i,
    i % {inboxes} + 1, now() - make_interval(secs => ({rows} - i) * 2), i % 50 <> 0, i % 3 <> 0, '{{"old": true}}'
FROM (
    SELECT i, '4917' || (CASE i / {inboxes} % 4 WHEN 0 THEN 0 ELSE i / {inboxes} % {chats} END * 7919) AS phone
    FROM generate_series(1, {rows}) AS i
    WHERE i / {inboxes} % 4 <> 3
) AS made;
INSERT INTO public.whatsapp_outgoing_messages
    (client_id, wa_key_id, to_phone, chat, message_text, wasender_session_id, created_at, sent_at, status, origin)
SELECT 'OLD' || i, 'OLD' || i, phone, phone || '@s.whatsapp.net', 'An older answer, number ' || i, i % {inboxes} + 1,
    now() - make_interval(secs => ({rows} - i) * 2), now() - make_interval(secs => ({rows} - i) * 2), 'read', 'phone'
FROM (
    SELECT i, '4917' || ((i / {inboxes} - 1) % {chats} * 7919) AS phone FROM generate_series(1, {rows}) AS i
    WHERE i / {inboxes} % 4 = 3
) AS made;
SET session_replication_role = origin;
"""

_STREAMS = """
INSERT INTO gateway.inboxes (inbox) SELECT generate_series(1, {counters}) ON CONFLICT DO NOTHING;
INSERT INTO gateway.inboxes (inbox, off)
SELECT box, {streamed} / {inboxes} FROM generate_series(1, {inboxes}) AS box
ON CONFLICT (inbox) DO UPDATE SET off = excluded.off;
INSERT INTO gateway.stream (inbox, off, at, tbl, op, record, old)
SELECT box, off, now() - interval '1 day', 'whatsapp_incoming_messages', 'INSERT',
    jsonb_build_object('id', off, 'message_text', 'An older message', 'from_phone', '4917'),
    jsonb_build_object('id', off)
FROM generate_series(1, {inboxes}) AS box, generate_series(1, {streamed} / {inboxes}) AS off;
"""

_CONVERSATIONS = """
TRUNCATE gateway.conversations, gateway.projections;
INSERT INTO gateway.conversations (session, chat, last_at, unread, is_unreplied, push_name)
SELECT session, chat, last_at, unread, is_unreplied, push_name
FROM gateway.conversations_of_sessions_v1((SELECT array_agg(inbox) FROM gateway.inboxes)) AS made;
INSERT INTO gateway.projections (inbox, off, epoch, zone)
SELECT inbox, off, epoch, gateway.message_zone_v1() FROM gateway.inboxes WHERE inbox >= 0;
"""

_SETTLE = """
ANALYZE public.whatsapp_incoming_messages, public.whatsapp_outgoing_messages, gateway.stream, gateway.inboxes,
    gateway.conversations, gateway.projections;
"""


def statements(rows: int, inboxes: int, counters: int) -> Iterator[str]:
    """What fills a migrated, empty database; to be executed one after the other.

    The messages are in the inboxes 1 to `inboxes`; there are `counters` inboxes in all.
    """
    sizes = {"rows": rows, "inboxes": inboxes, "counters": counters, "streamed": rows // 5, "chats": CHATS}
    yield _MESSAGES.format(**sizes)
    yield _STREAMS.format(**sizes)
    yield from (_CONVERSATIONS, _SETTLE, "CHECKPOINT")
