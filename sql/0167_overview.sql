-- What operators look at: which gateways run and how they are, and what waits or has failed.

ALTER TABLE gateway.gateways
    ADD COLUMN IF NOT EXISTS version text,
    ADD COLUMN IF NOT EXISTS facts jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN gateway.gateways.version IS 'The version it runs; NULL where it is too old to say.';
COMMENT ON COLUMN gateway.gateways.facts IS
    'What it said of itself last: process, connections, subscriptions, pollers, senders, lag, and whether it is stale.';

-- Everything here is found by an index that holds only what is open, or is a table of few rows.
CREATE OR REPLACE FUNCTION gateway.overview_v1() RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'sessions', (
            SELECT coalesce(jsonb_object_agg(g.status, g.n), '{}')
            FROM (
                SELECT lower(coalesce(s.status, 'unknown')) AS status, count(*) AS n
                FROM public.whatsapp_sessions AS s GROUP BY 1
            ) AS g),
        'webhooks', (
            SELECT coalesce(jsonb_object_agg(g.state, g.n), '{}')
            FROM (
                SELECT coalesce(st.webhook_state, 'unknown') AS state, count(*) AS n
                FROM public.whatsapp_sessions AS s
                LEFT JOIN gateway.session_state AS st ON st.wasender_session_id = s.wasender_session_id
                WHERE lower(coalesce(s.status, '')) <> 'gone'
                GROUP BY 1
            ) AS g),
        'sends', (
            SELECT coalesce(jsonb_object_agg(g.status, g.n), '{}')
            FROM (
                SELECT 'queued' AS status, count(*) AS n
                FROM public.whatsapp_outgoing_messages AS m
                WHERE m.send_no IS NOT NULL AND m.status = 'queued'
                UNION ALL
                SELECT m.status, count(*)
                FROM public.whatsapp_outgoing_messages AS m
                WHERE m.send_no IS NOT NULL AND m.wa_key_id IS NULL
                    AND m.status IN ('sending', 'accepted', 'unknown')
                GROUP BY 1
            ) AS g),
        'send_age_s', (
            SELECT coalesce(extract(epoch FROM now() - min(m.due_at)), 0)::float8
            FROM public.whatsapp_outgoing_messages AS m
            WHERE m.send_no IS NOT NULL AND m.status = 'queued' AND m.due_at <= now()),
        'paused', (
            SELECT coalesce(jsonb_object_agg(g.reason, g.n), '{}')
            FROM (
                SELECT q.shown ->> 'reason' AS reason, count(*) AS n
                FROM gateway.send_queues AS q WHERE q.shown ->> 'reason' IS NOT NULL GROUP BY 1
            ) AS g),
        'media_pending', (SELECT count(*) FROM gateway.media AS f WHERE f.state = 'pending'),
        'media_due_age_s', (
            SELECT coalesce(extract(epoch FROM now() - min(f.made_at)), 0)::float8
            FROM gateway.media AS f WHERE f.state = 'pending'),
        'journal_failed', (SELECT count(*) FROM gateway.journal AS j WHERE j.outcome = 'failed'),
        'gateways', (
            SELECT count(*) FROM gateway.gateways AS g WHERE g.seen_at > now() - interval '15 seconds'),
        'alerts', (
            SELECT coalesce(jsonb_object_agg(g.kind, g.n), '{}')
            FROM (
                SELECT a.kind, count(*) AS n FROM gateway.alerts AS a WHERE a.ended_at IS NULL GROUP BY 1
            ) AS g),
        'migrations', (SELECT jsonb_agg(m.name) FROM gateway.migrations AS m)
    )
$$;
COMMENT ON FUNCTION gateway.overview_v1() IS 'What waits, what has failed, and how many of what there are.';

-- These read whole tables: to be asked for every few minutes only.
CREATE OR REPLACE FUNCTION gateway.media_totals_v1() RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT jsonb_build_object(
        'stored', count(*) FILTER (WHERE f.state = 'stored'),
        'lost', count(*) FILTER (WHERE f.state = 'lost'),
        'bytes', (SELECT coalesce(sum(b.bytes), 0) FROM gateway.blobs AS b WHERE b.is_stored)
    )
    FROM gateway.media AS f
$$;
COMMENT ON FUNCTION gateway.media_totals_v1() IS 'How many files are stored and lost, and the bytes of the store.';
