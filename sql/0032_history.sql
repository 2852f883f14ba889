-- Offsets are promises about one history. A database that was restored from a backup has another one, and so may a
-- standby that took over: the same offsets come again there with other content. So every history has a name, and
-- when it changes all streams begin a new epoch: whoever holds an offset of the old one is told to load anew.

-- A dump restored elsewhere has another system identifier, point-in-time recovery and promotion another timeline.
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
        SELECT system_identifier::text INTO system FROM pg_control_system();
    EXCEPTION
        WHEN insufficient_privilege OR undefined_function THEN
            system := '?';
    END;
    -- The control file would name the timeline of the last checkpoint, which may be from before a promotion.
    RETURN system || '/' || left(pg_walfile_name(pg_current_wal_lsn()), 8);
END;
$$;
COMMENT ON FUNCTION gateway.history_v1() IS 'Which server and timeline this is.';

-- In the order of every committing transaction (sessions, then inboxes, each ascending), so that nobody waits in a
-- circle. Versions jump: those given out after the backup was made must not come again for something else.
CREATE OR REPLACE FUNCTION gateway.renew_epochs_v1() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM FROM gateway.session_state ORDER BY wasender_session_id FOR NO KEY UPDATE;
    UPDATE gateway.session_state SET version = version + 1000000, code_seq = code_seq + 1000;
    PERFORM FROM gateway.inboxes ORDER BY inbox FOR NO KEY UPDATE;
    UPDATE gateway.inboxes SET epoch = gen_random_uuid();
    INSERT INTO gateway.settings (key, value) VALUES ('history', to_jsonb(gateway.history_v1()))
    ON CONFLICT (key) DO UPDATE SET value = excluded.value;
    PERFORM pg_notify('whatsapp_sessions', '*'), pg_notify('whatsapp_incoming_messages', '*');
END;
$$;
COMMENT ON FUNCTION gateway.renew_epochs_v1() IS
    'Begins all streams anew; nothing of them is lost, but everybody who follows one loads it again.';

CREATE OR REPLACE FUNCTION gateway.check_history_v1() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    known jsonb;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('gateway.history', 0));
    SELECT value INTO known FROM gateway.settings WHERE key = 'history';
    IF known = to_jsonb(gateway.history_v1()) THEN
        RETURN false;
    END IF;
    IF known IS NULL THEN
        INSERT INTO gateway.settings (key, value) VALUES ('history', to_jsonb(gateway.history_v1()));
        RETURN false;
    END IF;
    PERFORM gateway.renew_epochs_v1();
    RETURN true;
END;
$$;
COMMENT ON FUNCTION gateway.check_history_v1() IS
    'Begins all streams anew if this is not the history it was; true if so.';

-- For a gateway that sees an inbox shorter than it was: only one of several that see it begins anew.
CREATE OR REPLACE FUNCTION gateway.begin_anew_v1(box bigint, known text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('gateway.history', 0));
    IF NOT EXISTS (SELECT FROM gateway.inboxes WHERE inbox = box AND epoch::text = known) THEN
        RETURN false;
    END IF;
    PERFORM gateway.renew_epochs_v1();
    RETURN true;
END;
$$;
COMMENT ON FUNCTION gateway.begin_anew_v1(bigint, text) IS
    'Begins all streams anew, unless the epoch of that inbox is another by now; true if it did.';
