-- Messages from customers are most of what webhooks bring. A batch of them is one statement: Postgres works on it while
-- the gateway reads the next webhooks. Between several statements each would wait until the gateway, busy with just
-- those, comes to look at the answer.
--
-- `receive_v1` keeps the caller's search_path: the shop's own triggers run within it.

-- Rows are written in the order of their keys, lest two gateways wait for each other crosswise. Browsers see them in the
-- order in which they came: where an inbox has collected them otherwise, they are collected once more.
CREATE OR REPLACE FUNCTION gateway.in_arrival_v1(source text, known_by text, keys text[]) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    WITH collected AS (
        SELECT s.seq, s.inbox, arrived.turn,
            arrived.turn < lag(arrived.turn) OVER (PARTITION BY s.inbox ORDER BY s.seq) AS is_late
        FROM gateway.staged AS s
        JOIN unnest(keys) WITH ORDINALITY AS arrived(key, turn) ON s.record ->> known_by = arrived.key
        WHERE s.xid = pg_current_xact_id() AND s.tbl = source AND s.op = 'INSERT'
    ), taken AS (
        DELETE FROM gateway.staged AS s
        USING collected AS c
        WHERE s.xid = pg_current_xact_id() AND s.seq = c.seq
            AND c.inbox IN (SELECT inbox FROM collected WHERE is_late)
        RETURNING s.xid, s.inbox, s.tbl, s.op, s.record, s.old, c.turn
    )
    INSERT INTO gateway.staged (xid, inbox, tbl, op, record, old)
    SELECT xid, inbox, tbl, op, record, old FROM taken ORDER BY turn;
$$;
COMMENT ON FUNCTION gateway.in_arrival_v1(text, text, text[]) IS
    'Puts what this transaction has inserted and collected into the order of the keys, inbox by inbox.';

-- Rows stored while only the LID was known move to the chat of the number once it is. The patterns say which rows can
-- be meant at all, so that a partial index can be used.
CREATE OR REPLACE FUNCTION gateway.learn_lids_v1(lids text[], phones text[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    learned text[];
BEGIN
    WITH new AS (
        INSERT INTO gateway.lids AS known (lid, phone, seen_at)
        SELECT DISTINCT ON (lid) lid, phone, now()
        FROM unnest(lids, phones) WITH ORDINALITY AS told(lid, phone, turn)
        WHERE lid IS NOT NULL AND phone ~ '^[0-9]+$'
        ORDER BY lid, turn DESC
        ON CONFLICT (lid) DO UPDATE SET phone = excluded.phone, seen_at = now()
        WHERE known.phone IS DISTINCT FROM excluded.phone
        RETURNING known.lid
    )
    SELECT array_agg(lid) INTO learned FROM new;
    IF learned IS NULL THEN
        RETURN;
    END IF;
    UPDATE public.whatsapp_incoming_messages AS m
    SET from_phone = known.phone,
        sender_lid = coalesce(m.sender_lid, known.lid),
        chat = CASE WHEN m.chat = known.lid THEN known.phone || '@s.whatsapp.net' ELSE m.chat END
    FROM gateway.lids AS known
    WHERE known.lid = ANY (learned) AND m.from_phone = known.lid AND m.from_phone LIKE '%@lid';
    UPDATE public.whatsapp_outgoing_messages AS m
    SET to_phone = known.phone,
        chat = CASE WHEN m.chat = known.lid THEN known.phone || '@s.whatsapp.net' ELSE m.chat END
    FROM gateway.lids AS known
    WHERE known.lid = ANY (learned) AND m.to_phone = known.lid AND m.to_phone LIKE '%@lid';
END;
$$;
COMMENT ON FUNCTION gateway.learn_lids_v1(text[], text[]) IS
    'Keeps numbers behind LIDs, and mends the messages of those that are new.';

-- `numbers` say which webhook of the batch each message is of; those that brought anything are returned.
CREATE OR REPLACE FUNCTION gateway.receive_v1(
    patience text, numbers int[], keys text[], sessions bigint[], chats text[], phones text[], lids text[],
    names text[], texts text[], types text[], urls text[], times timestamptz[], raws jsonb[]
) RETURNS int[]
LANGUAGE plpgsql
AS $$
DECLARE
    ids text[] := keys;
    written text[] := '{}';
    turns bigint[] := '{}';
    now_written text[];
    now_turns bigint[];
BEGIN
    PERFORM set_config('lock_timeout', patience, true);
    IF keys = '{}' THEN
        RETURN '{}';  -- and nobody's lock on a table matters
    END IF;
    IF array_remove(lids, NULL) <> '{}' THEN
        PERFORM gateway.learn_lids_v1(lids, phones);
    END IF;
    LOOP
        WITH came AS (
            SELECT DISTINCT ON (message_id) new.*,
                CASE WHEN from_phone LIKE '%@lid'
                    THEN (SELECT known.phone FROM gateway.lids AS known WHERE known.lid = from_phone)
                END AS known_phone
            FROM unnest(ids, keys, sessions, chats, phones, lids, names, texts, types, urls, times, raws)
                WITH ORDINALITY AS new(message_id, wa_key_id, session_id, chat, from_phone, sender_lid, push_name,
                    message_text, message_type, media_url, received_at, raw_data, turn)
            WHERE message_id IS NOT NULL
            ORDER BY message_id, turn
        ), put AS (
            -- A row of the shop without a session gets ours; a row of another session is left alone.
            INSERT INTO public.whatsapp_incoming_messages AS m (
                message_id, wa_key_id, wasender_session_id, chat, from_phone, sender_lid, push_name,
                message_text, message_type, media_url, received_at, created_at, is_read, replied, raw_data)
            SELECT message_id, wa_key_id, session_id,
                CASE WHEN known_phone IS NOT NULL AND chat = from_phone THEN known_phone || '@s.whatsapp.net' ELSE chat END,
                coalesce(known_phone, from_phone),
                CASE WHEN known_phone IS NOT NULL THEN from_phone ELSE sender_lid END,
                push_name, message_text, message_type, media_url, received_at, now(), false, false, raw_data
            FROM came
            ORDER BY message_id
            ON CONFLICT (message_id) DO UPDATE
            SET wasender_session_id = excluded.wasender_session_id,
                wa_key_id = excluded.wa_key_id,
                chat = excluded.chat,
                sender_lid = excluded.sender_lid,
                push_name = excluded.push_name
            WHERE m.wasender_session_id IS NULL
            RETURNING m.message_id
        )
        SELECT array_agg(came.turn ORDER BY came.turn), array_agg(came.message_id ORDER BY came.turn)
        INTO now_turns, now_written
        FROM came
        JOIN put ON put.message_id = came.message_id;
        turns := turns || now_turns;
        written := written || now_written;
        EXIT WHEN cardinality(turns) = cardinality(keys) OR ids <> keys;
        -- Two linked numbers in one chat see the same key id: the second keeps it with its session behind it.
        SELECT array_agg(CASE WHEN m.message_id IS NOT NULL AND m.wasender_session_id IS DISTINCT FROM item.session
                THEN item.key || '@' || item.session END ORDER BY item.turn)
        INTO ids
        FROM unnest(keys, sessions) WITH ORDINALITY AS item(key, session, turn)
        LEFT JOIN public.whatsapp_incoming_messages AS m ON m.message_id = item.key;
        EXIT WHEN array_remove(ids, NULL) = '{}';
    END LOOP;
    IF cardinality(turns) > 1 THEN
        PERFORM gateway.in_arrival_v1('whatsapp_incoming_messages', 'message_id', array_agg(id ORDER BY turn))
        FROM unnest(written, turns) AS item(id, turn);
    END IF;
    RETURN ARRAY(SELECT DISTINCT numbers[turn] FROM unnest(turns) AS turn);
END;
$$;
COMMENT ON FUNCTION gateway.receive_v1(
    text, int[], text[], bigint[], text[], text[], text[], text[], text[], text[], text[], timestamptz[], jsonb[]
) IS 'Writes messages from customers; waits for nobody longer than `patience`.';

-- `outcomes` are those of the webhooks that brought nothing.
CREATE OR REPLACE FUNCTION gateway.journal_v1(
    stored int[], times timestamptz[], sessions bigint[], events text[], outcomes text[], reasons text[],
    bodies jsonb[], taker uuid
) RETURNS int[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO gateway.journal (received_at, wasender_session_id, event, outcome, reason, body, gateway)
    SELECT received_at, session, event, CASE WHEN turn - 1 = ANY (stored) THEN 'stored' ELSE outcome END, reason,
        body, taker
    FROM unnest(times, sessions, events, outcomes, reasons, bodies)
        WITH ORDINALITY AS item(received_at, session, event, outcome, reason, body, turn);
    RETURN stored;
END;
$$;
COMMENT ON FUNCTION gateway.journal_v1(
    int[], timestamptz[], bigint[], text[], text[], text[], jsonb[], uuid
) IS 'Notes what became of the webhooks of a batch; returns the numbers of those that brought something.';
