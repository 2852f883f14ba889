-- A database that was restored is a new history, also when the dump was restored on the same server: into another
-- database of it, into the same one made anew, or over the tables that were there. So the mark of a history has two
-- more parts: the database's oid, and the transaction that wrote the mark. A dump does not restore that one; Postgres
-- keeps it in the row's xmin, also through VACUUM FULL and FREEZE.

CREATE OR REPLACE FUNCTION gateway.history_v1() RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    system text;
BEGIN
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'this server still recovers, or is a standby' USING ERRCODE = 'read_only_sql_transaction';
    END IF;
    BEGIN
        SELECT c.system_identifier::text INTO system FROM pg_control_system() AS c;
    EXCEPTION
        WHEN insufficient_privilege OR undefined_function THEN
            system := '?';
    END;
    -- The control file would name the timeline of the last checkpoint, which may be from before a promotion.
    RETURN system || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8)
        || '/' || (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());
END;
$$;
COMMENT ON FUNCTION gateway.history_v1() IS 'Which server, timeline and database this is.';

CREATE OR REPLACE FUNCTION gateway.is_same_history_v1() RETURNS boolean
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.value #>> '{}' = gateway.history_v1() || '/' || s.xmin FROM gateway.settings AS s WHERE s.key = 'history';
$$;
COMMENT ON FUNCTION gateway.is_same_history_v1() IS
    'Whether the mark of the history is of this database, and was written here; NULL if there is none.';

-- Written twice: the row's xmin is known only once it is written, and stays the same within a subtransaction.
CREATE OR REPLACE FUNCTION gateway.note_history_v1() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO gateway.settings AS s (key, value) VALUES ('history', '""')
    ON CONFLICT (key) DO UPDATE SET value = excluded.value;
    UPDATE gateway.settings AS s
    SET value = to_jsonb(gateway.history_v1() || '/' || s.xmin)
    WHERE s.key = 'history';
END;
$$;
COMMENT ON FUNCTION gateway.note_history_v1() IS 'Notes that offsets are given out in this database from now on.';

-- The database as the last version knew it goes on.
DO $$
BEGIN
    IF EXISTS (
        SELECT FROM gateway.settings AS s
        WHERE s.key = 'history' AND s.value #>> '{}' = regexp_replace(gateway.history_v1(), '/[0-9]+$', '')
    ) THEN
        PERFORM gateway.note_history_v1();
    END IF;
END;
$$;

-- In the order of every committing transaction (sessions, then inboxes, each ascending), so that no transactions wait
-- in a circle. Versions jump: those given out after the backup was made must not come again for something else. What
-- other transactions have left to be numbered is in the tables that every client loads again; the ids of transactions
-- come again after a restore, and must not meet it.
CREATE OR REPLACE FUNCTION gateway.renew_epochs_v1() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM gateway.session_state AS s ORDER BY s.wasender_session_id FOR NO KEY UPDATE;
    UPDATE gateway.session_state AS s SET version = s.version + 1000000, code_seq = s.code_seq + 1000;
    PERFORM FROM gateway.inboxes AS i ORDER BY i.inbox FOR NO KEY UPDATE;
    UPDATE gateway.inboxes SET epoch = gen_random_uuid();
    PERFORM gateway.note_history_v1();
    PERFORM pg_notify('whatsapp_sessions', '*'), pg_notify('whatsapp_incoming_messages', '*');
END;
$$;

CREATE OR REPLACE FUNCTION gateway.check_history_v1() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_same boolean := gateway.is_same_history_v1();
BEGIN
    IF is_same THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('gateway.history', 0));
    is_same := gateway.is_same_history_v1();
    IF is_same THEN
        RETURN false;
    END IF;
    IF is_same IS NULL THEN
        PERFORM gateway.note_history_v1();
        RETURN false;
    END IF;
    -- Only what transactions have left is visible here.
    DELETE FROM gateway.unnumbered_transactions;
    DELETE FROM gateway.commit_markers;
    DELETE FROM gateway.touched_sessions;
    DELETE FROM gateway.pending_changes;
    PERFORM gateway.renew_epochs_v1();
    RETURN true;
END;
$$;
