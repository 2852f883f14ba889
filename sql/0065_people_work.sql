-- What the gateways do about people beside the webhooks: moving messages to their conversations, asking for the numbers
-- behind LIDs, and reading the address book of a phone once after it was linked.

ALTER TABLE gateway.session_state ADD COLUMN IF NOT EXISTS contacts_of text;
COMMENT ON COLUMN gateway.session_state.contacts_of IS
    'The linked device whose address book has been read; NULL while it has still to be.';
ALTER TABLE gateway.session_state ADD COLUMN IF NOT EXISTS contacts_due_at timestamptz;
COMMENT ON COLUMN gateway.session_state.contacts_due_at IS
    'The address book is not to be read before; a gateway that begins to read puts it off for the next one.';
ALTER TABLE gateway.session_state ADD COLUMN IF NOT EXISTS contacts_tries int NOT NULL DEFAULT 0;
COMMENT ON COLUMN gateway.session_state.contacts_tries IS
    'How often the address book was begun since it was last read to its end.';

-- One step of moving: at most `most` messages, in one transaction. An address is done when nothing of it was left for a
-- minute: what another transaction wrote under it meanwhile is found by then.
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
        DELETE FROM gateway.moves WHERE asked_at < now() - interval '1 minute';
    END IF;
    RETURN moved;
END;
$$;
COMMENT ON FUNCTION gateway.step_moves_v1(int) IS 'Moves some messages to the conversations they belong to.';

-- What no webhook asked for: messages under a LID whose number is known, and numbers with conversations under two
-- spellings, as another writer may leave them.
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
COMMENT ON FUNCTION gateway.find_moves_v1() IS 'Finds messages that stand outside the conversation of their person.';
