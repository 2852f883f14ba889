-- Alerts: what an operator has to know of a number at once. A row is open until what it tells of is over.

CREATE TABLE IF NOT EXISTS gateway.alerts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('link_lost', 'webhooks_stopped', 'restricted')),
    wasender_session_id bigint NOT NULL,
    note text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE UNIQUE INDEX IF NOT EXISTS alerts_open ON gateway.alerts (wasender_session_id, kind) WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS alerts_ended_at ON gateway.alerts (ended_at) WHERE ended_at IS NOT NULL;
COMMENT ON TABLE gateway.alerts IS 'What an operator has to know of a number; kept 90 days after its end.';
COMMENT ON COLUMN gateway.alerts.id IS 'Number of the alert.';
COMMENT ON COLUMN gateway.alerts.kind IS
    'link_lost: the phone is not linked any more. webhooks_stopped: none arrive, or all are refused. restricted: '
    'WhatsApp refuses new chats.';
COMMENT ON COLUMN gateway.alerts.wasender_session_id IS 'WasenderAPI''s id of the session.';
COMMENT ON COLUMN gateway.alerts.note IS 'What is the matter, and what to do.';
COMMENT ON COLUMN gateway.alerts.opened_at IS 'Since when.';
COMMENT ON COLUMN gateway.alerts.ended_at IS 'When it was over; NULL while it is not.';

-- Adds one event to the stream of changes of sessions (inbox -1), as a trigger would: receivers of webhooks follow it.
CREATE OR REPLACE FUNCTION gateway.tell_alert_v1(alert gateway.alerts) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    next_off bigint;
BEGIN
    PERFORM gateway.ensure_inbox_v1(-1);
    UPDATE gateway.inboxes AS i SET off = i.off + 1 WHERE i.inbox = -1 RETURNING i.off INTO next_off;
    INSERT INTO gateway.stream (inbox, off, at, tbl, op, record, old)
    VALUES (-1, next_off, clock_timestamp(), 'alerts', CASE WHEN alert.ended_at IS NULL THEN 'INSERT' ELSE 'UPDATE' END,
        to_jsonb(alert), jsonb_build_object('id', alert.id) || CASE WHEN alert.ended_at IS NULL THEN '{}'
            ELSE jsonb_build_object('changed', jsonb_build_array('ended_at')) END);
    PERFORM pg_notify('whatsapp_incoming_messages', '-1');
    PERFORM pg_notify('whatsapp_sessions', alert.wasender_session_id::text);
END;
$$;
COMMENT ON FUNCTION gateway.tell_alert_v1(gateway.alerts) IS 'Tells those who follow changes of sessions of an alert.';

-- What is wrong with which number, now. A link that a person ended is no alert.
-- A function, no view: a view would keep the shop from changing its table.
CREATE OR REPLACE FUNCTION gateway.trouble_v1() RETURNS TABLE (kind text, session bigint, note text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'link_lost' AS kind, s.wasender_session_id::bigint AS session,
        CASE lower(s.status)
            WHEN 'expired' THEN 'The link has expired. Link the phone again.'
            WHEN 'logged_out' THEN 'The phone has ended the link. Link it again.'
            ELSE 'WhatsApp is not connected any more. Look at the phone, then link it again.'
        END AS note
    FROM public.whatsapp_sessions AS s
    LEFT JOIN gateway.session_state AS st ON st.wasender_session_id = s.wasender_session_id
    WHERE s.last_connected_at IS NOT NULL
        AND (lower(s.status) IN ('logged_out', 'expired')
            OR (lower(s.status) = 'disconnected' AND coalesce(st.source, '') <> 'api'))
    UNION ALL
    SELECT 'webhooks_stopped', s.wasender_session_id::bigint, st.webhook_note
    FROM public.whatsapp_sessions AS s
    JOIN gateway.session_state AS st ON st.wasender_session_id = s.wasender_session_id
    WHERE lower(coalesce(s.status, '')) <> 'gone' AND st.webhook_state <> 'ok' AND st.webhook_note IS NOT NULL
    UNION ALL
    SELECT 'restricted', s.wasender_session_id::bigint,
        'WhatsApp refuses new chats of this number: first messages wait, answers go on.'
    FROM public.whatsapp_sessions AS s
    JOIN gateway.send_queues AS q ON q.session = s.wasender_session_id
    WHERE q.shown ->> 'reason' = 'restricted'
$$;
COMMENT ON FUNCTION gateway.trouble_v1() IS 'What is wrong with which number at this moment.';

-- Opens what is new, ends what is over, and returns both. Any number of gateways may call it.
CREATE OR REPLACE FUNCTION gateway.judge_alerts_v1() RETURNS SETOF gateway.alerts
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    alert gateway.alerts;
BEGIN
    FOR alert IN
        UPDATE gateway.alerts AS a SET ended_at = clock_timestamp()
        WHERE a.ended_at IS NULL AND NOT EXISTS (
            SELECT FROM gateway.trouble_v1() AS t WHERE t.session = a.wasender_session_id AND t.kind = a.kind)
        RETURNING a.*
    LOOP
        PERFORM gateway.tell_alert_v1(alert);
        RETURN NEXT alert;
    END LOOP;
    FOR alert IN
        INSERT INTO gateway.alerts AS a (kind, wasender_session_id, note)
        SELECT t.kind, t.session, t.note FROM gateway.trouble_v1() AS t
        WHERE NOT EXISTS (
            SELECT FROM gateway.alerts AS o
            WHERE o.wasender_session_id = t.session AND o.kind = t.kind AND o.ended_at IS NULL)
        ORDER BY t.session, t.kind
        ON CONFLICT (wasender_session_id, kind) WHERE ended_at IS NULL DO NOTHING
        RETURNING a.*
    LOOP
        PERFORM gateway.tell_alert_v1(alert);
        RETURN NEXT alert;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION gateway.judge_alerts_v1() IS 'Opens and ends alerts as the numbers stand, and tells of both.';
