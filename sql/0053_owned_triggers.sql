-- The triggers of the gateway are noted as they have to be: one that was dropped with its table, disabled, or turned
-- back by ENABLE TRIGGER ALL is found, named and made again. They fire for every writer, also for one that works as a
-- replica (session_replication_role, pg_restore --disable-triggers turns them off by name).

CREATE TABLE IF NOT EXISTS gateway.owned_triggers (
    tbl text NOT NULL,
    name text NOT NULL,
    definition text NOT NULL,
    is_always boolean NOT NULL,
    PRIMARY KEY (tbl, name)
);
COMMENT ON TABLE gateway.owned_triggers IS 'The triggers of the gateway as its migrations have left them.';
COMMENT ON COLUMN gateway.owned_triggers.tbl IS 'The table, with its schema.';
COMMENT ON COLUMN gateway.owned_triggers.name IS 'Name of the trigger.';
COMMENT ON COLUMN gateway.owned_triggers.definition IS 'The statement that makes it.';
COMMENT ON COLUMN gateway.owned_triggers.is_always IS 'Whether it fires for writers that work as a replica, too.';

CREATE OR REPLACE FUNCTION gateway.triggers_now_v1()
RETURNS TABLE (tbl text, name text, definition text, state text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('%I.%I', n.nspname, c.relname), t.tgname::text, pg_get_triggerdef(t.oid), t.tgenabled::text
    FROM pg_trigger AS t
    JOIN pg_class AS c ON c.oid = t.tgrelid
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_proc AS p ON p.oid = t.tgfoid
    WHERE p.pronamespace = 'gateway'::regnamespace AND NOT t.tgisinternal AND n.nspname IN ('public', 'gateway');
$$;
COMMENT ON FUNCTION gateway.triggers_now_v1() IS 'The triggers of the gateway that are there.';

-- A trigger that only keeps a column of the row fires for its owner's statements, as such triggers do.
CREATE OR REPLACE FUNCTION gateway.note_triggers_v1() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    found_trigger record;
BEGIN
    FOR found_trigger IN
        SELECT n.tbl, n.name FROM gateway.triggers_now_v1() AS n
        WHERE n.state <> 'A' AND n.name <> 'gateway_touch_updated_at'
        -- A writer locks a table of the shop first, and then those where its changes are collected.
        ORDER BY n.tbl NOT LIKE 'public.%', n.tbl, n.name
    LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', found_trigger.tbl, found_trigger.name);
    END LOOP;
    DELETE FROM gateway.owned_triggers;
    INSERT INTO gateway.owned_triggers (tbl, name, definition, is_always)
    SELECT n.tbl, n.name, n.definition, n.state = 'A' FROM gateway.triggers_now_v1() AS n;
END;
$$;
COMMENT ON FUNCTION gateway.note_triggers_v1() IS
    'Lets the triggers fire for every writer, and notes them; for a migration that made or changed some.';

CREATE OR REPLACE FUNCTION gateway.trigger_faults_v1() RETURNS TABLE (tbl text, name text, fault text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT o.tbl, o.name,
        CASE
            WHEN to_regclass(o.tbl) IS NULL THEN 'table_missing'
            WHEN n.name IS NULL THEN 'missing'
            WHEN n.state = 'D' OR n.state = 'R' THEN 'disabled'
            ELSE 'not_always'
        END
    FROM gateway.owned_triggers AS o
    LEFT JOIN gateway.triggers_now_v1() AS n ON n.tbl = o.tbl AND n.name = o.name
    WHERE n.name IS NULL OR n.state IN ('D', 'R') OR (o.is_always AND n.state <> 'A')
    UNION ALL
    SELECT format('public.%I', p.tbl), p.name, 'column_missing'
    FROM gateway.owned_objects AS p
    WHERE p.kind = 'column' AND to_regclass(format('public.%I', p.tbl)) IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_attribute AS a
        WHERE a.attrelid = to_regclass(format('public.%I', p.tbl)) AND a.attname = p.name
            AND a.attnum > 0 AND NOT a.attisdropped
    )
    ORDER BY 1, 2;
$$;
COMMENT ON FUNCTION gateway.trigger_faults_v1() IS
    'What of the gateway''s triggers and columns is not as its migrations have left it: changes are not told.';

CREATE OR REPLACE FUNCTION gateway.repair_triggers_v1() RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    broken record;
    repaired bigint := 0;
BEGIN
    FOR broken IN
        SELECT f.fault, o.tbl, o.name, o.definition, o.is_always
        FROM gateway.trigger_faults_v1() AS f
        JOIN gateway.owned_triggers AS o ON o.tbl = f.tbl AND o.name = f.name
        WHERE f.fault IN ('missing', 'disabled', 'not_always')
        ORDER BY o.tbl NOT LIKE 'public.%', o.tbl, o.name
    LOOP
        IF broken.fault = 'missing' THEN
            EXECUTE broken.definition;
        END IF;
        EXECUTE format(
            'ALTER TABLE %s ENABLE %s TRIGGER %I',
            broken.tbl, CASE WHEN broken.is_always THEN 'ALWAYS' ELSE '' END, broken.name
        );
        repaired := repaired + 1;
    END LOOP;
    RETURN repaired;
END;
$$;
COMMENT ON FUNCTION gateway.repair_triggers_v1() IS
    'Makes and enables the triggers that are missing; returns how many.';

-- As in 0047: all waits together are shorter than deadlock_timeout, and no writer is inside a trigger meanwhile.
SET LOCAL lock_timeout = '200ms';
LOCK TABLE public.whatsapp_sessions, public.whatsapp_incoming_messages, public.whatsapp_outgoing_messages,
    gateway.whatsapp_link_attempts IN SHARE ROW EXCLUSIVE MODE;
SELECT gateway.note_triggers_v1();
