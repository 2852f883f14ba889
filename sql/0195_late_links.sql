-- A LID whose number becomes known late: what was said of a message under one address while the message stood under the
-- other waits for the pair.

ALTER TABLE gateway.early_changes ADD COLUMN IF NOT EXISTS link text;
COMMENT ON COLUMN gateway.early_changes.link IS
    'The LID whose number has to become known before this can be applied; NULL for what waits for its message.';
CREATE INDEX IF NOT EXISTS early_changes_link ON gateway.early_changes (link) WHERE link IS NOT NULL;
COMMENT ON TABLE gateway.early_changes IS
    'Edits, deletions and reactions that came before their message, or under an address that is not known to be its author''s;'
    ' and reactions that were taken back.';
ALTER TABLE gateway.early_deliveries ADD COLUMN IF NOT EXISTS link text;
ALTER TABLE gateway.early_deliveries ADD COLUMN IF NOT EXISTS move jsonb;
COMMENT ON COLUMN gateway.early_deliveries.link IS
    'The LID whose number has to become known before this can be applied; NULL for what waits for its message.';
COMMENT ON COLUMN gateway.early_deliveries.move IS 'What gateway.move_v1 takes besides, where a link is waited for.';
CREATE INDEX IF NOT EXISTS early_deliveries_link ON gateway.early_deliveries (link) WHERE link IS NOT NULL;
COMMENT ON TABLE gateway.early_deliveries IS
    'Delivery states that came before the message they are about, or under another address of its chat.';

CREATE OR REPLACE FUNCTION gateway.missing_link_v1(one text, other text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT said.lid
    FROM (VALUES (one, other), (other, one)) AS said (lid, phone)
    WHERE said.lid LIKE '%@lid' AND said.phone ~ '^[0-9]+(@s\.whatsapp\.net)?$'
        AND NOT EXISTS (SELECT FROM gateway.lids AS known WHERE known.lid = said.lid)
    LIMIT 1;
$$;
COMMENT ON FUNCTION gateway.missing_link_v1(text, text) IS
    'The LID whose number would make these two addresses one person; NULL where that is settled, or cannot be.';

-- One change, as in 0062; and `unlinked` where it counts as soon as a LID turns out to be of the number it needs.
CREATE OR REPLACE FUNCTION gateway.amend_one_v1(
    box bigint, key text, happened timestamptz, change jsonb, may_wait boolean
) RETURNS text
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    what text := change ->> 'kind';
    in_chat text := change ->> 'chat';
    address text := change ->> 'address';
    by_lid text := change ->> 'lid';
    is_me boolean := (change ->> 'is_me')::boolean;
    is_named boolean := (change ->> 'is_named')::boolean;
    is_sealed boolean := coalesce((change ->> 'is_sealed')::boolean, false);
    words text := change ->> 'text';
    who text := CASE WHEN is_me THEN 'me' WHEN is_named THEN coalesce(gateway.person_v1(address), '') ELSE '' END;
    is_crowd boolean := in_chat LIKE '%@g.us';
    is_known boolean := false;
    may boolean;
    chat_link text;
    author_link text;
    link text;
    target record;
    own record;
    before jsonb;
    verdict text;
BEGIN
    -- Held from here on: what is decided below is decided about the row that is written.
    PERFORM FROM public.whatsapp_incoming_messages AS m
    WHERE m.wa_key_id = key AND m.wasender_session_id = box
    FOR NO KEY UPDATE;
    PERFORM FROM public.whatsapp_outgoing_messages AS m
    WHERE m.wa_key_id = key AND m.wasender_session_id = box
    FOR NO KEY UPDATE;
    FOR target IN
        SELECT true AS came, m.id::text AS id, gateway.chat_of(m.chat, m.from_phone) AS chat, m.from_phone AS author,
            m.sender_lid AS lid, m.message_text, m.edited_at::timestamptz AS edited_at, m.edited_on_phone, m.deleted_at IS NOT NULL AS is_gone,
            m.reactions, m.message_type = 'unknown' AND m.message_text IS NULL AS is_empty
        FROM public.whatsapp_incoming_messages AS m
        WHERE m.wa_key_id = key AND m.wasender_session_id = box
        UNION ALL
        SELECT false, m.id::text, gateway.chat_of(m.chat, m.to_phone), NULL, NULL, m.message_text, m.edited_at::timestamptz,
            m.edited_on_phone, m.deleted_at IS NOT NULL, m.reactions, m.message_type = 'unknown' AND m.message_text IS NULL
        FROM public.whatsapp_outgoing_messages AS m
        WHERE m.wa_key_id = key AND m.wasender_session_id = box
    LOOP
        is_known := true;
        -- Without a chat, a change by another person may mean any message with that id: it means none.
        CONTINUE WHEN in_chat IS NULL AND is_named AND NOT is_me;
        chat_link := NULL;
        author_link := NULL;
        IF in_chat IS NOT NULL AND gateway.is_one_person_v1(target.chat, in_chat) IS NOT TRUE THEN
            chat_link := gateway.missing_link_v1(target.chat, in_chat);
            CONTINUE WHEN chat_link IS NULL;
        END IF;
        may := CASE
            WHEN what = 'reaction' THEN true
            WHEN NOT is_named THEN what = 'delete' AND (NOT target.came OR target.chat !~ '@(g\.us|newsletter|broadcast)$')
            WHEN is_me THEN NOT target.came OR (what = 'delete' AND is_crowd)
            WHEN target.came AND (gateway.is_one_person_v1(target.author, address) OR target.lid = by_lid) THEN true
            ELSE what = 'delete' AND is_crowd AND gateway.is_group_admin_v1(box, in_chat, address, by_lid)
        END;
        IF may AND chat_link IS NULL THEN
            own := target;
            EXIT;
        END IF;
        IF NOT may AND target.came AND is_named AND NOT is_me THEN
            author_link := gateway.missing_link_v1(target.author, address);
        END IF;
        IF may OR author_link IS NOT NULL THEN
            link := coalesce(link, chat_link, author_link);
        END IF;
    END LOOP;
    IF NOT is_known THEN
        IF NOT may_wait THEN
            RETURN 'refused';
        END IF;
        INSERT INTO gateway.early_changes AS early (wasender_session_id, wa_key_id, kind, author, at, change)
        VALUES (box, key, what, who, happened, change)
        ON CONFLICT (wasender_session_id, wa_key_id, kind, author) DO UPDATE
        SET at = excluded.at, change = excluded.change, came_at = now()
        WHERE early.at <= excluded.at AND early.change <> excluded.change;
        RETURN CASE
            WHEN FOUND THEN 'early'
            WHEN what <> 'delete' AND EXISTS (
                SELECT FROM gateway.early_changes AS e
                WHERE e.wasender_session_id = box AND e.wa_key_id = key AND e.kind = what AND e.author = who AND e.at > happened
            ) THEN 'older'
            ELSE 'same'
        END;
    END IF;
    IF own IS NULL AND link IS NOT NULL THEN
        INSERT INTO gateway.early_changes AS early (wasender_session_id, wa_key_id, kind, author, at, change, link)
        VALUES (box, key, what, who, happened, change, link)
        ON CONFLICT (wasender_session_id, wa_key_id, kind, author) DO UPDATE
        SET at = excluded.at, change = excluded.change, link = excluded.link,
            came_at = CASE WHEN early.change = excluded.change THEN early.came_at ELSE now() END
        WHERE early.at <= excluded.at;
        RETURN 'unlinked';
    END IF;
    IF own IS NULL THEN
        RETURN 'refused';
    END IF;
    IF is_sealed AND what = 'edit' AND own.is_empty THEN
        -- The content brings the secret, and is not to be taken for what was there before the edit.
        INSERT INTO gateway.early_changes AS early (wasender_session_id, wa_key_id, kind, author, at, change)
        VALUES (box, key, what, who, happened, change)
        ON CONFLICT (wasender_session_id, wa_key_id, kind, author) DO UPDATE
        SET at = excluded.at, change = excluded.change, came_at = now()
        WHERE early.at <= excluded.at AND early.change <> excluded.change;
        RETURN 'early';
    END IF;

    CASE what
    WHEN 'delete' THEN
        IF own.is_gone THEN
            RETURN 'same';
        END IF;
        IF own.came THEN
            UPDATE public.whatsapp_incoming_messages AS m SET deleted_at = happened
            WHERE m.wa_key_id = key AND m.wasender_session_id = box AND m.id::text = own.id;
        ELSE
            UPDATE public.whatsapp_outgoing_messages AS m SET deleted_at = happened
            WHERE m.wa_key_id = key AND m.wasender_session_id = box AND m.id::text = own.id;
        END IF;
    WHEN 'edit' THEN
        IF is_sealed THEN
            IF own.edited_at >= happened THEN
                RETURN CASE WHEN own.edited_at = happened THEN 'same' ELSE 'older' END;
            END IF;
            words := own.message_text;
        ELSIF own.message_text IS NOT DISTINCT FROM words AND NOT coalesce(own.edited_on_phone, false)
            AND (own.edited_at IS NOT NULL OR coalesce((change ->> 'is_content')::boolean, false))
            -- The same edit has one time, told in two webhooks; a later one to the same text counts against what lay between.
            AND (coalesce((change ->> 'is_content')::boolean, false) OR own.edited_at >= happened - interval '5 seconds') THEN
            RETURN 'same';
        ELSIF own.edited_at > happened THEN
            RETURN 'older';
        END IF;
        IF own.came THEN
            UPDATE public.whatsapp_incoming_messages AS m
            SET message_text = words, edited_at = happened, edited_on_phone = nullif(is_sealed, false)
            WHERE m.wa_key_id = key AND m.wasender_session_id = box AND m.id::text = own.id;
        ELSE
            UPDATE public.whatsapp_outgoing_messages AS m
            SET message_text = words, edited_at = happened, edited_on_phone = nullif(is_sealed, false)
            WHERE m.wa_key_id = key AND m.wasender_session_id = box AND m.id::text = own.id;
        END IF;
    WHEN 'reaction' THEN
        IF is_sealed THEN
            RETURN 'sealed';
        END IF;
        SELECT reaction INTO before
        FROM jsonb_array_elements(CASE jsonb_typeof(own.reactions) WHEN 'array' THEN own.reactions ELSE '[]' END) AS reaction
        WHERE gateway.is_one_person_v1(coalesce(reaction ->> 'by', ''), who);
        IF (before ->> 'at')::timestamptz > happened OR EXISTS (
            SELECT FROM gateway.early_changes AS e
            WHERE e.wasender_session_id = box AND e.wa_key_id = key AND e.kind = 'removal' AND e.author = who AND e.at > happened
        ) THEN
            RETURN 'older';
        END IF;
        IF words = '' THEN
            -- Remembered: what was meant to be there before it may still be on its way.
            INSERT INTO gateway.early_changes AS early (wasender_session_id, wa_key_id, kind, author, at, change)
            VALUES (box, key, 'removal', who, happened, '{}')
            ON CONFLICT (wasender_session_id, wa_key_id, kind, author) DO UPDATE
            SET at = greatest(early.at, excluded.at), came_at = now();
        END IF;
        IF coalesce(before ->> 'emoji', '') = words THEN
            RETURN 'same';
        END IF;
        IF own.came THEN
            UPDATE public.whatsapp_incoming_messages AS m
            SET reactions = gateway.with_reaction_v1(m.reactions, words, who, change ->> 'name', happened)
            WHERE m.wa_key_id = key AND m.wasender_session_id = box AND m.id::text = own.id;
        ELSE
            UPDATE public.whatsapp_outgoing_messages AS m
            SET reactions = gateway.with_reaction_v1(m.reactions, words, who, change ->> 'name', happened)
            WHERE m.wa_key_id = key AND m.wasender_session_id = box AND m.id::text = own.id;
        END IF;
    END CASE;
    RETURN 'stored';
END;
$$;
COMMENT ON FUNCTION gateway.amend_one_v1(bigint, text, timestamptz, jsonb, boolean) IS
    'Applies an edit, a deletion or a reaction, if its author may; otherwise says why not.';

CREATE OR REPLACE FUNCTION gateway.move_v1(
    sessions bigint[], keys text[], words text[], codes int[], times timestamptz[], errors text[], chats text[],
    weaker text[], weaker_codes text[], failed int, may_wait boolean
) RETURNS text[]
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    verdicts text[] := '{}';
    verdict text;
    link text;
    item record;
BEGIN
    FOR item IN
        SELECT * FROM unnest(sessions, keys, words, codes, times, errors, chats, weaker, weaker_codes) WITH ORDINALITY
            AS c (session, key, word, code, at, error, chat, weaker, weaker_codes, turn)
        ORDER BY c.turn
    LOOP
        verdict := NULL;
        UPDATE public.whatsapp_outgoing_messages AS m
        SET status = item.word,
            status_at = greatest(m.status_at, item.at),
            error = CASE WHEN m.send_no IS NULL OR item.word = 'failed' THEN coalesce(item.error, m.error) END,
            error_code = CASE WHEN m.send_no IS NULL THEN m.error_code WHEN item.word = 'failed' THEN 'upstream' END,
            sent_at = CASE WHEN m.send_no IS NOT NULL AND item.word <> 'failed'
                THEN coalesce(m.sent_at, item.at) ELSE m.sent_at END,
            delivered_at = CASE WHEN item.word IN ('delivered', 'read', 'played')
                THEN coalesce(m.delivered_at, item.at) ELSE m.delivered_at END,
            read_at = CASE WHEN item.word IN ('read', 'played') THEN coalesce(m.read_at, item.at) ELSE m.read_at END,
            played_at = CASE WHEN item.word = 'played' THEN coalesce(m.played_at, item.at) ELSE m.played_at END
        WHERE m.wa_key_id = item.key AND m.wasender_session_id = item.session
            AND coalesce(m.status, 'unknown') = ANY (string_to_array(item.weaker, ','))
            AND (item.chat IS NULL OR gateway.is_one_person_v1(gateway.chat_of(m.chat, m.to_phone), item.chat))
            AND ('failed' NOT IN (item.word, coalesce(m.status, 'unknown'))
                OR m.status_at IS NULL OR m.status_at <= item.at);
        IF FOUND THEN
            verdict := 'moved';
        ELSE
            SELECT CASE
                    WHEN bool_or(item.chat IS NULL OR gateway.is_one_person_v1(gateway.chat_of(m.chat, m.to_phone), item.chat))
                        THEN 'same'
                    WHEN count(*) > 0 THEN 'elsewhere'
                END,
                max(gateway.missing_link_v1(gateway.chat_of(m.chat, m.to_phone), item.chat))
            INTO verdict, link
            FROM public.whatsapp_outgoing_messages AS m
            WHERE m.wa_key_id = item.key AND m.wasender_session_id = item.session;
            IF verdict = 'elsewhere' AND link IS NOT NULL THEN
                verdict := 'unlinked';
            ELSIF NOT may_wait THEN
                verdict := NULL;
            ELSIF verdict IS NULL AND EXISTS (
                SELECT FROM public.whatsapp_incoming_messages AS m
                WHERE m.wa_key_id = item.key AND m.wasender_session_id = item.session
            ) THEN
                verdict := 'theirs';
            ELSIF verdict IS NULL THEN
                verdict := 'early';
            END IF;
            IF verdict IN ('early', 'unlinked') THEN
                INSERT INTO gateway.early_deliveries AS early (
                    wasender_session_id, wa_key_id, state, at, error, chat, link, move)
                VALUES (item.session, item.key, item.code, item.at, item.error, item.chat,
                    CASE WHEN verdict = 'unlinked' THEN link END,
                    CASE WHEN verdict = 'unlinked' THEN jsonb_build_object('word', item.word, 'weaker', item.weaker,
                        'weaker_codes', item.weaker_codes, 'failed', failed) END)
                ON CONFLICT (wasender_session_id, wa_key_id) DO UPDATE
                SET state = excluded.state, at = excluded.at, error = excluded.error, chat = excluded.chat,
                    link = excluded.link, move = excluded.move, came_at = now()
                WHERE early.state = ANY (string_to_array(item.weaker_codes, ',')::int[])
                    AND (failed NOT IN (early.state, excluded.state) OR early.at <= excluded.at);
                IF verdict = 'early' AND NOT FOUND THEN
                    verdict := NULL;
                END IF;
            END IF;
        END IF;
        verdicts := verdicts || verdict;
    END LOOP;
    RETURN verdicts;
END;
$$;

-- What has waited for messages that are there now, as in 0062; what still waits for a link stays.
CREATE OR REPLACE FUNCTION gateway.take_early_v1(sessions bigint[], keys text[]) RETURNS jsonb
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    item record;
    verdict text;
    sealed jsonb := '[]';
BEGIN
    FOR item IN
        SELECT e.wasender_session_id AS session, e.wa_key_id AS key, e.kind, e.author, e.at, e.change
        FROM gateway.early_changes AS e
        JOIN (SELECT DISTINCT session, key FROM unnest(sessions, keys) AS came (session, key)) AS came
            ON e.wasender_session_id = came.session AND e.wa_key_id = came.key
        WHERE e.kind NOT IN ('removal', 'answered')
        ORDER BY e.wasender_session_id, e.wa_key_id, e.at
        FOR UPDATE OF e
    LOOP
        verdict := gateway.amend_one_v1(item.session, item.key, item.at, item.change, false);
        CONTINUE WHEN verdict = 'early';  -- its message is still empty
        IF (item.change ->> 'is_sealed')::boolean THEN
            sealed := sealed || jsonb_build_object(
                'session', item.session, 'key', item.key, 'at', item.at, 'change', item.change);
        ELSIF verdict <> 'unlinked' THEN
            DELETE FROM gateway.early_changes AS e
            WHERE e.wasender_session_id = item.session AND e.wa_key_id = item.key AND e.kind = item.kind
                AND e.author = item.author AND e.at = item.at;
        END IF;
    END LOOP;
    RETURN nullif(sealed, '[]');
END;
$$;

-- What has waited for the numbers of these LIDs. What is sealed of it is left to `sweep_early_v2`: only a gateway reads it.
CREATE OR REPLACE FUNCTION gateway.take_linked_v1(lids text[]) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    some_sessions bigint[];
    some_keys text[];
    item record;
BEGIN
    WITH due AS (
        UPDATE gateway.early_changes AS e SET link = NULL, came_at = now()
        WHERE e.link = ANY (lids)
        RETURNING e.wasender_session_id, e.wa_key_id
    )
    SELECT array_agg(wasender_session_id), array_agg(wa_key_id) INTO some_sessions, some_keys FROM due;
    IF some_sessions IS NOT NULL THEN
        PERFORM gateway.take_early_v1(some_sessions, some_keys);
    END IF;
    FOR item IN
        WITH due AS (
            DELETE FROM gateway.early_deliveries AS e
            WHERE e.link = ANY (lids)
            RETURNING e.*
        )
        SELECT * FROM due ORDER BY due.wasender_session_id, due.wa_key_id
    LOOP
        PERFORM gateway.move_v1(ARRAY[item.wasender_session_id], ARRAY[item.wa_key_id], ARRAY[item.move ->> 'word'],
            ARRAY[item.state::int], ARRAY[item.at], ARRAY[item.error], ARRAY[item.chat], ARRAY[item.move ->> 'weaker'],
            ARRAY[item.move ->> 'weaker_codes'], (item.move ->> 'failed')::int, false);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION gateway.take_linked_v1(text[]) IS
    'Applies what has waited until the numbers of these LIDs became known.';

-- As in 0067, without what waits for a link.
CREATE OR REPLACE FUNCTION gateway.sweep_early_v2(patience text, most int, youngest interval, oldest interval)
RETURNS jsonb
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    sessions bigint[];
    keys text[];
BEGIN
    PERFORM set_config('lock_timeout', patience, true);
    SELECT array_agg(due.session), array_agg(due.key) INTO sessions, keys
    FROM (
        SELECT e.wasender_session_id AS session, e.wa_key_id AS key
        FROM gateway.early_changes AS e
        WHERE e.kind IN ('edit', 'delete', 'reaction') AND e.link IS NULL
            AND e.came_at <= now() - youngest AND e.came_at > now() - oldest
            AND (EXISTS (SELECT FROM public.whatsapp_incoming_messages AS m
                    WHERE m.wa_key_id = e.wa_key_id AND m.wasender_session_id = e.wasender_session_id)
                OR EXISTS (SELECT FROM public.whatsapp_outgoing_messages AS m
                    WHERE m.wa_key_id = e.wa_key_id AND m.wasender_session_id = e.wasender_session_id))
        GROUP BY e.wasender_session_id, e.wa_key_id
        ORDER BY max(e.came_at) DESC
        LIMIT most
    ) AS due;
    IF sessions IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN gateway.take_early_v1(sessions, keys);
END;
$$;
