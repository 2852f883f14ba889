-- Edits, deletions and reactions. Each is applied when the author it comes from is the author of the message, in that
-- chat; one that comes before its message waits for it.

CREATE OR REPLACE FUNCTION gateway.is_group_admin_v1(session bigint, grp text, address text, lid text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM gateway.contacts AS c
        CROSS JOIN jsonb_each_text(CASE jsonb_typeof(c.members) WHEN 'object' THEN c.members ELSE '{}' END) AS member (jid, rank)
        WHERE c.session = $1 AND c.jid = grp AND c.kind = 'group' AND member.rank IN ('admin', 'superadmin')
            AND (gateway.is_one_person_v1(member.jid, address) OR member.jid = lid)
    );
$$;
COMMENT ON FUNCTION gateway.is_group_admin_v1(bigint, text, text, text) IS
    'Whether this member is known to be an admin of the group.';

-- The reactions of a message with one more; a person has one reaction to a message at most.
CREATE OR REPLACE FUNCTION gateway.with_reaction_v1(
    reactions jsonb, emoji text, who text, name text, at timestamptz
) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_agg(reaction ORDER BY turn)
    FROM (
        SELECT reaction, turn
        FROM jsonb_array_elements(CASE jsonb_typeof(reactions) WHEN 'array' THEN reactions ELSE '[]' END)
            WITH ORDINALITY AS kept (reaction, turn)
        WHERE NOT gateway.is_one_person_v1(coalesce(reaction ->> 'by', ''), who)
        UNION ALL
        SELECT jsonb_build_object('emoji', emoji, 'by', who, 'name', name,
            'at', to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')), 1000000
        WHERE emoji <> ''
    ) AS after;
$$;
COMMENT ON FUNCTION gateway.with_reaction_v1(jsonb, text, text, text, timestamptz) IS
    'Reactions with that of `who` put in, replaced, or (with an empty emoji) taken out; NULL for none.';

-- One change. `change` is {kind, chat, address, lid, is_me, is_named, text, name, is_sealed}; returns what became of it:
-- stored, same, older, refused, early.
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
            m.reactions
        FROM public.whatsapp_incoming_messages AS m
        WHERE m.wa_key_id = key AND m.wasender_session_id = box
        UNION ALL
        SELECT false, m.id::text, gateway.chat_of(m.chat, m.to_phone), NULL, NULL, m.message_text, m.edited_at::timestamptz,
            m.edited_on_phone, m.deleted_at IS NOT NULL, m.reactions
        FROM public.whatsapp_outgoing_messages AS m
        WHERE m.wa_key_id = key AND m.wasender_session_id = box
    LOOP
        is_known := true;
        -- Without a chat, a change by another person may mean any message with that id: it means none.
        CONTINUE WHEN CASE WHEN in_chat IS NULL THEN is_named AND NOT is_me
            ELSE gateway.is_one_person_v1(target.chat, in_chat) IS NOT TRUE END;
        may := CASE
            WHEN what = 'reaction' THEN true
            WHEN NOT is_named THEN what = 'delete' AND (NOT target.came OR target.chat !~ '@(g\.us|newsletter|broadcast)$')
            WHEN is_me THEN NOT target.came OR (what = 'delete' AND is_crowd)
            WHEN target.came AND (gateway.is_one_person_v1(target.author, address) OR target.lid = by_lid) THEN true
            ELSE what = 'delete' AND is_crowd AND gateway.is_group_admin_v1(box, in_chat, address, by_lid)
        END;
        IF may THEN
            own := target;
            EXIT;
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
    IF own IS NULL THEN
        RETURN 'refused';
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

-- The changes of a batch, each in its turn; verdicts in the order of the arguments. Rows are locked in the order of
-- their keys, as everywhere.
CREATE OR REPLACE FUNCTION gateway.amend_v1(
    patience text, sessions bigint[], keys text[], times timestamptz[], changes jsonb[]
) RETURNS text[]
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    verdicts text[] := array_fill(NULL::text, ARRAY[cardinality(keys)]);
    item record;
BEGIN
    PERFORM set_config('lock_timeout', patience, true);
    FOR item IN
        SELECT * FROM unnest(sessions, keys, times, changes) WITH ORDINALITY AS c (session, key, at, change, turn)
        ORDER BY c.session, c.key, c.turn
    LOOP
        verdicts[item.turn] := gateway.amend_one_v1(item.session, item.key, item.at, item.change, true);
    END LOOP;
    RETURN verdicts;
END;
$$;
COMMENT ON FUNCTION gateway.amend_v1(text, bigint[], text[], timestamptz[], jsonb[]) IS
    'Applies edits, deletions and reactions; says of each what became of it.';

-- What has waited for messages that are there now. Returns the sealed changes among it: only the gateway reads those,
-- and they wait on until it has.
CREATE OR REPLACE FUNCTION gateway.take_early_v1(sessions bigint[], keys text[]) RETURNS jsonb
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    item record;
    sealed jsonb := '[]';
BEGIN
    FOR item IN
        WITH taken AS (
            DELETE FROM gateway.early_changes AS e
            USING unnest(sessions, keys) AS came (session, key)
            WHERE e.wasender_session_id = came.session AND e.wa_key_id = came.key
                AND e.kind NOT IN ('removal', 'answered') AND NOT coalesce((e.change ->> 'is_sealed')::boolean, false)
            RETURNING e.wasender_session_id AS session, e.wa_key_id AS key, e.at, e.change
        ), kept AS (
            SELECT DISTINCT e.wasender_session_id AS session, e.wa_key_id AS key, e.at, e.change
            FROM gateway.early_changes AS e
            JOIN unnest(sessions, keys) AS came (session, key)
                ON e.wasender_session_id = came.session AND e.wa_key_id = came.key
            WHERE e.kind NOT IN ('removal', 'answered') AND (e.change ->> 'is_sealed')::boolean
        )
        SELECT * FROM taken UNION ALL SELECT * FROM kept ORDER BY session, key, at
    LOOP
        PERFORM gateway.amend_one_v1(item.session, item.key, item.at, item.change, false);
        IF (item.change ->> 'is_sealed')::boolean THEN
            sealed := sealed || jsonb_build_object(
                'session', item.session, 'key', item.key, 'at', item.at, 'change', item.change);
        END IF;
    END LOOP;
    RETURN nullif(sealed, '[]');
END;
$$;
COMMENT ON FUNCTION gateway.take_early_v1(bigint[], text[]) IS
    'Applies what came before these messages; returns what is sealed of it.';

-- A change may come while another process is writing its message: it finds none, and that process does not see it. So
-- what has waited for some seconds is looked for again. Returns what `take_early_v1` does.
CREATE OR REPLACE FUNCTION gateway.sweep_early_v1(patience text, most int) RETURNS jsonb
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
        WHERE e.kind IN ('edit', 'delete', 'reaction') AND e.came_at < now() - interval '5 seconds'
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
COMMENT ON FUNCTION gateway.sweep_early_v1(text, int) IS
    'Applies changes that wait although their message is there; returns what is sealed of them.';
