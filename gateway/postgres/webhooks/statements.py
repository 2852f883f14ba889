"""What webhooks do to the shop's tables, as SQL: one statement per kind of change."""

KNOWN_LIDS = "SELECT lid, phone FROM gateway.lids WHERE lid = ANY($1::text[])"

RECEIVE = "SELECT gateway.receive_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"

# One is an argument of the other: so the journal is written last, and knows.
RECEIVE_AND_JOURNAL = """
SELECT gateway.journal_v1(
    gateway.receive_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13), $14, $15, $16, $17, $18, $19, $20)
"""

IN_ARRIVAL = "SELECT gateway.in_arrival_v1($1, $2, $3)"

SENT = """
INSERT INTO public.whatsapp_outgoing_messages AS m (
    client_id, wasender_session_id, chat, to_phone, message_text, message_type, media_url, status,
    wa_key_id, origin, created_at, sent_at, raw_data)
SELECT 'wa:' || session_id || ':' || wa_key_id, session_id, chat, to_phone, message_text, message_type, media_url,
       'sent', wa_key_id, 'phone', sent_at, sent_at, raw_data
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::timestamptz[], $9::jsonb[])
    AS new(wa_key_id, session_id, chat, to_phone, message_text, message_type, media_url, sent_at, raw_data)
ORDER BY session_id, wa_key_id
ON CONFLICT DO NOTHING
RETURNING m.wasender_session_id, m.wa_key_id
"""

MARK_REPLIED = """
UPDATE public.whatsapp_incoming_messages m
SET replied = true, replied_at = sent.at
FROM (
    SELECT session_id, chat, max(at) AS at
    FROM unnest($1::bigint[], $2::text[], $3::timestamptz[]) AS item(session_id, chat, at)
    GROUP BY session_id, chat
) sent
WHERE coalesce(m.wasender_session_id, 0) = sent.session_id
  AND gateway.chat_of(m.chat, m.from_phone) = sent.chat
  AND NOT coalesce(m.replied, false)
  AND m.received_at <= sent.at
"""

EDIT_INCOMING = """
UPDATE public.whatsapp_incoming_messages SET message_text = $3, edited_at = $4
WHERE wa_key_id = $1 AND wasender_session_id = $2 AND (edited_at IS NULL OR edited_at < $4)
"""

EDIT_OUTGOING = EDIT_INCOMING.replace("incoming", "outgoing")

DELETE_INCOMING = """
UPDATE public.whatsapp_incoming_messages SET deleted_at = $3
WHERE wa_key_id = $1 AND wasender_session_id = $2 AND deleted_at IS NULL
"""

DELETE_OUTGOING = DELETE_INCOMING.replace("incoming", "outgoing")

# The order of delivery states lives in the domain; here it is a parameter: the words that may be overwritten.
# Ticks only move up, so they need no time; between `failed` and the others, the one that was told later counts.
MOVE = """
UPDATE public.whatsapp_outgoing_messages
SET status = $3,
    status_at = greatest(status_at, $4),
    error = coalesce($5, error),
    delivered_at = CASE WHEN $3 IN ('delivered', 'read') THEN coalesce(delivered_at, $4) ELSE delivered_at END,
    read_at = CASE WHEN $3 = 'read' THEN coalesce(read_at, $4) ELSE read_at END
WHERE wa_key_id = $1 AND wasender_session_id = $2 AND coalesce(status, 'unknown') = ANY($6::text[])
  AND ('failed' NOT IN ($3, coalesce(status, 'unknown')) OR status_at IS NULL OR status_at <= $4)
"""

EARLY = """
INSERT INTO gateway.early_deliveries AS early (wasender_session_id, wa_key_id, state, at, error)
SELECT $2, $1, $3, $4, $5
WHERE NOT EXISTS (
    SELECT FROM public.whatsapp_outgoing_messages WHERE wa_key_id = $1 AND wasender_session_id = $2)
ON CONFLICT (wasender_session_id, wa_key_id) DO UPDATE
SET state = excluded.state, at = excluded.at, error = excluded.error
WHERE early.state = ANY($6::int[]) AND ($7 NOT IN (early.state, excluded.state) OR early.at <= excluded.at)
"""

TAKE_EARLY = """
DELETE FROM gateway.early_deliveries early
USING unnest($1::bigint[], $2::text[]) AS sent(session_id, wa_key_id)
WHERE early.wasender_session_id = sent.session_id AND early.wa_key_id = sent.wa_key_id
RETURNING early.wasender_session_id, early.wa_key_id, early.state, early.at, early.error
"""

JOURNAL = """
INSERT INTO gateway.journal (received_at, wasender_session_id, event, outcome, reason, body, gateway)
SELECT received_at, session_id, event, outcome, reason, body, $7
FROM unnest($1::timestamptz[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::jsonb[])
    AS item(received_at, session_id, event, outcome, reason, body)
"""

# Waits for nobody and is not part of a batch: ON CONFLICT would lock the row even where there is nothing to write, and
# a batch that waits for a stranger would then keep every other batch of its session waiting.
SEEN = """
WITH due AS (
    SELECT wasender_session_id FROM gateway.session_state
    WHERE wasender_session_id = ANY($1::bigint[])
    FOR UPDATE SKIP LOCKED
)
UPDATE gateway.session_state st SET webhook_seen_at = now()
FROM due
WHERE st.wasender_session_id = due.wasender_session_id
"""

IS_KNOWN = """
SELECT EXISTS (
    SELECT FROM public.whatsapp_incoming_messages WHERE wa_key_id = $1 AND wasender_session_id = $2
    UNION ALL
    SELECT FROM public.whatsapp_outgoing_messages WHERE wa_key_id = $1 AND wasender_session_id = $2
)
"""
