-- REPLICA IDENTITY FULL asks for the whole old row with each UPDATE and DELETE. Whether a table has it, the relation
-- cache knows: such a table has no index of its identity. Other tables pay for a look at that cache, and no more.

CREATE OR REPLACE FUNCTION gateway.old_row_v1(tbl regclass, old_record jsonb) RETURNS jsonb
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(
        (SELECT jsonb_build_object('row', $2 - 'raw_data') FROM pg_class AS c WHERE c.oid = $1 AND c.relreplident = 'f'),
        '{}'
    );
$$;
COMMENT ON FUNCTION gateway.old_row_v1(regclass, jsonb) IS
    'The old row for `old`, if its table has REPLICA IDENTITY FULL.';

-- These two are inlined into the triggers, whose search_path is fixed. The bodies are text, and the tables are found by
-- name as they run: a parsed body would let no shop drop its table. The phone's column tells the two tables apart.
CREATE OR REPLACE FUNCTION gateway.old_of_deleted_v1(record jsonb, known_by text, phone text) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT jsonb_build_object(
        'id', $1 -> 'id',
        $2, $1 -> $2,
        'chat', gateway.chat_of($1 ->> 'chat', $1 ->> $3)
    ) || CASE
        WHEN pg_get_replica_identity_index(to_regclass(
            CASE $3 WHEN 'from_phone' THEN 'public.whatsapp_incoming_messages' ELSE 'public.whatsapp_outgoing_messages' END
        )) IS NULL
            THEN gateway.old_row_v1(to_regclass(
                CASE $3 WHEN 'from_phone' THEN 'public.whatsapp_incoming_messages' ELSE 'public.whatsapp_outgoing_messages' END
            ), $1)
        ELSE '{}'::jsonb
    END
$$;

CREATE OR REPLACE FUNCTION gateway.old_of_updated_v1(record jsonb, old_record jsonb, phone text) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    SELECT jsonb_build_object('id', $1 -> 'id', 'changed', gateway.changed_keys_v1($1, $2))
        || CASE
            -- Names and numbers are compared first: working out a chat is not free, and hardly any row moves.
            WHEN ($1 -> 'chat', $1 -> $3) IS DISTINCT FROM ($2 -> 'chat', $2 -> $3)
                AND gateway.chat_of($1 ->> 'chat', $1 ->> $3) IS DISTINCT FROM gateway.chat_of($2 ->> 'chat', $2 ->> $3)
                THEN jsonb_build_object('chat', gateway.chat_of($2 ->> 'chat', $2 ->> $3))
            ELSE '{}'::jsonb
        END
        || CASE
            WHEN pg_get_replica_identity_index(to_regclass(
                CASE $3 WHEN 'from_phone' THEN 'public.whatsapp_incoming_messages' ELSE 'public.whatsapp_outgoing_messages' END
            )) IS NULL
                THEN gateway.old_row_v1(to_regclass(
                    CASE $3 WHEN 'from_phone' THEN 'public.whatsapp_incoming_messages' ELSE 'public.whatsapp_outgoing_messages' END
                ), $2)
            ELSE '{}'::jsonb
        END
$$;

-- Sessions change seldom, so a trigger of their own adds the old row to what `collect_sessions` has collected. It never
-- makes a statement of the shop fail: what cannot be added is left out.
CREATE OR REPLACE FUNCTION gateway.keep_old_sessions() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
BEGIN
    IF (SELECT c.relreplident FROM pg_class AS c WHERE c.oid = TG_RELID) <> 'f' THEN
        RETURN NULL;
    END IF;
    UPDATE gateway.pending_changes AS p
    SET old = p.old || jsonb_build_object('row', gateway.session_record_v1(gateway.record_of_v1(o.*, TG_RELID)))
    FROM former AS o
    WHERE p.xid = pg_current_xact_id() AND p.inbox = -1 AND p.tbl = TG_TABLE_NAME AND p.op = TG_OP
        AND p.old -> 'id' = to_jsonb(o.id) AND NOT p.old ? 'row';
    RETURN NULL;
EXCEPTION
    WHEN OTHERS THEN
        RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.keep_old_sessions() IS
    'Adds the old row to the changes of whatsapp_sessions, if it has REPLICA IDENTITY FULL.';

-- Triggers of a statement fire in the order of their names: these after `gateway_collect_…`.
DROP TRIGGER IF EXISTS gateway_keep_old_updates ON public.whatsapp_sessions;
CREATE TRIGGER gateway_keep_old_updates
    AFTER UPDATE ON public.whatsapp_sessions
    REFERENCING OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.keep_old_sessions();
DROP TRIGGER IF EXISTS gateway_keep_old_deletes ON public.whatsapp_sessions;
CREATE TRIGGER gateway_keep_old_deletes
    AFTER DELETE ON public.whatsapp_sessions
    REFERENCING OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.keep_old_sessions();
