-- A row with one column that cannot be told was read from its text once for each of its columns: a row with 2,000 levels
-- of jsonb beside a json that jsonb refuses took 40 ms, and so did every statement of the shop that wrote one. Its
-- columns of built-in types that are always tellable are read together; the others one by one, and all of them where
-- the first reading fails after all (a text of 300 MB).
CREATE OR REPLACE FUNCTION gateway.tellable_columns_v1(source text, tbl oid) RETURNS jsonb
LANGUAGE plpgsql STABLE
AS $$
#variable_conflict use_variable
DECLARE
    told jsonb := '{}';
    untold text[] := '{}';
    plain text[];
    rest text[];
    item jsonb;
    name text;
BEGIN
    SELECT pg_catalog.array_agg(c.attname ORDER BY c.attnum) FILTER (WHERE c.is_plain),
        pg_catalog.array_agg(c.attname ORDER BY c.attnum) FILTER (WHERE NOT c.is_plain)
    INTO plain, rest
    FROM (
        SELECT a.attname::text AS attname, a.attnum,
            t.typtype = 'b' AND t.typcategory <> 'A' AND t.typname NOT IN ('json', 'xml')
                AND t.typnamespace = 'pg_catalog'::regnamespace AS is_plain
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid = tbl AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'raw_data'
    ) AS c;
    IF plain IS NOT NULL THEN
        BEGIN
            -- OFFSET 0: the text is read once, and not for each column.
            EXECUTE pg_catalog.format(
                'SELECT pg_catalog.to_jsonb(r.*) FROM (SELECT %s FROM (SELECT $1::%s AS whole OFFSET 0) AS s) AS r',
                (SELECT pg_catalog.string_agg(pg_catalog.format('(s.whole).%I', p.name), ', ') FROM pg_catalog.unnest(plain) AS p (name)),
                tbl::regclass) INTO told USING source;
        EXCEPTION
            WHEN OTHERS THEN
                told := '{}';
                rest := pg_catalog.array_cat(plain, rest);
        END;
    END IF;
    FOREACH name IN ARRAY coalesce(rest, '{}') LOOP
        BEGIN
            EXECUTE pg_catalog.format('SELECT pg_catalog.to_jsonb(($1::%s).%I)', tbl::regclass, name)
                INTO item USING source;
            told := pg_catalog.jsonb_concat(told, pg_catalog.jsonb_build_object(name, item));
        EXCEPTION
            WHEN OTHERS THEN
                untold := pg_catalog.array_append(untold, name);
                told := pg_catalog.jsonb_concat(told, pg_catalog.jsonb_build_object(name, NULL));
        END;
    END LOOP;
    RETURN pg_catalog.jsonb_concat(told, pg_catalog.jsonb_build_object('', untold));
END;
$$;
