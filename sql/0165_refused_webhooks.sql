-- Webhooks that were refused because of their secret, counted since the last one that was taken.

ALTER TABLE gateway.session_state
    ADD COLUMN IF NOT EXISTS webhooks_refused int NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS webhook_refused_at timestamptz;
COMMENT ON COLUMN gateway.session_state.webhooks_refused IS
    'How many webhooks were refused for their secret since one was taken.';
COMMENT ON COLUMN gateway.session_state.webhook_refused_at IS 'When the last of them came.';
COMMENT ON COLUMN gateway.session_state.webhook_state IS
    'ok, off, elsewhere, events_missing, no_secret, refused, silent; NULL while not looked at.';

-- Of `taken` sessions a webhook was taken: what was refused before counts no more. The sessions whose count has changed
-- are returned.
CREATE OR REPLACE FUNCTION gateway.note_refused_webhooks_v1(taken bigint[], sessions bigint[], refused int[])
RETURNS SETOF bigint
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    WITH cleared AS (
        UPDATE gateway.session_state AS st SET webhooks_refused = 0
        WHERE st.wasender_session_id = ANY (taken) AND st.wasender_session_id <> ALL (sessions)
            AND st.webhooks_refused > 0
        RETURNING st.wasender_session_id AS session
    ), counted AS (
        INSERT INTO gateway.session_state AS st (wasender_session_id, webhooks_refused, webhook_refused_at)
        SELECT item.session, item.refused, now()
        FROM unnest(sessions, refused) AS item(session, refused)
        WHERE EXISTS (SELECT FROM public.whatsapp_sessions AS s WHERE s.wasender_session_id = item.session)
        ORDER BY item.session
        ON CONFLICT (wasender_session_id) DO UPDATE
        SET webhooks_refused = excluded.webhooks_refused
                + CASE WHEN st.wasender_session_id = ANY (taken) THEN 0 ELSE st.webhooks_refused END,
            webhook_refused_at = now()
        RETURNING st.wasender_session_id AS session
    )
    SELECT session FROM cleared UNION SELECT session FROM counted
$$;
COMMENT ON FUNCTION gateway.note_refused_webhooks_v1(bigint[], bigint[], int[]) IS
    'Counts refused webhooks of sessions, and forgets those before a webhook that was taken.';
