-- A message that came empty and got its content within one transaction was told to browsers as updated first and created
-- afterwards, so they showed it empty: the inserts alone were put into the order of arrival, behind the updates of the
-- same rows. What happened to a row moves with its insert, in the order in which it happened.
CREATE OR REPLACE FUNCTION gateway.in_arrival_v1(source text, known_by text, keys text[]) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    WITH arrived AS (
        SELECT key, min(turn) AS turn
        FROM unnest(keys) WITH ORDINALITY AS given (key, turn)
        GROUP BY key
    ), collected AS (
        SELECT s.seq, s.inbox, arrived.turn,
            arrived.turn < lag(arrived.turn) OVER (PARTITION BY s.inbox ORDER BY s.seq) AS is_late
        FROM gateway.pending_changes AS s
        JOIN arrived ON s.record ->> known_by = arrived.key
        WHERE s.xid = pg_current_xact_id() AND s.tbl = source AND s.op IN ('INSERT', 'UPDATE')
    ), taken AS (
        DELETE FROM gateway.pending_changes AS s
        USING collected AS c
        WHERE s.xid = pg_current_xact_id() AND s.seq = c.seq
            AND c.inbox IN (SELECT inbox FROM collected WHERE is_late)
        RETURNING s.xid, s.inbox, s.tbl, s.op, s.record, s.old, s.seq, c.turn
    )
    INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
    SELECT xid, inbox, tbl, op, record, old FROM taken ORDER BY turn, seq;
$$;
COMMENT ON FUNCTION gateway.in_arrival_v1(text, text, text[]) IS
    'Puts the rows that this transaction has written and collected into the order of the keys, inbox by inbox.';
