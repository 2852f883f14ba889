-- The latency probe: an event of an inbox of its own, which takes the way of every message from its commit on.

CREATE OR REPLACE FUNCTION gateway.probe_v1(gateway uuid, number bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    next_off bigint;
BEGIN
    PERFORM gateway.ensure_inbox_v1(-2);
    -- Nobody comes back to these: the newest few are enough.
    UPDATE gateway.inboxes AS i SET off = i.off + 1, floor = greatest(i.floor, i.off - 100)
    WHERE i.inbox = -2 RETURNING i.off INTO next_off;
    DELETE FROM gateway.stream AS s WHERE s.inbox = -2 AND s.off <= next_off - 101;
    INSERT INTO gateway.stream (inbox, off, at, tbl, op, record, old)
    VALUES (-2, next_off, clock_timestamp(), 'probe', 'INSERT',
        jsonb_build_object('gateway', gateway, 'number', number), '{}');
    PERFORM pg_notify('whatsapp_incoming_messages', '-2');
END;
$$;
COMMENT ON FUNCTION gateway.probe_v1(uuid, bigint) IS
    'One event for the gateways to measure how long a change takes to a socket.';
COMMENT ON COLUMN gateway.inboxes.inbox IS
    'WasenderAPI''s id of the session; 0 for rows that name none; -1 for changes of sessions and alerts; -2 for the '
    'latency probe.';
