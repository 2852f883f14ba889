-- The queues: what is known of each session's beside its rows, and how a row moves.
--
-- Functions that write to the shop's table keep the caller's search_path: the shop's own triggers run within it.

CREATE TABLE IF NOT EXISTS gateway.send_queues (
    session bigint PRIMARY KEY,
    holder text,
    queue jsonb,
    shown jsonb,
    seen_off bigint,
    seen_epoch uuid
) WITH (fillfactor = 50);
COMMENT ON TABLE gateway.send_queues IS 'One row per session that has ever sent: who sends, and what is known of the pace.';
COMMENT ON COLUMN gateway.send_queues.session IS 'WasenderAPI''s id of the session.';
COMMENT ON COLUMN gateway.send_queues.holder IS 'The only sender that may begin calls.';
COMMENT ON COLUMN gateway.send_queues.queue IS 'Pauses and pace, for the next sender.';
COMMENT ON COLUMN gateway.send_queues.shown IS 'Part `sending` of the session''s state, as it was told last.';
COMMENT ON COLUMN gateway.send_queues.seen_off IS 'Events of the inbox up to here have been looked through for chats that wrote.';
COMMENT ON COLUMN gateway.send_queues.seen_epoch IS 'The history that offset belongs to.';

CREATE TABLE IF NOT EXISTS gateway.send_lanes (
    session bigint NOT NULL,
    chat text NOT NULL,
    PRIMARY KEY (session, chat)
);
COMMENT ON TABLE gateway.send_lanes IS 'Chats with waiting messages that ever wrote to us: they go before first contacts.';
COMMENT ON COLUMN gateway.send_lanes.session IS 'WasenderAPI''s id of the session.';
COMMENT ON COLUMN gateway.send_lanes.chat IS 'JID of the chat.';

CREATE TABLE IF NOT EXISTS gateway.send_checks (
    send_no bigint PRIMARY KEY,
    session bigint NOT NULL,
    due_at timestamptz NOT NULL,
    tries int NOT NULL DEFAULT 0,
    told text
);
CREATE INDEX IF NOT EXISTS send_checks_due ON gateway.send_checks (session, due_at);
COMMENT ON TABLE gateway.send_checks IS 'Messages whose fate WasenderAPI is to be asked for: accepted ones, and unknown ones.';
COMMENT ON COLUMN gateway.send_checks.send_no IS 'The message.';
COMMENT ON COLUMN gateway.send_checks.session IS 'WasenderAPI''s id of the session.';
COMMENT ON COLUMN gateway.send_checks.due_at IS 'When to ask.';
COMMENT ON COLUMN gateway.send_checks.tries IS 'How often it was asked.';
COMMENT ON COLUMN gateway.send_checks.told IS 'Reason of a failure that named no message, and may be this one''s.';

CREATE TABLE IF NOT EXISTS gateway.sent_echoes (
    session bigint NOT NULL,
    key_id text NOT NULL,
    chat text NOT NULL,
    look text NOT NULL,
    at timestamptz NOT NULL,
    came_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    is_named boolean NOT NULL,
    msg_id bigint,
    message jsonb,
    claimed_by bigint,
    PRIMARY KEY (session, key_id)
);
CREATE INDEX IF NOT EXISTS sent_echoes_open ON gateway.sent_echoes (session, chat) WHERE claimed_by IS NULL;
CREATE INDEX IF NOT EXISTS sent_echoes_held ON gateway.sent_echoes (session) WHERE claimed_by IS NULL AND message IS NOT NULL;
CREATE INDEX IF NOT EXISTS sent_echoes_came_at ON gateway.sent_echoes (came_at);
COMMENT ON TABLE gateway.sent_echoes IS
    'Keys of messages that may be ours: held until it is clear whose they are, and remembered for a week.';
COMMENT ON COLUMN gateway.sent_echoes.session IS 'WasenderAPI''s id of the session.';
COMMENT ON COLUMN gateway.sent_echoes.key_id IS 'WhatsApp''s key id.';
COMMENT ON COLUMN gateway.sent_echoes.chat IS 'JID of the conversation.';
COMMENT ON COLUMN gateway.sent_echoes.look IS 'What messages of one chat have in common that nothing tells apart.';
COMMENT ON COLUMN gateway.sent_echoes.at IS 'When WhatsApp took it, at the latest.';
COMMENT ON COLUMN gateway.sent_echoes.came_at IS 'When it was heard of first.';
COMMENT ON COLUMN gateway.sent_echoes.is_named IS 'WasenderAPI has named it for a send; otherwise a person may have typed it.';
COMMENT ON COLUMN gateway.sent_echoes.msg_id IS 'WasenderAPI''s number of it, where that was told.';
COMMENT ON COLUMN gateway.sent_echoes.message IS 'What gateway.send_v1 takes, while it is held; NULL once it is a row.';
COMMENT ON COLUMN gateway.sent_echoes.claimed_by IS 'send_no of the message whose key this is.';

CREATE OR REPLACE FUNCTION gateway.chat_lock_v1(session bigint, chat text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('gateway.chat:' || $1 || ':' || $2, 0));
$$;
COMMENT ON FUNCTION gateway.chat_lock_v1(bigint, text) IS 'Writers of answers to one chat come one after the other.';

CREATE OR REPLACE FUNCTION gateway.ever_wrote_v1(box bigint, named text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((
        SELECT true FROM public.whatsapp_incoming_messages AS m
        WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.from_phone) = $2
        ORDER BY m.received_at DESC LIMIT 1), false);
$$;
COMMENT ON FUNCTION gateway.ever_wrote_v1(bigint, text) IS 'Whether anything ever came from a chat.';

CREATE OR REPLACE FUNCTION gateway.wake_sender_v1(session bigint) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT pg_notify('whatsapp_gateway_sending', $1::text);
$$;
COMMENT ON FUNCTION gateway.wake_sender_v1(bigint) IS 'Tells the gateways that a queue has changed.';

-- Why the gateway cannot send from this table; NULL if it can.
CREATE OR REPLACE FUNCTION gateway.sending_fault_v1() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('Column %s of whatsapp_outgoing_messages is of type %s, and sending needs %s',
        a.attname, format_type(a.atttypid, NULL), wanted.kinds[1])
    FROM (VALUES
        ('send_no', '{bigint}'::text[]), ('queued_at', '{timestamp with time zone}'), ('due_at', '{timestamp with time zone}'),
        ('attempt', '{integer,bigint,smallint}'), ('sending_at', '{timestamp with time zone}'),
        ('holder', '{text,character varying}'), ('payload', '{jsonb}'), ('request_hash', '{text,character varying}'),
        ('error_code', '{text,character varying}'), ('accepted_at', '{timestamp with time zone,timestamp without time zone}'),
        ('played_at', '{timestamp with time zone,timestamp without time zone}'),
        ('created_by_sub', '{text,character varying}'), ('overtaken_by', '{text,character varying}'),
        ('status', '{text,character varying}'), ('client_id', '{text,character varying}'), ('chat', '{text,character varying}'),
        ('to_phone', '{text,character varying}'), ('message_text', '{text,character varying}'),
        ('message_type', '{text,character varying}'), ('reply_to', '{text,character varying}'),
        ('msg_id', '{bigint}'), ('wa_key_id', '{text,character varying}'), ('error', '{text,character varying}'),
        ('send_after', '{timestamp with time zone,timestamp without time zone}'), ('origin', '{text,character varying}'),
        ('created_by', '{text,character varying}')
    ) AS wanted (name, kinds)
    JOIN pg_attribute AS a ON a.attrelid = 'public.whatsapp_outgoing_messages'::regclass AND a.attname = wanted.name
    WHERE NOT a.attisdropped AND format_type(a.atttypid, NULL) <> ALL (wanted.kinds)
    ORDER BY a.attnum
    LIMIT 1;
$$;
COMMENT ON FUNCTION gateway.sending_fault_v1() IS 'Why the gateway cannot send from this table; NULL if it can.';

-- What an author had not seen: answers of others in the chat, behind `off`; of an unknown position the last 20.
CREATE OR REPLACE FUNCTION gateway.unseen_answers_v1(box bigint, named text, seen_off bigint, seen_epoch text, author text)
RETURNS TABLE (id text, record jsonb)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH place AS (
        SELECT coalesce(i.epoch::text = $4 AND $3 BETWEEN i.floor AND i.off, false) AS is_known
        FROM (SELECT) AS one LEFT JOIN gateway.inboxes AS i ON i.inbox = $1
    ), heard AS (
        SELECT DISTINCT s.record ->> 'id' AS id
        FROM place CROSS JOIN gateway.stream AS s
        WHERE place.is_known AND s.inbox = $1 AND s.off > $3 AND s.tbl = 'whatsapp_outgoing_messages'
            AND gateway.chat_of(s.record ->> 'chat', s.record ->> 'to_phone') = $2
            AND (s.op = 'INSERT' OR (s.op = 'UPDATE' AND s.record ->> 'status' = 'queued' AND s.old -> 'changed' ? 'status'))
    ), newest AS (
        SELECT m.id::text AS id, m.created_at
        FROM place CROSS JOIN public.whatsapp_outgoing_messages AS m
        WHERE NOT place.is_known AND coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.to_phone) = $2
            AND coalesce(m.status, '') NOT IN ('failed', 'cancelled')
            AND m.created_by_sub IS DISTINCT FROM $5 AND m.message_type IS DISTINCT FROM 'reaction'
        ORDER BY m.created_at DESC
        LIMIT 20
    )
    SELECT m.id::text, gateway.record_of_v1(m.*, 'public.whatsapp_outgoing_messages'::regclass)
    FROM public.whatsapp_outgoing_messages AS m
    WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.to_phone) = $2
        AND (m.id::text IN (SELECT h.id FROM heard AS h) OR m.id::text IN (SELECT n.id FROM newest AS n))
        AND coalesce(m.status, '') NOT IN ('failed', 'cancelled')
        AND m.created_by_sub IS DISTINCT FROM $5 AND m.message_type IS DISTINCT FROM 'reaction'
    ORDER BY m.created_at, m.id::text;
$$;
COMMENT ON FUNCTION gateway.unseen_answers_v1(bigint, text, bigint, text, text) IS
    'Answers of others in a chat that were given behind this position.';

-- A message into the queue. `verdict` is queued, known (the same request again) or conflict. The locks are in this order
-- everywhere: client_id, then chat.
CREATE OR REPLACE FUNCTION gateway.find_send_v1(box bigint, client text, named text, hash text, OUT verdict text, OUT id text)
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    found_row record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('gateway.client:' || box || ':' || client, 0));
    PERFORM gateway.chat_lock_v1(box, named);
    SELECT m.id::text AS id, m.request_hash = hash AND gateway.is_one_person_v1(m.chat, named) AS is_same INTO found_row
    FROM public.whatsapp_outgoing_messages AS m
    WHERE m.wasender_session_id = box AND m.client_id = client
    LIMIT 1;
    IF FOUND THEN
        id := found_row.id;
        verdict := CASE WHEN found_row.is_same THEN 'known' ELSE 'conflict' END;
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.find_send_v1(bigint, text, text, text) IS
    'Whether a request came before; holds what keeps others of that chat and client_id away until the transaction ends.';

CREATE OR REPLACE FUNCTION gateway.queue_send_v1(
    box bigint, client text, named text, phone text, words text, kind text, quoted text, wished_at timestamptz,
    origin text, author text, author_sub text, request jsonb, hash text
) RETURNS text
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    number bigint := nextval('gateway.send_numbers');
    made text;
    moment timestamptz := clock_timestamp();
BEGIN
    INSERT INTO public.whatsapp_outgoing_messages AS m (
        client_id, wasender_session_id, chat, to_phone, message_text, message_type, reply_to, status, send_after,
        origin, created_by, created_by_sub, created_at, send_no, queued_at, due_at, attempt, payload, request_hash)
    VALUES (client, box, named, phone, words, kind, quoted, 'queued', wished_at, origin, author, author_sub, moment, number,
        moment, coalesce(wished_at, moment), 0, request, hash)
    RETURNING m.id::text INTO made;
    PERFORM gateway.note_known_chat_v1(box, named);
    PERFORM gateway.wake_sender_v1(box);
    RETURN made;
END;
$$;
COMMENT ON FUNCTION gateway.queue_send_v1(
    bigint, text, text, text, text, text, text, timestamptz, text, text, text, jsonb, text
) IS 'Queues a message; returns the id of its row.';

CREATE OR REPLACE FUNCTION gateway.note_known_chat_v1(box bigint, named text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO gateway.send_lanes (session, chat)
    SELECT $1, $2 WHERE gateway.ever_wrote_v1($1, $2)
    ON CONFLICT DO NOTHING;
$$;
COMMENT ON FUNCTION gateway.note_known_chat_v1(bigint, text) IS 'Notes that the chat wrote to us, if it did.';
