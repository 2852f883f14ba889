-- Where all inboxes stood when a page was read, in one word: the snapshot it was read in. Which inboxes have moved since
-- is asked for when a client subscribes with it; of ten thousand that is a handful.

CREATE OR REPLACE FUNCTION gateway.position_token_v1() RETURNS text[]
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY[
        pg_current_snapshot()::text,
        (SELECT s.value #>> '{}' FROM gateway.settings AS s WHERE s.key = 'history')
    ];
$$;
COMMENT ON FUNCTION gateway.position_token_v1() IS 'The snapshot of this transaction, and the history it belongs to.';

-- A row's transaction has 32 bits, the snapshot's 64: of rows that are younger than two billion transactions it is known
-- which one is meant.
CREATE OR REPLACE FUNCTION gateway.was_visible_v1(writer xid, seen pg_snapshot) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT writer_id < 3 OR pg_visible_in_snapshot(writer_id::text::xid8, seen)
    FROM (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next_id) AS now_at
    CROSS JOIN LATERAL (SELECT (next_id >> 32 << 32) | writer::text::bigint AS near_id) AS near
    CROSS JOIN LATERAL (SELECT CASE WHEN near_id > next_id THEN near_id - (1::bigint << 32) ELSE near_id END AS writer_id) AS whole;
$$;
COMMENT ON FUNCTION gateway.was_visible_v1(xid, pg_snapshot) IS 'Whether what that transaction wrote was seen in a snapshot.';

-- Offsets are given in the order of commits, so what a snapshot saw of an inbox ends at the newest event it saw. `off`
-- is NULL where that cannot be said: the inbox was begun anew, or too much is not kept any more. Inboxes that moved a
-- little before are named too, so that the caller waits until it has read as far. NULL for a token of another history.
CREATE OR REPLACE FUNCTION gateway.moved_since_v1(seen pg_snapshot, of_history text)
RETURNS TABLE (inbox bigint, off bigint, epoch text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT i.inbox,
        CASE
            WHEN last_seen.off >= i.floor THEN last_seen.off
            WHEN last_seen.off IS NULL AND NOT EXISTS (
                SELECT FROM gateway.stream AS s WHERE s.inbox = i.inbox AND s.off <= i.floor
            ) THEN i.floor
        END,
        i.epoch::text
    FROM gateway.inboxes AS i
    LEFT JOIN LATERAL (
        SELECT s.off
        FROM gateway.stream AS s
        WHERE s.inbox = i.inbox AND gateway.was_visible_v1(s.xmin, seen)
        ORDER BY s.off DESC
        LIMIT 1
    ) AS last_seen ON true
    WHERE i.inbox >= 0
        AND age(i.xmin) <= least(
            pg_snapshot_xmax(pg_current_snapshot())::text::bigint - pg_snapshot_xmin(seen)::text::bigint + 200,
            2147483646)
        AND of_history = (SELECT s.value #>> '{}' FROM gateway.settings AS s WHERE s.key = 'history')
    UNION ALL
    SELECT NULL, NULL, NULL
    WHERE of_history IS DISTINCT FROM (SELECT s.value #>> '{}' FROM gateway.settings AS s WHERE s.key = 'history')
$$;
COMMENT ON FUNCTION gateway.moved_since_v1(pg_snapshot, text) IS
    'Inboxes that have moved since a snapshot, and where each stood in it.';
