-- A row that moves from one session to another is deleted in one stream and inserted in another. A client that reads both
-- must hear of the deletion first, and streams know nothing of each other's order. So the insertion says what it
-- comes after: `from`, the inbox that the row left and the offset of its deletion there.
--
-- The caller has locked the counters' rows, and has set search_path.

CREATE OR REPLACE FUNCTION gateway.write_stream_v1(me xid8) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
BEGIN
    WITH moved AS (
        UPDATE gateway.inboxes AS i
        SET off = i.off + c.n
        FROM (
            SELECT p.inbox, count(*) AS n FROM gateway.pending_changes AS p WHERE p.xid = me GROUP BY p.inbox
        ) AS c
        WHERE i.inbox = c.inbox
        RETURNING i.inbox, i.off - c.n AS base
    ), taken AS (
        DELETE FROM gateway.pending_changes AS p WHERE p.xid = me
        RETURNING p.inbox, p.seq, p.tbl, p.op, p.record, p.old
    ), numbered AS (
        SELECT t.inbox, t.seq, t.tbl, t.op, t.record, t.old,
            m.base + row_number() OVER (PARTITION BY t.inbox ORDER BY t.seq) AS off
        FROM taken AS t
        JOIN moved AS m ON m.inbox = t.inbox
    ), linked AS (
        SELECT n.*, lag(n.op) OVER of_row AS op_before, lag(n.inbox) OVER of_row AS inbox_before,
            lag(n.off) OVER of_row AS off_before
        FROM numbered AS n
        WINDOW of_row AS (PARTITION BY n.tbl, n.old -> 'id' ORDER BY n.seq)
    )
    INSERT INTO gateway.stream (inbox, off, at, tbl, op, record, old)
    SELECT l.inbox, l.off, clock_timestamp(), l.tbl, l.op, l.record,
        CASE WHEN l.op = 'INSERT' AND l.op_before = 'DELETE' AND l.inbox_before <> l.inbox
            THEN l.old || jsonb_build_object('from', jsonb_build_object('inbox', l.inbox_before, 'off', l.off_before))
            ELSE l.old
        END
    FROM linked AS l
    ORDER BY l.inbox, l.seq;
END;
$$;
COMMENT ON FUNCTION gateway.write_stream_v1(xid8) IS
    'Moves the pending changes of a transaction into the stream.';
COMMENT ON COLUMN gateway.stream.old IS
    'id of the row; for UPDATE the names of the columns that changed, and the chat it left if it moved; for DELETE what a client needs to find the row; for INSERT of a row that came from another inbox `from`, its deletion there; `row`, the row before, where the table has REPLICA IDENTITY FULL.';
