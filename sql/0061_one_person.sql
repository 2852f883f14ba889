-- One person, one conversation. A person has a LID and a number, and in three countries the number has two spellings:
-- Brazil with or without the ninth digit (where the eight digits begin with 6 to 9), Mexico with or without 1, Argentina
-- with or without 9.

CREATE TABLE IF NOT EXISTS gateway.numbers (
    person text PRIMARY KEY,
    phone text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE gateway.numbers IS
    'People whose number has two spellings: the one that came first names their conversation.';
COMMENT ON COLUMN gateway.numbers.person IS 'The number as gateway.one_number_v1 spells it.';
COMMENT ON COLUMN gateway.numbers.phone IS 'The spelling under which the conversation stands.';
COMMENT ON COLUMN gateway.numbers.seen_at IS 'When it was first seen.';

CREATE TABLE IF NOT EXISTS gateway.moves (
    address text PRIMARY KEY,
    phone text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE gateway.moves IS 'Addresses whose messages have still to move to the conversation of a number.';
COMMENT ON COLUMN gateway.moves.address IS 'A LID, or the digits of another spelling.';
COMMENT ON COLUMN gateway.moves.phone IS 'Digits under which the conversation stands.';
COMMENT ON COLUMN gateway.moves.asked_at IS 'When it was found out.';

CREATE TABLE IF NOT EXISTS gateway.lid_lookups (
    lid text PRIMARY KEY,
    session bigint NOT NULL,
    due_at timestamptz NOT NULL DEFAULT now(),
    tries int NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS lid_lookups_due_at ON gateway.lid_lookups (due_at);
COMMENT ON TABLE gateway.lid_lookups IS 'LIDs whose number is unknown here, to be asked for upstream.';
COMMENT ON COLUMN gateway.lid_lookups.lid IS 'The LID.';
COMMENT ON COLUMN gateway.lid_lookups.session IS 'The session that met it: its key is used.';
COMMENT ON COLUMN gateway.lid_lookups.due_at IS 'Not to be asked before.';
COMMENT ON COLUMN gateway.lid_lookups.tries IS 'How often it was asked.';

CREATE OR REPLACE FUNCTION gateway.one_number_v1(phone text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN phone ~ '^55[1-9]{2}[6-9][0-9]{7}$'
        THEN pg_catalog.substr(phone, 1, 4) || '9' || pg_catalog.substr(phone, 5)
    WHEN phone ~ '^521[2-9][0-9]{9}$' THEN '52' || pg_catalog.substr(phone, 4)
    WHEN phone ~ '^54[1-3][0-9]{9}$' THEN '549' || pg_catalog.substr(phone, 3)
    ELSE phone
END;
COMMENT ON FUNCTION gateway.one_number_v1(text) IS 'One spelling for all spellings of a number.';

CREATE OR REPLACE FUNCTION gateway.spellings_v1(phone text) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN phone ~ '^55[1-9]{2}9[6-9][0-9]{7}$'
        THEN ARRAY[phone, pg_catalog.substr(phone, 1, 4) || pg_catalog.substr(phone, 6)]
    WHEN phone ~ '^52[2-9][0-9]{9}$' THEN ARRAY[phone, '521' || pg_catalog.substr(phone, 3)]
    WHEN phone ~ '^549[1-3][0-9]{9}$' THEN ARRAY[phone, '54' || pg_catalog.substr(phone, 4)]
    ELSE ARRAY[phone]
END;
COMMENT ON FUNCTION gateway.spellings_v1(text) IS
    'All spellings of a number that is spelt as gateway.one_number_v1 does.';

-- Whom an address means: the digits of a number in one spelling, or the address itself where no number is known. Takes
-- a JID, digits, or NULL.
CREATE OR REPLACE FUNCTION gateway.person_v1(address text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN address LIKE '%@lid'
            THEN coalesce((SELECT gateway.one_number_v1(known.phone) FROM gateway.lids AS known WHERE known.lid = address), address)
        WHEN address LIKE '%@s.whatsapp.net' THEN gateway.one_number_v1(split_part(address, '@', 1))
        ELSE gateway.one_number_v1(address)
    END;
$$;
COMMENT ON FUNCTION gateway.person_v1(text) IS 'One name for all addresses of a person.';

CREATE OR REPLACE FUNCTION gateway.is_one_person_v1(one text, other text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT one = other OR gateway.person_v1(one) = gateway.person_v1(other);
$$;
COMMENT ON FUNCTION gateway.is_one_person_v1(text, text) IS 'Whether two addresses, or two chats, are of one person.';

CREATE INDEX IF NOT EXISTS lids_phone ON gateway.lids (phone);
CREATE OR REPLACE FUNCTION gateway.addresses_of_v1(address text, lid text) RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT array_agg(DISTINCT known.jid)
    FROM (
        SELECT CASE WHEN address ~ '^[0-9]+$' THEN address || '@s.whatsapp.net' ELSE address END AS jid
        UNION ALL SELECT lid
        UNION ALL SELECT l.phone || '@s.whatsapp.net' FROM gateway.lids AS l WHERE l.lid IN ($1, $2)
        UNION ALL SELECT l.lid FROM gateway.lids AS l WHERE l.phone = $1
    ) AS known
    WHERE known.jid <> '';
$$;
COMMENT ON FUNCTION gateway.addresses_of_v1(text, text) IS 'Every JID that is known of a person.';

-- The conversation in which the messages of an address stand.
CREATE OR REPLACE FUNCTION gateway.conversation_of_v1(chat text) RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN chat LIKE '%@lid' OR chat ~ '^5[245][0-9]{10,11}@s\.whatsapp\.net$' THEN coalesce(
            (SELECT coalesce(
                 (SELECT chosen.phone FROM gateway.numbers AS chosen WHERE chosen.person = known.person),
                 CASE WHEN chat LIKE '%@lid' THEN known.phone END
             ) || '@s.whatsapp.net'
             FROM (
                 SELECT lids.phone, gateway.one_number_v1(lids.phone) AS person
                 FROM gateway.lids WHERE lids.lid = chat
                 UNION ALL
                 SELECT split_part(chat, '@', 1), gateway.person_v1(chat) WHERE chat NOT LIKE '%@lid'
             ) AS known),
            chat)
        ELSE chat
    END;
$$;
COMMENT ON FUNCTION gateway.conversation_of_v1(text) IS 'JID of the conversation that an address belongs to now.';

-- Moves at most `most` messages of these addresses to the conversations of their numbers; returns how many it moved.
-- Rows that another transaction holds are left for the next call.
CREATE OR REPLACE FUNCTION gateway.move_messages_v1(addresses text[], most int) RETURNS int
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    moved int := 0;
    n int;
    one record;
BEGIN
    FOR one IN
        SELECT m.address, m.phone,
            CASE WHEN m.address LIKE '%@lid' THEN m.address ELSE m.address || '@s.whatsapp.net' END AS chat,
            m.phone || '@s.whatsapp.net' AS conversation
        FROM gateway.moves AS m
        WHERE addresses IS NULL OR m.address = ANY (addresses)
        ORDER BY m.address
    LOOP
        EXIT WHEN moved >= most;
        IF one.address LIKE '%@lid' THEN
            UPDATE public.whatsapp_incoming_messages AS m
            SET from_phone = coalesce((SELECT known.phone FROM gateway.lids AS known WHERE known.lid = one.address), one.phone),
                sender_lid = coalesce(m.sender_lid, one.address),
                chat = CASE WHEN m.chat = one.address THEN one.conversation ELSE m.chat END
            WHERE m.from_phone = one.address AND m.from_phone LIKE '%@lid' AND m.ctid = ANY (ARRAY(
                SELECT due.ctid FROM public.whatsapp_incoming_messages AS due
                WHERE due.from_phone = one.address AND due.from_phone LIKE '%@lid'
                LIMIT most - moved FOR UPDATE SKIP LOCKED));
            GET DIAGNOSTICS n = ROW_COUNT;
            moved := moved + n;
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
        UPDATE public.whatsapp_incoming_messages AS m
        SET chat = one.conversation
        WHERE m.ctid = ANY (ARRAY(
            SELECT due.ctid
            FROM (SELECT c.session FROM gateway.conversations AS c WHERE c.chat = one.chat) AS listed
            JOIN public.whatsapp_incoming_messages AS due
                ON coalesce(due.wasender_session_id, 0) = listed.session
                AND gateway.chat_of(due.chat, due.from_phone) = one.chat
            LIMIT most - moved FOR UPDATE OF due SKIP LOCKED));
        GET DIAGNOSTICS n = ROW_COUNT;
        moved := moved + n;
        UPDATE public.whatsapp_outgoing_messages AS m
        SET chat = one.conversation
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
    RETURN moved;
END;
$$;
COMMENT ON FUNCTION gateway.move_messages_v1(text[], int) IS
    'Moves messages to the conversations that gateway.moves names, `most` at a time.';

-- Numbers with two spellings that are met for the first time. The spelling that has a conversation already keeps it.
CREATE OR REPLACE FUNCTION gateway.learn_numbers_v1(phones text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    WITH told AS (
        SELECT DISTINCT ON (person) person, phone
        FROM (
            SELECT gateway.one_number_v1(phone) AS person, phone, turn
            FROM unnest(phones) WITH ORDINALITY AS told (phone, turn)
            WHERE phone ~ '^5[245][0-9]{10,11}$'
        ) AS spelt
        WHERE cardinality(gateway.spellings_v1(person)) > 1
            AND NOT EXISTS (SELECT FROM gateway.numbers AS known WHERE known.person = spelt.person)
        ORDER BY person, turn
    ), listed AS (
        SELECT told.person, spelling, min(c.last_at) AS since
        FROM told
        CROSS JOIN unnest(gateway.spellings_v1(told.person)) AS spelling
        JOIN gateway.conversations AS c ON c.chat = spelling || '@s.whatsapp.net'
        GROUP BY told.person, spelling
    ), chosen AS (
        INSERT INTO gateway.numbers AS n (person, phone)
        SELECT told.person, coalesce(
            (SELECT spelling FROM listed WHERE listed.person = told.person ORDER BY (spelling = told.phone) DESC, since LIMIT 1),
            told.phone)
        FROM told
        ORDER BY told.person
        ON CONFLICT DO NOTHING
        RETURNING n.person, n.phone
    )
    INSERT INTO gateway.moves (address, phone)
    SELECT listed.spelling, chosen.phone
    FROM chosen
    JOIN listed ON listed.person = chosen.person AND listed.spelling <> chosen.phone
    ORDER BY listed.spelling
    ON CONFLICT DO NOTHING;
END;
$$;
COMMENT ON FUNCTION gateway.learn_numbers_v1(text[]) IS
    'Decides under which spelling the conversation of a number stands.';

-- Numbers behind LIDs. What is stored under a LID moves: a little of it at once, the rest by a gateway afterwards.
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
    PERFORM gateway.move_messages_v1(learned, 500);
END;
$$;
COMMENT ON FUNCTION gateway.learn_lids_v2(text[], text[]) IS
    'Keeps numbers behind LIDs, and begins to move the messages of those that are new.';
