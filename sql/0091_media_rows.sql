-- Messages of both directions, with what is known of their files. They are written with the message, in one statement.
--
-- The functions keep the caller's search_path: the shop's own triggers run within it.

-- As `receive_v2`, with files: `medias` are what the rows say of them, beside where they lie (`source`).
--
-- `numbers` say which webhook of the batch each message is of, `turns` its place in the batch. Returned are the numbers
-- of webhooks that brought anything (`stored`), of those whose content stands in no row (`other`), and what is sealed of
-- the changes that had waited.
CREATE OR REPLACE FUNCTION gateway.receive_v3(
    patience text, numbers int[], keys text[], sessions bigint[], chats text[], phones text[], lids text[],
    names text[], texts text[], types text[], urls text[], times timestamptz[], raws jsonb[], empties boolean[],
    turns int[], medias jsonb[], OUT stored int[], OUT other int[], OUT sealed jsonb
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    ids text[] := keys;
    n int := cardinality(keys);
    settled bigint[] := '{}';
    written bigint[] := '{}';
    written_ids text[] := '{}';
    tried bigint[];
    now_written bigint[];
    now_ids text[];
    rounds int := 0;
    item record;
BEGIN
    stored := '{}';
    other := '{}';
    PERFORM set_config('lock_timeout', patience, true);
    IF n = 0 THEN
        RETURN;  -- and no lock on a table matters
    END IF;
    IF array_to_string(phones, ',') ~ '(^|,)5[245]' THEN
        PERFORM gateway.learn_numbers_v1(phones);
    END IF;
    IF array_remove(lids, NULL) <> '{}' THEN
        PERFORM gateway.learn_lids_v2(lids, phones);
    END IF;
    LOOP
        rounds := rounds + 1;  -- a message has three names at most: what is not settled then is left to the journal
        WITH came AS (
            SELECT DISTINCT ON (message_id) new.*,
                CASE WHEN from_phone LIKE '%@lid'
                    THEN (SELECT known.phone FROM gateway.lids AS known WHERE known.lid = from_phone)
                END AS known_phone
            FROM unnest(ids, keys, sessions, chats, phones, lids, names, texts, types, urls, times, raws, turns, medias)
                WITH ORDINALITY AS new (message_id, wa_key_id, session_id, chat, from_phone, sender_lid, push_name,
                    message_text, message_type, media_url, received_at, raw_data, turn, facts, place)
            WHERE message_id IS NOT NULL
            ORDER BY message_id, place
        ), put AS (
            -- A row of the shop without a session gets ours; an empty one of ours gets its content; others stay.
            INSERT INTO public.whatsapp_incoming_messages AS m (
                message_id, wa_key_id, wasender_session_id, chat, from_phone, sender_lid, push_name,
                message_text, message_type, media_url, received_at, created_at, is_read, replied, raw_data, media)
            SELECT message_id, wa_key_id, session_id,
                CASE WHEN chat LIKE '%@lid' OR chat LIKE '5%' THEN gateway.conversation_of_v1(chat) ELSE chat END,
                coalesce(known_phone, from_phone),
                CASE WHEN known_phone IS NOT NULL THEN from_phone ELSE sender_lid END,
                push_name, message_text, message_type, media_url, received_at,
                now() + turn * interval '1 microsecond', false, false, raw_data, facts - 'source'
            FROM came
            ORDER BY message_id
            ON CONFLICT (message_id) DO UPDATE
            SET wasender_session_id = excluded.wasender_session_id,
                wa_key_id = excluded.wa_key_id,
                chat = excluded.chat,
                sender_lid = coalesce(excluded.sender_lid, m.sender_lid),
                push_name = coalesce(excluded.push_name, m.push_name),
                message_text = CASE WHEN m.wasender_session_id IS NULL OR m.edited_at IS NOT NULL
                    THEN m.message_text ELSE excluded.message_text END,
                message_type = CASE WHEN m.wasender_session_id IS NULL THEN m.message_type ELSE excluded.message_type END,
                media_url = CASE WHEN m.wasender_session_id IS NULL THEN m.media_url ELSE excluded.media_url END,
                raw_data = CASE WHEN m.wasender_session_id IS NULL THEN m.raw_data ELSE excluded.raw_data END,
                media = coalesce(m.media, excluded.media)
            WHERE m.wasender_session_id IS NULL
                OR (m.wasender_session_id = excluded.wasender_session_id
                    AND gateway.is_filled_by_v1(m.message_type, m.message_text, m.raw_data,
                        excluded.message_type, excluded.message_text, excluded.raw_data)
                    AND gateway.is_same_message_v1(gateway.chat_of(m.chat, m.from_phone), m.from_phone, m.sender_lid,
                        excluded.chat, excluded.from_phone, excluded.sender_lid))
            RETURNING m.message_id
        )
        SELECT array_agg(came.place ORDER BY came.place),
            array_agg(came.place ORDER BY came.place) FILTER (WHERE put.message_id IS NOT NULL),
            array_agg(came.message_id ORDER BY came.place) FILTER (WHERE put.message_id IS NOT NULL)
        INTO tried, now_written, now_ids
        FROM came
        LEFT JOIN put ON put.message_id = came.message_id;
        written := written || now_written;
        written_ids := written_ids || now_ids;
        settled := settled || now_written;
        EXIT WHEN cardinality(settled) = n;
        -- Of those that were not written: what stands under their id?
        FOR item IN
            SELECT c.place, c.id, c.key, c.session, c.author, c.number,
                m.message_id IS NULL AS is_nowhere,
                m.wasender_session_id = c.session AS is_ours,
                gateway.is_same_message_v1(gateway.chat_of(m.chat, m.from_phone), m.from_phone, m.sender_lid,
                    c.chat, c.author, c.lid) AS is_same,
                gateway.is_said_v1(m.message_text, m.message_type, m.raw_data, c.words, c.type, c.raw, c.is_empty) AS is_said
            FROM unnest(ids, keys, sessions, chats, phones, lids, texts, types, raws, empties, numbers) WITH ORDINALITY
                AS c (id, key, session, chat, author, lid, words, type, raw, is_empty, number, place)
            LEFT JOIN public.whatsapp_incoming_messages AS m ON m.message_id = c.id
            WHERE c.place = ANY (tried) AND c.place <> ALL (settled)
            ORDER BY c.place
        LOOP
            IF rounds <= 3 * n AND NOT item.is_nowhere AND item.id <> item.key || '@' || item.session || '~' || item.author
                AND NOT (item.is_ours AND item.is_same) THEN
                -- Two linked numbers in one chat see the same key id: the second keeps it with its session behind it.
                -- The same id from another author is another message.
                ids[item.place] := item.key || '@' || item.session
                    || CASE WHEN item.is_ours OR item.id = item.key || '@' || item.session THEN '~' || item.author ELSE '' END;
                CONTINUE;
            END IF;
            settled := settled || item.place;
            IF rounds > 3 * n OR item.is_nowhere OR NOT (coalesce(item.is_ours, false) AND item.is_same AND item.is_said) THEN
                other := other || item.number;
            END IF;
        END LOOP;
        SELECT array_agg(CASE WHEN place = ANY (settled) THEN NULL ELSE id END ORDER BY place) INTO ids
        FROM unnest(ids) WITH ORDINALITY AS c (id, place);
        EXIT WHEN cardinality(settled) >= n;
    END LOOP;
    IF cardinality(written) = 0 THEN
        RETURN;
    ELSIF cardinality(written) > 1 THEN
        PERFORM gateway.in_arrival_v1('whatsapp_incoming_messages', 'message_id', array_agg(id ORDER BY place))
        FROM unnest(written_ids, written) AS item (id, place);
    END IF;
    SELECT array_agg(DISTINCT numbers[place]) INTO stored FROM unnest(written) AS place;
    IF cardinality(array_remove(medias, NULL)) > 0 THEN
        -- Of a row that has a file already, what came brings none.
        INSERT INTO gateway.media AS f (id, session, tbl, ref, kind, mime, name, source, due_at)
        SELECT (c.facts ->> 'id')::uuid, c.session, 'whatsapp_incoming_messages', m.message_id, c.facts ->> 'kind',
            c.facts ->> 'mime', c.facts ->> 'name', c.facts -> 'source', now()
        FROM (
            SELECT w.id, sessions[w.place] AS session, medias[w.place] AS facts
            FROM unnest(written_ids, written) AS w (id, place)
            WHERE medias[w.place] IS NOT NULL
        ) AS c
        JOIN public.whatsapp_incoming_messages AS m ON m.message_id = c.id AND m.media ->> 'id' = c.facts ->> 'id'
        ON CONFLICT DO NOTHING;
    END IF;
    INSERT INTO gateway.lid_lookups (lid, session)
    SELECT DISTINCT ON (phone) phone, session
    FROM unnest(phones, chats, sessions) AS c (phone, chat, session)
    WHERE phone = chat AND phone LIKE '%@lid' AND NOT EXISTS (SELECT FROM gateway.lids AS known WHERE known.lid = phone)
    ORDER BY phone
    ON CONFLICT DO NOTHING;
    IF EXISTS (
        SELECT FROM unnest(written) AS place
        JOIN gateway.early_changes AS e ON e.wasender_session_id = sessions[place] AND e.wa_key_id = keys[place]
    ) THEN
        SELECT gateway.take_early_v1(array_agg(sessions[place]), array_agg(keys[place])) INTO sealed
        FROM unnest(written) AS place;
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.receive_v3(
    text, int[], text[], bigint[], text[], text[], text[], text[], text[], text[], text[], timestamptz[], jsonb[], boolean[], int[], jsonb[]
) IS 'Writes messages from customers; waits for a lock no longer than `patience`.';

-- As `receive_v3`, and the journal with it: one statement for a batch of nothing but messages. `outcomes` are those of
-- the webhooks that brought nothing. Of what stands in no row the journal keeps the message.
CREATE OR REPLACE FUNCTION gateway.receive_and_journal_v3(
    patience text, numbers int[], keys text[], sessions bigint[], chats text[], phones text[], lids text[],
    names text[], texts text[], types text[], urls text[], times timestamptz[], raws jsonb[], empties boolean[],
    turns int[], medias jsonb[], came timestamptz[], boxes bigint[], events text[], outcomes text[], reasons text[], bodies text[],
    taker uuid, OUT stored int[], OUT other int[], OUT sealed jsonb
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
BEGIN
    SELECT r.stored, r.other, r.sealed INTO stored, other, sealed
    FROM gateway.receive_v3(patience, numbers, keys, sessions, chats, phones, lids, names, texts, types, urls, times,
        raws, empties, turns, medias) AS r;
    INSERT INTO gateway.journal (received_at, wasender_session_id, event, outcome, reason, body, gateway)
    SELECT received_at, session, event,
        CASE WHEN turn - 1 = ANY (stored) THEN 'stored' WHEN turn - 1 = ANY (other) THEN 'ignored' ELSE outcome END,
        CASE WHEN turn - 1 = ANY (other)
            THEN concat_ws('; ', reason, 'a message with this id is here already, and this is another content') ELSE reason END,
        CASE WHEN body IS NULL AND turn - 1 = ANY (other) THEN jsonb_build_object(
            'event', event, 'sessionId', session::text, 'data', jsonb_build_object('messages', (
                SELECT jsonb_agg(raw) FROM unnest(numbers, raws) AS m (number, raw) WHERE m.number = turn - 1)))
            ELSE body::jsonb END,
        taker
    FROM unnest(came, boxes, events, outcomes, reasons, bodies)
        WITH ORDINALITY AS item (received_at, session, event, outcome, reason, body, turn);
END;
$$;
COMMENT ON FUNCTION gateway.receive_and_journal_v3(
    text, int[], text[], bigint[], text[], text[], text[], text[], text[], text[], text[], timestamptz[], jsonb[], boolean[], int[], jsonb[],
    timestamptz[], bigint[], text[], text[], text[], text[], uuid
) IS 'Writes a batch of messages and notes what became of each webhook.';

-- As `send_v1`, with files. Messages of the linked number itself. A number answers what came before it, within the same second, too.
CREATE OR REPLACE FUNCTION gateway.send_v2(
    patience text, numbers int[], keys text[], sessions bigint[], chats text[], phones text[], lids text[], texts text[],
    types text[], urls text[], times timestamptz[], raws jsonb[], empties boolean[], turns int[], medias jsonb[],
    OUT stored int[], OUT other int[], OUT fresh int[], OUT sealed jsonb
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    n int := cardinality(keys);
    written bigint[] := '{}';
    filled bigint[] := '{}';
BEGIN
    stored := '{}';
    other := '{}';
    fresh := '{}';
    PERFORM set_config('lock_timeout', patience, true);
    IF n = 0 THEN
        RETURN;
    END IF;
    IF array_to_string(phones, ',') ~ '(^|,)5[245]' THEN
        PERFORM gateway.learn_numbers_v1(phones);
    END IF;
    IF array_remove(lids, NULL) <> '{}' THEN
        PERFORM gateway.learn_lids_v2(lids, phones);
    END IF;
    WITH went AS (
        SELECT DISTINCT ON (session_id, wa_key_id) new.*,
            CASE WHEN to_phone LIKE '%@lid'
                THEN (SELECT known.phone FROM gateway.lids AS known WHERE known.lid = to_phone)
            END AS known_phone
        FROM unnest(keys, sessions, chats, phones, texts, types, urls, times, raws, empties, turns, medias) WITH ORDINALITY
            AS new (wa_key_id, session_id, chat, to_phone, message_text, message_type, media_url, sent_at, raw_data,
                is_empty, turn, facts, place)
        ORDER BY session_id, wa_key_id, is_empty, place
    ), put AS (
        INSERT INTO public.whatsapp_outgoing_messages AS m (
            client_id, wasender_session_id, chat, to_phone, message_text, message_type, media_url, status,
            wa_key_id, origin, created_at, sent_at, raw_data, media)
        SELECT 'wa:' || session_id || ':' || wa_key_id, session_id,
            CASE WHEN chat LIKE '%@lid' OR chat LIKE '5%' THEN gateway.conversation_of_v1(chat) ELSE chat END,
            coalesce(known_phone, to_phone), message_text, message_type, media_url, 'sent', wa_key_id, 'phone',
            now() + turn * interval '1 microsecond', sent_at, raw_data, facts - 'source'
        FROM went
        ORDER BY session_id, wa_key_id
        ON CONFLICT DO NOTHING
        RETURNING m.wasender_session_id, m.wa_key_id
    )
    SELECT coalesce(array_agg(went.place ORDER BY went.place), '{}') INTO written
    FROM went
    JOIN put ON put.wasender_session_id = went.session_id AND put.wa_key_id = went.wa_key_id;
    IF cardinality(written) < n THEN
        -- What came first without its content gets it now.
        WITH went AS (
            SELECT DISTINCT ON (session_id, wa_key_id) new.*
            FROM unnest(keys, sessions, chats, texts, types, urls, raws, empties, medias) WITH ORDINALITY
                AS new (wa_key_id, session_id, chat, message_text, message_type, media_url, raw_data, is_empty, facts,
                    place)
            WHERE NOT is_empty AND place <> ALL (written)
            ORDER BY session_id, wa_key_id, place
        ), locked AS MATERIALIZED (
            SELECT m.ctid, went.*
            FROM went
            JOIN public.whatsapp_outgoing_messages AS m
                ON m.wasender_session_id = went.session_id AND m.wa_key_id = went.wa_key_id
            WHERE gateway.is_filled_by_v1(m.message_type, m.message_text, m.raw_data,
                    went.message_type, went.message_text, went.raw_data)
                AND gateway.is_one_person_v1(gateway.chat_of(m.chat, m.to_phone), went.chat)
            ORDER BY went.session_id, went.wa_key_id
            FOR UPDATE OF m
        ), put AS (
            UPDATE public.whatsapp_outgoing_messages AS m
            SET message_text = CASE WHEN m.edited_at IS NULL THEN locked.message_text ELSE m.message_text END,
                message_type = locked.message_type, media_url = locked.media_url, raw_data = locked.raw_data,
                media = coalesce(m.media, locked.facts - 'source')
            FROM locked
            WHERE m.ctid = locked.ctid
            RETURNING locked.place
        )
        SELECT coalesce(array_agg(place), '{}') INTO filled FROM put;
        SELECT coalesce(array_agg(DISTINCT c.number), '{}') INTO other
        FROM unnest(numbers, keys, sessions, chats, texts, types, raws, empties) WITH ORDINALITY
            AS c (number, key, session, chat, words, type, raw, is_empty, place)
        LEFT JOIN public.whatsapp_outgoing_messages AS m ON m.wasender_session_id = c.session AND m.wa_key_id = c.key
        WHERE c.place <> ALL (written || filled) AND NOT c.is_empty
            AND (m.id IS NULL OR NOT gateway.is_one_person_v1(gateway.chat_of(m.chat, m.to_phone), c.chat)
                OR NOT gateway.is_said_v1(m.message_text, m.message_type, m.raw_data, c.words, c.type, c.raw, c.is_empty));
    END IF;
    SELECT coalesce(array_agg(DISTINCT numbers[place]), '{}') INTO stored FROM unnest(written || filled) AS place;
    SELECT coalesce(array_agg(place::int), '{}') INTO fresh FROM unnest(written) AS place;
    IF cardinality(array_remove(medias, NULL)) > 0 THEN
        INSERT INTO gateway.media AS f (id, session, tbl, ref, kind, mime, name, source, due_at)
        SELECT (c.facts ->> 'id')::uuid, c.session, 'whatsapp_outgoing_messages', m.client_id, c.facts ->> 'kind',
            c.facts ->> 'mime', c.facts ->> 'name', c.facts -> 'source', now()
        FROM (
            SELECT keys[w.place] AS key, sessions[w.place] AS session, medias[w.place] AS facts
            FROM unnest(written || filled) AS w (place)
            WHERE medias[w.place] IS NOT NULL
        ) AS c
        JOIN public.whatsapp_outgoing_messages AS m
            ON m.wasender_session_id = c.session AND m.wa_key_id = c.key AND m.media ->> 'id' = c.facts ->> 'id'
        WHERE m.client_id IS NOT NULL
        ON CONFLICT DO NOTHING;
    END IF;
    IF cardinality(written) = 0 THEN
        RETURN;
    ELSIF cardinality(written) > 1 THEN
        PERFORM gateway.in_arrival_v1('whatsapp_outgoing_messages', 'client_id',
            array_agg('wa:' || sessions[place] || ':' || keys[place] ORDER BY place))
        FROM unnest(written) AS place;
    END IF;
    INSERT INTO gateway.lid_lookups (lid, session)
    SELECT DISTINCT ON (phone) phone, session
    FROM unnest(phones, chats, sessions) AS c (phone, chat, session)
    WHERE phone = chat AND phone LIKE '%@lid' AND NOT EXISTS (SELECT FROM gateway.lids AS known WHERE known.lid = phone)
    ORDER BY phone
    ON CONFLICT DO NOTHING;
    UPDATE public.whatsapp_incoming_messages AS m
    SET replied = true, replied_at = answer.at
    FROM (
        SELECT DISTINCT ON (session_id, chat) session_id, chat, at, now() + turn * interval '1 microsecond' AS came
        FROM (
            SELECT sessions[place] AS session_id,
                CASE WHEN chats[place] LIKE '%@lid' OR chats[place] LIKE '5%'
                    THEN gateway.conversation_of_v1(chats[place]) ELSE chats[place] END AS chat,
                times[place] AS at, turns[place] AS turn
            FROM unnest(written) AS place
        ) AS sent
        ORDER BY session_id, chat, date_trunc('second', at) DESC, turn DESC
    ) AS answer
    WHERE coalesce(m.wasender_session_id, 0) = answer.session_id
        AND gateway.chat_of(m.chat, m.from_phone) = answer.chat
        AND NOT coalesce(m.replied, false)
        AND m.received_at < date_trunc('second', answer.at) + interval '1 second'
        AND (m.received_at < date_trunc('second', answer.at) OR coalesce(m.created_at, 'epoch') <= answer.came);
    IF EXISTS (
        SELECT FROM unnest(written) AS place
        JOIN gateway.early_changes AS e ON e.wasender_session_id = sessions[place] AND e.wa_key_id = keys[place]
    ) THEN
        SELECT gateway.take_early_v1(array_agg(sessions[place]), array_agg(keys[place])) INTO sealed
        FROM unnest(written) AS place;
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.send_v2(
    text, int[], text[], bigint[], text[], text[], text[], text[], text[], text[], timestamptz[], jsonb[], boolean[], int[], jsonb[]
) IS 'Writes messages of the linked numbers; `fresh` are the places of those that are new.';

SELECT gateway.fit_media_column_v1('public.whatsapp_incoming_messages', 'gateway.receive_v3(
    text, int[], text[], bigint[], text[], text[], text[], text[], text[], text[], text[], timestamptz[], jsonb[], boolean[], int[], jsonb[])');
SELECT gateway.fit_media_column_v1('public.whatsapp_outgoing_messages', 'gateway.send_v2(
    text, int[], text[], bigint[], text[], text[], text[], text[], text[], text[], timestamptz[], jsonb[], boolean[], int[], jsonb[])');
