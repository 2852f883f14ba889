-- One message that came under a LID and under the number behind it: the row that came first keeps what both say, the
-- other one goes. Two contents under one key stay two rows: which of them is true is not known here. The shop may have
-- tables that hold on to a row; then both stay.
CREATE OR REPLACE FUNCTION gateway.join_copies_v1(sessions bigint[], keys text[]) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    copy record;
    kept record;
    is_filled boolean;
    is_later boolean;
BEGIN
    FOR copy IN
        SELECT m.*
        FROM public.whatsapp_incoming_messages AS m
        JOIN (
            SELECT came.session, came.key
            FROM (SELECT DISTINCT session, key FROM unnest(sessions, keys) AS c (session, key)) AS came
            JOIN public.whatsapp_incoming_messages AS r ON r.wa_key_id = came.key AND r.wasender_session_id = came.session
            GROUP BY came.session, came.key
            HAVING count(*) > 1
        ) AS many ON m.wa_key_id = many.key AND m.wasender_session_id = many.session
        ORDER BY m.wasender_session_id, m.wa_key_id, m.created_at, m.id::text
        FOR UPDATE OF m
    LOOP
        SELECT m.* INTO kept
        FROM public.whatsapp_incoming_messages AS m
        WHERE m.wa_key_id = copy.wa_key_id AND m.wasender_session_id = copy.wasender_session_id
            AND (m.created_at, m.id::text) < (copy.created_at, copy.id::text)
            AND gateway.is_same_message_v1(gateway.chat_of(m.chat, m.from_phone), m.from_phone, m.sender_lid,
                gateway.chat_of(copy.chat, copy.from_phone), copy.from_phone, copy.sender_lid)
        ORDER BY m.created_at, m.id::text
        LIMIT 1;
        CONTINUE WHEN NOT FOUND;
        is_filled := gateway.is_filled_by_v1(kept.message_type, kept.message_text, kept.raw_data,
            copy.message_type, copy.message_text, copy.raw_data);
        CONTINUE WHEN NOT is_filled AND copy.edited_at IS NULL AND kept.edited_at IS NULL
            AND NOT gateway.is_said_v1(kept.message_text, kept.message_type, kept.raw_data,
                copy.message_text, copy.message_type, copy.raw_data,
                copy.message_type = 'unknown' AND copy.message_text IS NULL);
        is_later := coalesce(copy.edited_at > kept.edited_at, copy.edited_at IS NOT NULL);
        BEGIN
            UPDATE public.whatsapp_incoming_messages AS m
            SET message_text = CASE WHEN is_later OR (is_filled AND (kept.edited_at IS NULL OR kept.edited_on_phone))
                    THEN copy.message_text ELSE m.message_text END,
                message_type = CASE WHEN is_filled THEN copy.message_type ELSE m.message_type END,
                media_url = CASE WHEN is_filled THEN copy.media_url ELSE m.media_url END,
                raw_data = CASE WHEN is_filled THEN copy.raw_data ELSE m.raw_data END,
                media = coalesce(m.media, copy.media),
                push_name = coalesce(m.push_name, copy.push_name),
                sender_lid = coalesce(m.sender_lid, copy.sender_lid),
                edited_at = CASE WHEN is_later THEN copy.edited_at ELSE m.edited_at END,
                edited_on_phone = CASE WHEN is_later THEN copy.edited_on_phone ELSE m.edited_on_phone END,
                deleted_at = coalesce(m.deleted_at, copy.deleted_at),
                reactions = gateway.joined_reactions_v1(m.reactions, copy.reactions),
                is_read = m.is_read OR copy.is_read,
                replied = m.replied OR copy.replied,
                replied_at = coalesce(m.replied_at, copy.replied_at)
            WHERE m.message_id = kept.message_id;
            DELETE FROM public.whatsapp_incoming_messages AS m WHERE m.message_id = copy.message_id;
            IF kept.media IS NULL AND copy.media IS NOT NULL THEN
                UPDATE gateway.media AS f SET ref = kept.message_id
                WHERE f.ref = copy.message_id AND f.tbl = 'whatsapp_incoming_messages' AND f.session = copy.wasender_session_id;
            END IF;
        EXCEPTION WHEN integrity_constraint_violation OR raise_exception THEN
            NULL;
        END;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION gateway.join_copies_v1(bigint[], text[]) IS
    'Makes one row of what came under two addresses of one author.';
SELECT gateway.fit_media_column_v1('public.whatsapp_incoming_messages', 'gateway.join_copies_v1(bigint[], text[])');

CREATE OR REPLACE FUNCTION gateway.joined_reactions_v1(one jsonb, other jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN jsonb_typeof(one) IS DISTINCT FROM 'array' THEN coalesce(other, one)
        WHEN jsonb_typeof(other) IS DISTINCT FROM 'array' THEN one
        ELSE (
            SELECT jsonb_agg(latest.reaction ORDER BY latest.at)
            FROM (
                SELECT DISTINCT ON (gateway.person_v1(coalesce(reaction ->> 'by', ''))) reaction, reaction ->> 'at' AS at
                FROM jsonb_array_elements(one || other) AS reaction
                ORDER BY gateway.person_v1(coalesce(reaction ->> 'by', '')), reaction ->> 'at' DESC
            ) AS latest)
    END;
$$;
COMMENT ON FUNCTION gateway.joined_reactions_v1(jsonb, jsonb) IS
    'The reactions of both; of one person the later.';

-- As in 0061; and what came under two addresses is joined as it comes into one conversation.
CREATE OR REPLACE FUNCTION gateway.move_messages_v1(addresses text[], most int) RETURNS int
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    moved int := 0;
    n int;
    one record;
    some_sessions bigint[];
    some_keys text[];
    came_sessions bigint[] := '{}';
    came_keys text[] := '{}';
BEGIN
    FOR one IN
        SELECT m.address, m.phone,
            CASE WHEN m.address LIKE '%@lid' THEN m.address ELSE m.address || '@s.whatsapp.net' END AS chat,
            m.phone || '@s.whatsapp.net' AS conversation,
            EXISTS (SELECT FROM gateway.lids AS known WHERE known.lid = m.address || '@lid') AS is_disguised
        FROM gateway.moves AS m
        WHERE addresses IS NULL OR m.address = ANY (addresses)
        ORDER BY m.address
    LOOP
        EXIT WHEN moved >= most;
        IF one.address LIKE '%@lid' THEN
            WITH gone AS (
                UPDATE public.whatsapp_incoming_messages AS m
                SET from_phone = coalesce(
                        (SELECT known.phone FROM gateway.lids AS known WHERE known.lid = one.address), one.phone),
                    sender_lid = coalesce(m.sender_lid, one.address),
                    chat = CASE WHEN m.chat = one.address THEN one.conversation ELSE m.chat END
                WHERE m.from_phone = one.address AND m.from_phone LIKE '%@lid' AND m.ctid = ANY (ARRAY(
                    SELECT due.ctid FROM public.whatsapp_incoming_messages AS due
                    WHERE due.from_phone = one.address AND due.from_phone LIKE '%@lid'
                    LIMIT most - moved FOR UPDATE SKIP LOCKED))
                RETURNING m.wasender_session_id, m.wa_key_id
            )
            SELECT count(*), array_agg(wasender_session_id), array_agg(wa_key_id)
            INTO n, some_sessions, some_keys
            FROM gone;
            moved := moved + n;
            came_sessions := came_sessions || some_sessions;
            came_keys := came_keys || some_keys;
            UPDATE public.whatsapp_outgoing_messages AS m
            SET to_phone = coalesce((SELECT known.phone FROM gateway.lids AS known WHERE known.lid = one.address), one.phone),
                chat = CASE WHEN m.chat = one.address THEN one.conversation ELSE m.chat END
            WHERE m.to_phone = one.address AND m.to_phone LIKE '%@lid' AND m.ctid = ANY (ARRAY(
                SELECT due.ctid FROM public.whatsapp_outgoing_messages AS due
                WHERE due.to_phone = one.address AND due.to_phone LIKE '%@lid'
                LIMIT most - moved FOR UPDATE SKIP LOCKED));
            GET DIAGNOSTICS n = ROW_COUNT;
            moved := moved + n;
        END IF;
        -- What stands in a conversation of that address by its chat alone, session by session, as the index is.
        WITH gone AS (
            UPDATE public.whatsapp_incoming_messages AS m
            SET chat = one.conversation,
                from_phone = CASE WHEN one.is_disguised AND m.from_phone = one.address THEN one.phone ELSE m.from_phone END,
                sender_lid = CASE WHEN one.is_disguised AND m.from_phone = one.address
                    THEN coalesce(m.sender_lid, one.address || '@lid') ELSE m.sender_lid END
            WHERE m.ctid = ANY (ARRAY(
                SELECT due.ctid
                FROM (SELECT c.session FROM gateway.conversations AS c WHERE c.chat = one.chat) AS listed
                JOIN public.whatsapp_incoming_messages AS due
                    ON coalesce(due.wasender_session_id, 0) = listed.session
                    AND gateway.chat_of(due.chat, due.from_phone) = one.chat
                LIMIT most - moved FOR UPDATE OF due SKIP LOCKED))
            RETURNING m.wasender_session_id, m.wa_key_id
        )
        SELECT count(*), array_agg(wasender_session_id), array_agg(wa_key_id)
        INTO n, some_sessions, some_keys
        FROM gone;
        moved := moved + n;
        came_sessions := came_sessions || some_sessions;
        came_keys := came_keys || some_keys;
        UPDATE public.whatsapp_outgoing_messages AS m
        SET chat = one.conversation,
            to_phone = CASE WHEN one.is_disguised AND m.to_phone = one.address THEN one.phone ELSE m.to_phone END
        WHERE m.ctid = ANY (ARRAY(
            SELECT due.ctid
            FROM (SELECT c.session FROM gateway.conversations AS c WHERE c.chat = one.chat) AS listed
            JOIN public.whatsapp_outgoing_messages AS due
                ON coalesce(due.wasender_session_id, 0) = listed.session
                AND gateway.chat_of(due.chat, due.to_phone) = one.chat
            LIMIT most - moved FOR UPDATE OF due SKIP LOCKED));
        GET DIAGNOSTICS n = ROW_COUNT;
        moved := moved + n;
    END LOOP;
    PERFORM gateway.join_copies_v1(came_sessions, came_keys);
    RETURN moved;
END;
$$;
COMMENT ON FUNCTION gateway.move_messages_v1(text[], int) IS
    'Moves messages to the conversations that gateway.moves names, `most` at a time.';


-- As in 0061; and what has waited for these LIDs is applied.
CREATE OR REPLACE FUNCTION gateway.learn_lids_v2(lids text[], phones text[]) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    learned text[];
BEGIN
    WITH new AS (
        INSERT INTO gateway.lids AS known (lid, phone, seen_at)
        SELECT told.lid, told.phone, now()
        FROM (
            SELECT DISTINCT ON (said.lid) said.lid, said.phone
            FROM unnest(lids, phones) WITH ORDINALITY AS said (lid, phone, turn)
            WHERE said.lid LIKE '%@lid' AND said.phone ~ '^[0-9]+$'
            ORDER BY said.lid, said.turn DESC
        ) AS told
        -- A row in conflict is locked even where nothing changes: what is known is left out before.
        WHERE NOT EXISTS (SELECT FROM gateway.lids AS k WHERE k.lid = told.lid AND k.phone = told.phone)
        ORDER BY told.lid
        ON CONFLICT (lid) DO UPDATE SET phone = excluded.phone, seen_at = now()
        WHERE known.phone IS DISTINCT FROM excluded.phone
        RETURNING known.lid
    )
    SELECT array_agg(lid) INTO learned FROM new;
    IF learned IS NULL THEN
        RETURN;
    END IF;
    DELETE FROM gateway.lid_lookups WHERE lid = ANY (learned);
    INSERT INTO gateway.moves AS m (address, phone)
    SELECT known.lid, split_part(gateway.conversation_of_v1(known.lid), '@', 1)
    FROM gateway.lids AS known
    WHERE known.lid = ANY (learned)
    ORDER BY known.lid
    ON CONFLICT (address) DO UPDATE SET phone = excluded.phone, asked_at = now();
    -- Messages from before that have the LID's digits for a phone number.
    INSERT INTO gateway.moves AS m (address, phone)
    SELECT split_part(known.lid, '@', 1), split_part(gateway.conversation_of_v1(known.lid), '@', 1)
    FROM gateway.lids AS known
    WHERE known.lid = ANY (learned) AND known.lid ~ '^[0-9]{14,}@' AND EXISTS (
        SELECT FROM gateway.conversations AS c WHERE c.chat = split_part(known.lid, '@', 1) || '@s.whatsapp.net')
    ORDER BY known.lid
    ON CONFLICT (address) DO UPDATE SET phone = excluded.phone, asked_at = now();
    PERFORM gateway.move_messages_v1(
        learned || ARRAY(SELECT split_part(lid, '@', 1) FROM unnest(learned) AS lid), 500);
    PERFORM gateway.take_linked_v1(learned);
END;
$$;

-- As in 0065; and conversations that have the digits of a LID for a phone number.
CREATE OR REPLACE FUNCTION gateway.find_moves_v1() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF NOT pg_try_advisory_xact_lock((x'57a7'::bigint << 44) + x'c1'::bigint) THEN
        RETURN;
    END IF;
    INSERT INTO gateway.moves (address, phone)
    SELECT c.chat, split_part(gateway.conversation_of_v1(c.chat), '@', 1)
    FROM gateway.conversations AS c
    JOIN gateway.lids AS known ON known.lid = c.chat
    WHERE c.chat LIKE '%@lid'
    GROUP BY c.chat
    ORDER BY c.chat
    ON CONFLICT DO NOTHING;
    INSERT INTO gateway.moves (address, phone)
    SELECT split_part(c.chat, '@', 1), split_part(gateway.conversation_of_v1(known.lid), '@', 1)
    FROM gateway.conversations AS c
    JOIN gateway.lids AS known ON known.lid = split_part(c.chat, '@', 1) || '@lid'
    WHERE c.chat ~ '^[0-9]{14,}@s\.whatsapp\.net$' AND NOT EXISTS (
        SELECT FROM gateway.lids AS own WHERE own.phone = split_part(c.chat, '@', 1))
    GROUP BY 1, 2
    ORDER BY 1
    ON CONFLICT DO NOTHING;
    PERFORM gateway.learn_numbers_v1(ARRAY(
        SELECT split_part(c.chat, '@', 1) FROM gateway.conversations AS c
        WHERE c.chat ~ '^5[245][0-9]{10,11}@s\.whatsapp\.net$'
        GROUP BY c.chat
        ORDER BY max(c.last_at) DESC));
    INSERT INTO gateway.moves (address, phone)
    SELECT split_part(c.chat, '@', 1), chosen.phone
    FROM gateway.conversations AS c
    JOIN gateway.numbers AS chosen ON chosen.person = gateway.one_number_v1(split_part(c.chat, '@', 1))
    WHERE c.chat ~ '^5[245][0-9]{10,11}@s\.whatsapp\.net$' AND c.chat <> chosen.phone || '@s.whatsapp.net'
    GROUP BY 1, 2
    ORDER BY 1
    ON CONFLICT DO NOTHING;
END;
$$;

-- As in 0065; and what waits for a LID that is known is applied. An address is among the moves for a minute or more.
CREATE OR REPLACE FUNCTION gateway.step_moves_v1(most int) RETURNS int
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    moved int;
BEGIN
    IF NOT pg_try_advisory_xact_lock((x'57a7'::bigint << 44) + x'c1'::bigint) THEN
        RETURN 0;
    END IF;
    IF NOT EXISTS (SELECT FROM gateway.moves) THEN
        RETURN 0;
    END IF;
    moved := gateway.move_messages_v1(NULL, most);
    IF moved = 0 THEN
        -- A change that another transaction left to wait did not see the number that was told meanwhile.
        PERFORM gateway.take_linked_v1(ARRAY(
            SELECT e.link FROM gateway.early_changes AS e JOIN gateway.lids AS known ON known.lid = e.link
            UNION
            SELECT e.link FROM gateway.early_deliveries AS e JOIN gateway.lids AS known ON known.lid = e.link));
        DELETE FROM gateway.moves WHERE asked_at < now() - interval '1 minute';
    END IF;
    RETURN moved;
END;
$$;
