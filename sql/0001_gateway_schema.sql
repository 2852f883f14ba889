-- The schema for everything that is the gateway's own, and the two functions the other migrations use.

COMMENT ON SCHEMA gateway IS 'Owned by the WhatsApp realtime gateway. `gateway migrate --remove` drops it.';

CREATE TABLE IF NOT EXISTS gateway.settings (
    key text PRIMARY KEY,
    value jsonb NOT NULL
);
COMMENT ON TABLE gateway.settings IS 'Small facts that all gateways of this database share.';
COMMENT ON COLUMN gateway.settings.key IS 'Name of the fact.';
COMMENT ON COLUMN gateway.settings.value IS 'The fact.';

-- Completes a table that may have been here before us: columns it lacks are added, nullable and without a default
-- (no row is rewritten, nothing that is there is changed), and comments are set where there are none.
-- `columns` is a list of {name, type, comment}. A table that lacks nothing is not locked.
CREATE OR REPLACE FUNCTION gateway.adopt_v1(tbl regclass, about text, columns text[]) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    additions text;
    spec text[];
BEGIN
    SELECT string_agg(format('ADD COLUMN %I %s', columns[i][1], columns[i][2]), ', ' ORDER BY i)
    INTO additions
    FROM generate_series(1, array_length(columns, 1)) AS i
    WHERE NOT EXISTS (
        SELECT FROM pg_attribute
        WHERE attrelid = tbl AND attname = columns[i][1] AND attnum > 0 AND NOT attisdropped
    );
    IF additions IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %s %s', tbl, additions);
    END IF;
    IF obj_description(tbl, 'pg_class') IS NULL THEN
        EXECUTE format('COMMENT ON TABLE %s IS %L', tbl, about);
    END IF;
    FOREACH spec SLICE 1 IN ARRAY columns LOOP
        IF (
            SELECT col_description(tbl, attnum) IS NULL
            FROM pg_attribute
            WHERE attrelid = tbl AND attname = spec[1]
        ) THEN
            EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', tbl, spec[1], spec[3]);
        END IF;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION gateway.adopt_v1(regclass, text, text[]) IS
    'Adds the columns and comments a table lacks; changes nothing that is there.';

-- The chat of a message, also for rows of writers who know only a phone number. IMMUTABLE, because the inbox indexes
-- are built on it; kept to one expression, so that Postgres can inline it. The body is bound when the function is
-- made, so no search_path can change what it does.
CREATE OR REPLACE FUNCTION gateway.chat_of(chat text, address text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN chat <> '' THEN chat
    WHEN address IS NULL OR address = '' THEN NULL
    WHEN pg_catalog.strpos(address, '@') > 0 THEN address
    WHEN pg_catalog.regexp_replace(address, '[^0-9]', '', 'g') <> ''
        THEN pg_catalog.regexp_replace(address, '[^0-9]', '', 'g') || '@s.whatsapp.net'
    ELSE address
END;
COMMENT ON FUNCTION gateway.chat_of(text, text) IS
    'JID of a row''s chat: its own `chat`, else its phone column as a JID.';
-- Whoever inserts into the shop's table computes the index, so everybody must be allowed to, whatever the database's
-- default privileges are.
GRANT EXECUTE ON FUNCTION gateway.chat_of(text, text) TO PUBLIC;

-- For index builds: what the shop has already under another name is not made twice.
CREATE OR REPLACE FUNCTION gateway.has_unique_v1(tbl regclass, col text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM pg_index AS i
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indrelid = tbl AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
            AND i.indnkeyatts = 1 AND a.attname = col
    );
$$;
COMMENT ON FUNCTION gateway.has_unique_v1(regclass, text) IS 'Whether a column alone is unique.';

CREATE OR REPLACE FUNCTION gateway.has_index_v1(tbl regclass, columns text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (
        SELECT FROM pg_index AS i
        WHERE i.indrelid = tbl AND i.indisvalid AND i.indpred IS NULL
            AND split_part(pg_get_indexdef(i.indexrelid), ' USING btree ', 2) = columns
    );
$$;
COMMENT ON FUNCTION gateway.has_index_v1(regclass, text) IS 'Whether there is an index on exactly `(columns)`.';
