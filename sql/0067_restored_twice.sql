-- One dump may be restored twice. The versions of session states jump then, so that those given out after the dump do not
-- come again for something else. A jump by a fixed number leads to the same versions the second time, and every gateway
-- and client would take the new states for old ones. The clock is another one each time; it is far ahead of any counter.
CREATE OR REPLACE FUNCTION gateway.renew_epochs_v1() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM gateway.session_state AS s ORDER BY s.wasender_session_id FOR NO KEY UPDATE;
    UPDATE gateway.session_state AS s
    SET version = greatest(s.version + 1000000, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint),
        code_seq = s.code_seq + 1000;
    PERFORM FROM gateway.inboxes AS i ORDER BY i.inbox FOR NO KEY UPDATE;
    UPDATE gateway.inboxes SET epoch = gen_random_uuid();
    PERFORM gateway.note_history_v1();
    PERFORM pg_notify('whatsapp_sessions', '*'), pg_notify('whatsapp_incoming_messages', '*');
END;
$$;

-- As `sweep_early_v1`, of what came within some time: a gateway that has left a change to wait looks soon whether its
-- message was being written meanwhile. What waits for long is looked for less often, for it may be much.
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
        WHERE e.kind IN ('edit', 'delete', 'reaction')
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
COMMENT ON FUNCTION gateway.sweep_early_v2(text, int, interval, interval) IS
    'Applies changes of some age that wait although their message is there; returns what is sealed of them.';
