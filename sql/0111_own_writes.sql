-- A gateway that writes a webhook knows its rows; only their offsets it had to read, after the notification, and that was
-- a quarter of what a lone message cost. Now the write's last step numbers the changes and gives them back. The counter's
-- lock lives as long as before: until the flush of this transaction.
--
-- What it tells itself it need not be told. So it must know its own notification from others of the same connection: its
-- inbox has a zero before it, which counts for nothing to those that read a number. A trigger of the shop that writes
-- more messages as the transaction commits notifies without the zero, and that is read as ever.

CREATE OR REPLACE FUNCTION gateway.number_one_inbox_v1(me xid8, box bigint, expected bigint) RETURNS boolean
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    base bigint;
    written bigint;
    ignored text;
BEGIN
    UPDATE gateway.inboxes AS i SET off = i.off + expected WHERE i.inbox = box RETURNING i.off - expected INTO base;
    IF base IS NULL THEN
        RETURN false;
    END IF;
    -- As many as there are, whatever was expected: another collector may have added its own, and marked them itself.
    WITH taken AS (
        DELETE FROM gateway.pending_changes AS p WHERE p.xid = me AND p.inbox = box
        RETURNING p.seq, p.tbl, p.op, p.record, p.old
    )
    INSERT INTO gateway.stream (inbox, off, at, tbl, op, record, old)
    SELECT box, base + row_number() OVER (ORDER BY t.seq), clock_timestamp(), t.tbl, t.op, t.record, t.old
    FROM taken AS t
    ORDER BY t.seq;
    GET DIAGNOSTICS written = ROW_COUNT;
    IF written <> expected THEN
        UPDATE gateway.inboxes AS i SET off = base + written WHERE i.inbox = box;
    END IF;
    IF written = expected AND current_setting('gateway.own_write', true) = 'asked' THEN
        ignored := pg_notify('whatsapp_incoming_messages', '0' || box);
        ignored := set_config('gateway.own_write', 'told', true);
    ELSIF written > 0 THEN
        ignored := pg_notify('whatsapp_incoming_messages', box::text);
    END IF;
    RETURN written = expected;
END;
$$;

-- Numbers what this transaction has collected, if it is little and of one inbox, and says what the stream holds of it.
-- `box` is NULL where it is not: then the commit numbers, and a notification tells. `stored` is what the write returned:
-- it is asked for so that the write comes first.
CREATE OR REPLACE FUNCTION gateway.number_own_v1(
    stored int[], OUT box bigint, OUT top bigint, OUT floor bigint, OUT epoch text,
    OUT tbls text[], OUT ops text[], OUT ats text[], OUT records jsonb[], OUT olds jsonb[]
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    known text := current_setting('gateway.pending_inbox', true);
    expected text := current_setting('gateway.pending_changes', true);
    ignored text;
BEGIN
    IF known IS NULL OR known !~ '^[0-9]{1,18}$' OR expected !~ '^[1-9][0-9]?$' THEN
        RETURN;
    END IF;
    ignored := set_config('gateway.own_write', 'asked', true);
    SET CONSTRAINTS gateway.gateway_number_changes IMMEDIATE;
    ignored := current_setting('gateway.own_write', true);
    PERFORM set_config('gateway.own_write', '', true);
    IF ignored <> 'told' THEN
        RETURN;
    END IF;
    SELECT i.inbox, i.off, i.floor, i.epoch::text INTO box, top, floor, epoch
    FROM gateway.inboxes AS i
    WHERE i.inbox = known::bigint;
    SELECT array_agg(s.tbl ORDER BY s.off), array_agg(s.op ORDER BY s.off),
        array_agg(to_char(s.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') ORDER BY s.off),
        array_agg(s.record ORDER BY s.off), array_agg(s.old ORDER BY s.off)
    INTO tbls, ops, ats, records, olds
    FROM gateway.stream AS s
    WHERE s.inbox = box AND s.off > top - expected::bigint;
END;
$$;
COMMENT ON FUNCTION gateway.number_own_v1(int[]) IS
    'Numbers the changes of this transaction at once where they are few and of one inbox, and returns them.';
