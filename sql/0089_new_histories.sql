-- In a new history nothing that waited is sent by itself: it may have gone since the backup was made. The streams also
-- begin anew in the same history, where triggers were off for a while or changes could not be numbered: the queue has
-- missed nothing then, and goes on. So the mark of the history decides, and it is written here: the next look at it
-- would see no difference any more. In the order of `check_history_v1`: messages, then sessions, then inboxes.
CREATE OR REPLACE FUNCTION gateway.renew_epochs_v1() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT gateway.is_same_history_v1() THEN
        PERFORM gateway.hold_unsent_v1();
    END IF;
    PERFORM FROM gateway.session_state AS s ORDER BY s.wasender_session_id FOR NO KEY UPDATE;
    UPDATE gateway.session_state AS s
    SET version = greatest(s.version + 1000000, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint),
        code_seq = s.code_seq + 1000;
    PERFORM FROM gateway.inboxes AS i ORDER BY i.inbox FOR NO KEY UPDATE;
    UPDATE gateway.inboxes SET epoch = gen_random_uuid();
    PERFORM gateway.note_history_v1();
    PERFORM pg_notify('whatsapp_sessions', '*'), pg_notify('whatsapp_incoming_messages', '*');
END;
$$;

-- For an operator who has brought a copy back that the database cannot tell from what it was.
CREATE OR REPLACE FUNCTION gateway.declare_restored_v1() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('gateway.history', 0));
    PERFORM gateway.hold_unsent_v1();
    PERFORM gateway.renew_epochs_v1();
END;
$$;
COMMENT ON FUNCTION gateway.declare_restored_v1() IS
    'A backup was brought back: all streams begin anew, and nothing that waited is sent by itself.';
