-- After a restore, rows of other writers that no gateway had taken yet may have been sent since the backup, too.

CREATE OR REPLACE FUNCTION gateway.hold_unsent_v1() RETURNS void
LANGUAGE plpgsql
SET search_path = "$user", public
AS $$
DECLARE
    since bigint := (SELECT (s.value #>> '{}')::bigint FROM gateway.settings AS s WHERE s.key = 'send_from_sql');
BEGIN
    UPDATE public.whatsapp_outgoing_messages AS m
    SET status = 'unknown', error_code = 'restored',
        error = 'A backup was brought back; this may have been sent after the backup was made.'
    WHERE m.send_no IS NOT NULL AND m.status IN ('queued', 'sending');
    IF since IS NOT NULL THEN
        UPDATE public.whatsapp_outgoing_messages AS m
        SET status = 'unknown', error_code = 'restored',
            error = 'A backup was brought back; this may have been sent after the backup was made.'
        WHERE m.send_no IS NULL AND m.status = 'queued' AND m.origin = 'sql' AND m.id > since;
    END IF;
    DELETE FROM gateway.send_lanes;
    UPDATE gateway.send_queues SET holder = NULL;
END;
$$;
