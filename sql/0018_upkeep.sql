-- Looking after sessions: whether WasenderAPI still sends their webhooks to us, and when we last asked it ourselves.

ALTER TABLE gateway.session_state
    ADD COLUMN IF NOT EXISTS webhook_missed_at timestamptz,
    ADD COLUMN IF NOT EXISTS webhook_state text,
    ADD COLUMN IF NOT EXISTS webhook_note text,
    ADD COLUMN IF NOT EXISTS probed_at timestamptz;
COMMENT ON COLUMN gateway.session_state.webhook_missed_at IS
    'When we last found a change of status by asking; a webhook should tell of it within moments.';
COMMENT ON COLUMN gateway.session_state.webhook_state IS
    'ok, off, elsewhere, events_missing, no_secret, silent; NULL while not looked at.';
COMMENT ON COLUMN gateway.session_state.webhook_note IS 'The same in a sentence, with what to do.';
COMMENT ON COLUMN gateway.session_state.probed_at IS 'When the session''s own key was last used to ask for its status.';

CREATE OR REPLACE FUNCTION gateway.touch_sessions_v1(sessions bigint[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO gateway.touched (xid, wasender_session_id)
    SELECT DISTINCT pg_current_xact_id(), session FROM unnest(sessions) AS session
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM gateway.mark_v1(0, '{}');
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.touch_sessions_v1(bigint[]) IS
    'Lets the versions of these sessions grow as the transaction commits, and rings.';
