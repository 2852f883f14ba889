-- Delivery states of own sends: a state that proves a failure wrong takes its reason away; a voice note may be played.
-- As in 0068 otherwise.

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
        ELSIF may_wait THEN
            SELECT CASE
                WHEN bool_or(item.chat IS NULL OR gateway.is_one_person_v1(gateway.chat_of(m.chat, m.to_phone), item.chat))
                    THEN 'same'
                WHEN count(*) > 0 THEN 'elsewhere'
            END INTO verdict
            FROM public.whatsapp_outgoing_messages AS m
            WHERE m.wa_key_id = item.key AND m.wasender_session_id = item.session;
            IF verdict IS NULL AND EXISTS (
                SELECT FROM public.whatsapp_incoming_messages AS m
                WHERE m.wa_key_id = item.key AND m.wasender_session_id = item.session
            ) THEN
                verdict := 'theirs';
            END IF;
            IF verdict IS NULL THEN
                INSERT INTO gateway.early_deliveries AS early (wasender_session_id, wa_key_id, state, at, error, chat)
                VALUES (item.session, item.key, item.code, item.at, item.error, item.chat)
                ON CONFLICT (wasender_session_id, wa_key_id) DO UPDATE
                SET state = excluded.state, at = excluded.at, error = excluded.error, chat = excluded.chat, came_at = now()
                WHERE early.state = ANY (string_to_array(item.weaker_codes, ',')::int[])
                    AND (failed NOT IN (early.state, excluded.state) OR early.at <= excluded.at);
                verdict := CASE WHEN FOUND THEN 'early' END;
            END IF;
        END IF;
        verdicts := verdicts || verdict;
    END LOOP;
    RETURN verdicts;
END;
$$;
