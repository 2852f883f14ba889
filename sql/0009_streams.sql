-- The streams: every committed change of a message, numbered without gaps within its inbox.

CREATE TABLE IF NOT EXISTS gateway.inboxes (
    inbox bigint PRIMARY KEY,
    off bigint NOT NULL DEFAULT 0,
    floor bigint NOT NULL DEFAULT 0,
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE gateway.inboxes IS
    'One counter per inbox. Its row is locked only while a transaction commits.';
COMMENT ON COLUMN gateway.inboxes.inbox IS
    'WasenderAPI''s id of the session; 0 for rows that name none; -1 for changes of whatsapp_sessions.';
COMMENT ON COLUMN gateway.inboxes.off IS 'Offset of the newest event.';
COMMENT ON COLUMN gateway.inboxes.floor IS 'Events up to this offset are gone, or no longer valid.';
COMMENT ON COLUMN gateway.inboxes.epoch IS
    'Identity of this history. A new one says: what you hold cannot be continued, load it again.';
COMMENT ON COLUMN gateway.inboxes.created_at IS 'When the inbox was first used.';

CREATE TABLE IF NOT EXISTS gateway.stream (
    inbox bigint NOT NULL,
    off bigint NOT NULL,
    at timestamptz NOT NULL,
    tbl text NOT NULL,
    op text NOT NULL CHECK (op IN ('INSERT', 'UPDATE', 'DELETE')),
    record jsonb,
    old jsonb NOT NULL,
    PRIMARY KEY (inbox, off)
);
CREATE INDEX IF NOT EXISTS stream_at ON gateway.stream (at);
COMMENT ON TABLE gateway.stream IS 'Committed changes, in the order of each inbox; kept for days, then pruned.';
COMMENT ON COLUMN gateway.stream.inbox IS 'The inbox this happened in.';
COMMENT ON COLUMN gateway.stream.off IS 'Position in that inbox, without gaps.';
COMMENT ON COLUMN gateway.stream.at IS 'Time of the commit.';
COMMENT ON COLUMN gateway.stream.tbl IS 'Table of the row.';
COMMENT ON COLUMN gateway.stream.op IS 'INSERT, UPDATE or DELETE.';
COMMENT ON COLUMN gateway.stream.record IS 'The row after the change without raw_data; NULL for DELETE.';
COMMENT ON COLUMN gateway.stream.old IS
    'id of the row; for UPDATE the names of the columns that changed; for DELETE what a client needs to find the row.';

-- Where a transaction collects its changes until it commits. Nothing here is ever seen by another transaction, so
-- nothing of it must survive a crash (UNLOGGED); every row is deleted by the transaction that wrote it, so VACUUM
-- has to come by often.
CREATE UNLOGGED TABLE IF NOT EXISTS gateway.staged (
    xid xid8 NOT NULL,
    seq bigint GENERATED ALWAYS AS IDENTITY (CACHE 32),
    inbox bigint NOT NULL,
    tbl text,
    op text NOT NULL,
    record jsonb,
    old jsonb
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 2000000000);
CREATE INDEX IF NOT EXISTS staged_xid ON gateway.staged (xid);
COMMENT ON TABLE gateway.staged IS 'Changes of transactions that have not committed yet; empty to everybody else.';
COMMENT ON COLUMN gateway.staged.xid IS 'The transaction.';
COMMENT ON COLUMN gateway.staged.seq IS 'Order within the transaction.';
COMMENT ON COLUMN gateway.staged.inbox IS 'The inbox the change belongs to.';
COMMENT ON COLUMN gateway.staged.tbl IS 'Table of the row.';
COMMENT ON COLUMN gateway.staged.op IS 'INSERT, UPDATE, DELETE; FLOOD: too much to tell, a new epoch instead.';
COMMENT ON COLUMN gateway.staged.record IS 'As in gateway.stream.';
COMMENT ON COLUMN gateway.staged.old IS 'As in gateway.stream.';

CREATE UNLOGGED TABLE IF NOT EXISTS gateway.touched (
    xid xid8 NOT NULL,
    wasender_session_id bigint NOT NULL,
    PRIMARY KEY (xid, wasender_session_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 2000000000);
COMMENT ON TABLE gateway.touched IS 'Sessions whose state a transaction changes, until it commits.';
COMMENT ON COLUMN gateway.touched.xid IS 'The transaction.';
COMMENT ON COLUMN gateway.touched.wasender_session_id IS 'The session.';

CREATE UNLOGGED TABLE IF NOT EXISTS gateway.marked (
    xid xid8 PRIMARY KEY
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 2000000000);
COMMENT ON TABLE gateway.marked IS
    'One row per transaction with changes; the deferred trigger on it numbers them as the transaction commits.';
COMMENT ON COLUMN gateway.marked.xid IS 'The transaction.';

CREATE OR REPLACE FUNCTION gateway.ensure_inbox_v1(box bigint) RETURNS gateway.inboxes
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_row gateway.inboxes;
BEGIN
    SELECT * INTO found_row FROM gateway.inboxes WHERE inbox = box;
    IF NOT FOUND THEN
        INSERT INTO gateway.inboxes (inbox) VALUES (box) ON CONFLICT DO NOTHING;
        SELECT * INTO found_row FROM gateway.inboxes WHERE inbox = box;
    END IF;
    RETURN found_row;
END;
$$;
COMMENT ON FUNCTION gateway.ensure_inbox_v1(bigint) IS 'The counter row of an inbox, made when it is missing.';
SELECT gateway.ensure_inbox_v1(0);
