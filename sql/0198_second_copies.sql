-- What a second copy of a message brings: its content where an edit that only the phone can read stood on the empty row,
-- and the secret with which edits are encrypted.

CREATE OR REPLACE FUNCTION gateway.is_filled_by_v1(
    row_type text, row_text text, row_raw jsonb, said_type text, said text, said_raw jsonb
) RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$
    SELECT CASE
        WHEN row_type = 'call' THEN said_type = 'call' AND row_text IS DISTINCT FROM said
            -- That a call has ended says nothing of a call that is known to have been declined.
            AND said_raw ->> 'outcome' IS DISTINCT FROM 'ended'
        WHEN row_type <> 'unknown' THEN row_type = said_type AND row_text IS NOT DISTINCT FROM said
            AND said_raw #> '{message,messageContextInfo,messageSecret}' IS NOT NULL
            AND row_raw #> '{message,messageContextInfo,messageSecret}' IS NULL
        WHEN said_type <> 'unknown' THEN true
        ELSE (row_text IS NULL AND said IS NOT NULL)
            OR (coalesce(row_raw -> 'message', 'null') IN ('null', '{}')
                AND coalesce(said_raw -> 'message', 'null') NOT IN ('null', '{}'))
    END;
$$;
COMMENT ON FUNCTION gateway.is_filled_by_v1(text, text, jsonb, text, text, jsonb) IS
    'Whether what came is the content that a row still lacks, or the secret of its edits.';

-- The rest of the functions stays as it is, also where they were fitted to tables of the shop. A text that only the
-- phone has edited is the text before the edit: the content may fill it.
DO $do$
DECLARE
    receiving regprocedure := 'gateway.receive_v3(text, int[], text[], bigint[], text[], text[], text[], text[], text[], text[],'
        ' text[], timestamptz[], jsonb[], boolean[], int[], jsonb[])';
    sending regprocedure := 'gateway.send_v2(text, int[], text[], bigint[], text[], text[], text[], text[], text[], text[],'
        ' timestamptz[], jsonb[], boolean[], int[], jsonb[])';
BEGIN
    EXECUTE replace(pg_get_functiondef(receiving), 'm.wasender_session_id IS NULL OR m.edited_at IS NOT NULL',
        'm.wasender_session_id IS NULL OR (m.edited_at IS NOT NULL AND m.edited_on_phone IS NOT TRUE)');
    EXECUTE replace(pg_get_functiondef(sending), 'CASE WHEN m.edited_at IS NULL THEN',
        'CASE WHEN m.edited_at IS NULL OR m.edited_on_phone THEN');
END;
$do$;
