"""What webhooks do to the shop's tables, as SQL: one statement per kind of change."""

RECEIVE = """
SELECT * FROM gateway.receive_v3(
    $1, $2, $3, $4, $5, $6, $7, $8, $9,
    $10, $11, $12, $13, $14, $15, $16)
"""

RECEIVE_AND_JOURNAL = """
SELECT * FROM gateway.receive_and_journal_v3(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
    $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23) AS r
"""

# The write, and the numbering of what it wrote: one statement, so that Postgres is asked once.
RECEIVE_AND_TELL = """
SELECT * FROM gateway.receive_and_journal_v3(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23) AS r
CROSS JOIN LATERAL gateway.number_own_v1(r.stored)
"""

RECEIVE_ARGUMENTS = 23
RECEIVE_TELL_AND_KEEP = """
SELECT * FROM gateway.receive_and_journal_v3(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23) AS r
CROSS JOIN LATERAL gateway.number_own_v1(r.stored)
CROSS JOIN LATERAL gateway.keep_raw_v1($24, $25, $26, $27, $28)
"""
RECEIVE_AND_KEEP = """
SELECT * FROM gateway.receive_and_journal_v3(
    $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23) AS r
CROSS JOIN LATERAL gateway.keep_raw_v1($24, $25, $26, $27, $28)
"""

KEEP_RAW = "SELECT gateway.keep_raw_v1($1, $2, $3, $4, $5)"

SEND = "SELECT * FROM gateway.send_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)"

AMEND = "SELECT gateway.amend_v1($1, $2, $3, $4, $5)"

TELL_PEOPLE = "SELECT gateway.tell_people_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"

ANSWERED = """
INSERT INTO gateway.early_changes (wasender_session_id, wa_key_id, kind, author, at, change)
SELECT session, key, 'answered', '', at, '{}'
FROM unnest($1::bigint[], $2::text[], $3::timestamptz[]) AS call (session, key, at)
ORDER BY session, key
ON CONFLICT DO NOTHING
"""

WAS_ANSWERED = """
SELECT wasender_session_id AS session, wa_key_id AS key
FROM gateway.early_changes
JOIN unnest($1::bigint[], $2::text[]) AS call (session, key)
    ON wasender_session_id = call.session AND wa_key_id = call.key
WHERE kind = 'answered'
"""

# What a change may be sealed with: the secret in the webhook of the message it is about; with every address of the
# message's author, of the linked number, and of the person who changes it ($3).
ORIGINALS = """
SELECT c.place, m.raw_data AS raw, m.is_mine, gateway.addresses_of_v1(m.author, m.lid) AS author,
    gateway.addresses_of_v1(c.who, NULL) AS changer, own.addresses AS own
FROM unnest($1::bigint[], $2::text[], $3::text[]) WITH ORDINALITY AS c (session, key, who, place)
CROSS JOIN LATERAL (
    SELECT i.raw_data, i.from_phone AS author, i.sender_lid AS lid, false AS is_mine
    FROM public.whatsapp_incoming_messages AS i
    WHERE i.wa_key_id = c.key AND i.wasender_session_id = c.session
    UNION ALL
    SELECT o.raw_data, NULL, NULL, true
    FROM public.whatsapp_outgoing_messages AS o
    WHERE o.wa_key_id = c.key AND o.wasender_session_id = c.session
) AS m
LEFT JOIN LATERAL (
    SELECT gateway.addresses_of_v1(
        regexp_replace(s.phone_number, '[^0-9]', '', 'g'),
        gateway.record_of_v1(s.*, 'public.whatsapp_sessions'::regclass) -> 'user_info' ->> 'lid') AS addresses
    FROM public.whatsapp_sessions AS s WHERE s.wasender_session_id = c.session
) AS own ON true
"""

MOVE = "SELECT gateway.move_v1($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"

TAKE_EARLY = """
DELETE FROM gateway.early_deliveries early
USING unnest($1::bigint[], $2::text[]) AS sent(session_id, wa_key_id)
WHERE early.wasender_session_id = sent.session_id AND early.wa_key_id = sent.wa_key_id
RETURNING early.wasender_session_id, early.wa_key_id, early.state, early.at, early.error, early.chat
"""

SWEEP_EARLY = "SELECT gateway.sweep_early_v2($1, $2, $3, $4)"

# The sealed changes that were opened, or cannot be; they had been kept until then.
FORGET_SEALED = """
DELETE FROM gateway.early_changes AS early
USING unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[]) AS done (session, key, kind, at)
WHERE early.wasender_session_id = done.session AND early.wa_key_id = done.key AND early.kind = done.kind
    AND early.at = done.at AND (early.change ->> 'is_sealed')::boolean AND early.link IS NULL
"""

# States that were told while another process was writing their message.
SWEEP_EARLY_DELIVERIES = """
DELETE FROM gateway.early_deliveries AS early
WHERE (early.wasender_session_id, early.wa_key_id) IN (
    SELECT due.wasender_session_id, due.wa_key_id
    FROM gateway.early_deliveries AS due
    WHERE due.came_at <= now() - $2::interval AND due.came_at > now() - $3::interval AND due.link IS NULL AND EXISTS (
        SELECT FROM public.whatsapp_outgoing_messages AS m
        WHERE m.wa_key_id = due.wa_key_id AND m.wasender_session_id = due.wasender_session_id)
    ORDER BY due.came_at DESC
    LIMIT $1
    FOR UPDATE SKIP LOCKED)
RETURNING early.wasender_session_id, early.wa_key_id, early.state, early.at, early.error, early.chat
"""

JOURNAL = """
INSERT INTO gateway.journal (received_at, wasender_session_id, event, outcome, reason, body, gateway)
SELECT received_at, session_id, event, outcome, reason, body::jsonb, $7
FROM unnest($1::timestamptz[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[])
    AS item(received_at, session_id, event, outcome, reason, body)
"""

# Waits for no lock and is not part of a batch: ON CONFLICT would lock the row even where there is nothing to write, and
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
