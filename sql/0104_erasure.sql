-- Erasing a person, and forgetting messages that are old enough.

CREATE TABLE IF NOT EXISTS gateway.tombstones (
    session bigint NOT NULL,
    digest bytea NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (session, digest)
);
COMMENT ON TABLE gateway.tombstones IS
    'Whose conversation was erased: what was received before that, and still waits in a spool, is dropped.';
COMMENT ON COLUMN gateway.tombstones.session IS 'The session.';
COMMENT ON COLUMN gateway.tombstones.digest IS 'HMAC of an address of the person, under a key that is not in the database.';
COMMENT ON COLUMN gateway.tombstones.at IS 'When it was erased.';

CREATE OR REPLACE FUNCTION gateway.person_addresses_v1(of_chat text) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH phones AS (
        SELECT DISTINCT spelling AS phone
        FROM (
            SELECT split_part(of_chat, '@', 1) AS phone WHERE of_chat LIKE '%@s.whatsapp.net'
            UNION
            SELECT l.phone FROM gateway.lids AS l WHERE l.lid = of_chat
        ) AS known
        CROSS JOIN LATERAL unnest(gateway.spellings_v1(gateway.one_number_v1(known.phone)) || known.phone) AS spelling
    )
    SELECT array_agg(DISTINCT address)
    FROM (
        SELECT of_chat AS address
        UNION SELECT p.phone || '@s.whatsapp.net' FROM phones AS p
        UNION SELECT l.lid FROM gateway.lids AS l JOIN phones AS p ON p.phone = l.phone
    ) AS every;
$$;
COMMENT ON FUNCTION gateway.person_addresses_v1(text) IS 'Every JID under which the person of a conversation is known.';

-- What texts name a person: the digits of a number, a LID with its server.
CREATE OR REPLACE FUNCTION gateway.patterns_of_v1(addresses text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE
AS $$
    SELECT array_agg('%' || CASE WHEN a LIKE '%@s.whatsapp.net' THEN split_part(a, '@', 1) ELSE a END || '%')
    FROM unnest(addresses) AS a;
$$;
COMMENT ON FUNCTION gateway.patterns_of_v1(text[]) IS 'LIKE patterns of texts that name one of these addresses.';

-- Queued messages end here. True where one is being sent: then nothing may be erased yet.
CREATE OR REPLACE FUNCTION gateway.begin_erasure_v1(box bigint, of_chat text, digests bytea[]) RETURNS boolean
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM FROM public.whatsapp_outgoing_messages AS m
    WHERE coalesce(m.wasender_session_id, 0) = box AND gateway.chat_of(m.chat, m.to_phone) = of_chat
        AND m.status IN ('queued', 'sending')
    FOR UPDATE;
    IF EXISTS (
        SELECT FROM public.whatsapp_outgoing_messages AS m
        WHERE coalesce(m.wasender_session_id, 0) = box AND gateway.chat_of(m.chat, m.to_phone) = of_chat
            AND m.status = 'sending'
    ) THEN
        RETURN true;
    END IF;
    UPDATE public.whatsapp_outgoing_messages AS m
    SET status = 'cancelled'
    WHERE coalesce(m.wasender_session_id, 0) = box AND gateway.chat_of(m.chat, m.to_phone) = of_chat
        AND m.status = 'queued';
    INSERT INTO gateway.tombstones AS t (session, digest, at)
    SELECT box, digest, clock_timestamp() FROM unnest(digests) AS digest
    ON CONFLICT (session, digest) DO UPDATE SET at = excluded.at;
    RETURN false;
END;
$$;
COMMENT ON FUNCTION gateway.begin_erasure_v1(bigint, text, bytea[]) IS
    'Cancels what is queued and sets the tombstone; true while a message is being sent.';

-- Messages of the conversation, and what the person wrote in groups: at most `most` of each table, so that no
-- transaction changes more than a stream tells. Returned are the hashes of files that no message has any more.
CREATE OR REPLACE FUNCTION gateway.erase_messages_v1(
    box bigint, addresses text[], most int, OUT erased int, OUT hashes text[]
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    phones text[] := ARRAY(SELECT split_part(a, '@', 1) FROM unnest(addresses) AS a WHERE a LIKE '%@s.whatsapp.net');
    refs text[];
    sent text[];
BEGIN
    WITH gone AS (
        DELETE FROM public.whatsapp_incoming_messages AS m
        WHERE m.id = ANY (ARRAY(
            SELECT due.id FROM public.whatsapp_incoming_messages AS due
            WHERE coalesce(due.wasender_session_id, 0) = box
                AND (gateway.chat_of(due.chat, due.from_phone) = ANY (addresses)
                    OR due.from_phone = ANY (phones || addresses) OR due.sender_lid = ANY (addresses))
            LIMIT most))
        RETURNING m.message_id
    )
    SELECT array_agg(message_id) INTO refs FROM gone;
    WITH gone AS (
        DELETE FROM public.whatsapp_outgoing_messages AS m
        WHERE m.id = ANY (ARRAY(
            SELECT due.id FROM public.whatsapp_outgoing_messages AS due
            WHERE coalesce(due.wasender_session_id, 0) = box
                AND (gateway.chat_of(due.chat, due.to_phone) = ANY (addresses)
                    OR due.to_phone = ANY (phones || addresses))
            LIMIT most))
        RETURNING m.client_id
    )
    SELECT array_agg(client_id) INTO sent FROM gone;
    erased := coalesce(cardinality(refs), 0) + coalesce(cardinality(sent), 0);
    WITH gone AS (
        DELETE FROM gateway.media AS f
        WHERE (f.tbl = 'whatsapp_incoming_messages' AND f.ref = ANY (refs))
            OR (f.tbl = 'whatsapp_outgoing_messages' AND f.ref = ANY (sent) AND f.session = box)
        RETURNING f.sha256, f.id
    )
    SELECT coalesce(array_agg(DISTINCT gone.sha256) FILTER (WHERE gone.sha256 IS NOT NULL AND NOT EXISTS (
        SELECT FROM gateway.media AS other
        WHERE other.sha256 = gone.sha256 AND other.id NOT IN (SELECT id FROM gone))), '{}')
    INTO hashes FROM gone;
END;
$$;
COMMENT ON FUNCTION gateway.erase_messages_v1(bigint, text[], int) IS 'Deletes messages of a person, a step at a time.';

-- Everything else that names the person in this session. Events keep their offset as a deletion that names an id alone.
CREATE OR REPLACE FUNCTION gateway.erase_traces_v1(box bigint, addresses text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    phones text[] := ARRAY(SELECT split_part(a, '@', 1) FROM unnest(addresses) AS a WHERE a LIKE '%@s.whatsapp.net');
    patterns text[] := gateway.patterns_of_v1(addresses);
BEGIN
    UPDATE public.whatsapp_incoming_messages AS m
    SET reactions = (SELECT jsonb_agg(r) FROM jsonb_array_elements(m.reactions) AS r WHERE r ->> 'by' <> ALL (phones || addresses))
    WHERE coalesce(m.wasender_session_id, 0) = box AND m.reactions IS NOT NULL AND m.reactions::text LIKE ANY (patterns);
    UPDATE public.whatsapp_outgoing_messages AS m
    SET reactions = (SELECT jsonb_agg(r) FROM jsonb_array_elements(m.reactions) AS r WHERE r ->> 'by' <> ALL (phones || addresses))
    WHERE coalesce(m.wasender_session_id, 0) = box AND m.reactions IS NOT NULL AND m.reactions::text LIKE ANY (patterns);
    UPDATE gateway.journal AS j
    SET body = NULL, reason = 'erased'
    WHERE j.wasender_session_id = box AND (j.body::text LIKE ANY (patterns) OR j.reason LIKE ANY (patterns));
    DELETE FROM gateway.early_deliveries AS e WHERE e.wasender_session_id = box AND e.chat = ANY (addresses);
    DELETE FROM gateway.early_changes AS e
    WHERE e.wasender_session_id = box AND (e.author = ANY (phones || addresses) OR e.change::text LIKE ANY (patterns));
    DELETE FROM gateway.conversation_marks AS m WHERE m.session = box AND m.chat = ANY (addresses);
    DELETE FROM gateway.conversations AS c WHERE c.session = box AND c.chat = ANY (addresses);
    DELETE FROM gateway.contacts AS c
    WHERE c.session = box AND (c.jid = ANY (addresses) OR c.phone = ANY (phones) OR c.lid = ANY (addresses));
    UPDATE gateway.contacts AS c
    SET members = (
        SELECT CASE jsonb_typeof(c.members)
            WHEN 'object' THEN (
                SELECT coalesce(jsonb_object_agg(member.key, member.value), '{}') FROM jsonb_each(c.members) AS member
                WHERE NOT (member.key || member.value::text) LIKE ANY (patterns))
            WHEN 'array' THEN (
                SELECT coalesce(jsonb_agg(member), '[]') FROM jsonb_array_elements(c.members) AS member
                WHERE NOT member::text LIKE ANY (patterns))
        END)
    WHERE c.session = box AND c.members IS NOT NULL AND c.members::text LIKE ANY (patterns);
    UPDATE public.whatsapp_session_logs AS l
    SET message = 'Erased.', metadata = jsonb_build_object('erased', true)
    FROM public.whatsapp_sessions AS s
    WHERE s.id = l.session_id AND s.wasender_session_id = box AND l.written_by = 'gateway'
        AND (l.metadata::text LIKE ANY (patterns) OR l.message LIKE ANY (patterns));
    -- What is known of the person's addresses belongs to all sessions: it goes with the last conversation.
    IF NOT EXISTS (SELECT FROM gateway.conversations AS c WHERE c.chat = ANY (addresses)) THEN
        DELETE FROM gateway.lid_lookups AS l WHERE l.lid = ANY (addresses);
        DELETE FROM gateway.moves AS m WHERE m.address = ANY (phones || addresses) OR m.phone = ANY (phones);
        DELETE FROM gateway.numbers AS n WHERE n.phone = ANY (phones) OR n.person = ANY (phones);
        DELETE FROM gateway.lids AS l WHERE l.lid = ANY (addresses) OR l.phone = ANY (phones);
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.erase_traces_v1(bigint, text[]) IS 'Deletes what names a person beside his messages.';

CREATE OR REPLACE FUNCTION gateway.erase_events_v1(box bigint, addresses text[]) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE gateway.stream AS s
    SET op = 'DELETE', record = NULL, old = jsonb_build_object('id', s.old -> 'id')
    WHERE s.inbox = gateway.inbox_of(box)
        AND (s.record::text LIKE ANY (gateway.patterns_of_v1(addresses))
            OR s.old::text LIKE ANY (gateway.patterns_of_v1(addresses)));
$$;
COMMENT ON FUNCTION gateway.erase_events_v1(bigint, text[]) IS
    'Leaves of the events that name a person a deletion with the id alone, at the same offset.';

-- Old messages, at most `most` of each direction. What may still be sent is kept, however old it is.
CREATE OR REPLACE FUNCTION gateway.forget_messages_v1(days double precision, most int) RETURNS int
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    refs text[];
    sent text[];
    bodies int;
BEGIN
    WITH gone AS (
        DELETE FROM public.whatsapp_incoming_messages AS m
        WHERE m.id = ANY (ARRAY(
            SELECT due.id FROM public.whatsapp_incoming_messages AS due
            WHERE coalesce(due.received_at, due.created_at)::timestamptz < now() - days * interval '1 day'
            LIMIT most FOR UPDATE SKIP LOCKED))
        RETURNING m.message_id
    )
    SELECT array_agg(message_id) INTO refs FROM gone;
    WITH gone AS (
        DELETE FROM public.whatsapp_outgoing_messages AS m
        WHERE m.id = ANY (ARRAY(
            SELECT due.id FROM public.whatsapp_outgoing_messages AS due
            WHERE coalesce(due.sent_at, due.created_at)::timestamptz < now() - days * interval '1 day'
                AND coalesce(due.status, '') NOT IN ('queued', 'sending', 'unknown')
            LIMIT most FOR UPDATE SKIP LOCKED))
        RETURNING m.client_id
    )
    SELECT array_agg(client_id) INTO sent FROM gone;
    DELETE FROM gateway.media AS f
    WHERE (f.tbl = 'whatsapp_incoming_messages' AND f.ref = ANY (refs))
        OR (f.tbl = 'whatsapp_outgoing_messages' AND f.ref = ANY (sent));
    UPDATE gateway.journal AS j
    SET body = NULL
    WHERE j.id IN (
        SELECT due.id FROM gateway.journal AS due
        WHERE due.received_at < now() - days * interval '1 day' AND due.body IS NOT NULL AND due.event LIKE 'message%'
        ORDER BY due.received_at LIMIT most FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS bodies = ROW_COUNT;
    RETURN coalesce(cardinality(refs), 0) + coalesce(cardinality(sent), 0) + bodies;
END;
$$;
COMMENT ON FUNCTION gateway.forget_messages_v1(double precision, int) IS
    'Deletes messages that are older than so many days, with their files and the bodies of their webhooks.';
