-- An own message that came empty under a LID is filled by its content under a number, although nothing says yet that the
-- two are one person: WhatsApp gives a key of ours once, and the content would be in no row.

CREATE OR REPLACE FUNCTION gateway.may_be_one_person_v1(one text, other text) RETURNS boolean
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT gateway.is_one_person_v1(one, other) OR gateway.missing_link_v1(one, other) IS NOT NULL;
$$;
COMMENT ON FUNCTION gateway.may_be_one_person_v1(text, text) IS
    'Whether two addresses are of one person, or may turn out to be.';

-- The rest of the function stays as it is, also where it was fitted to a table of the shop.
DO $do$
DECLARE
    fn regprocedure := 'gateway.send_v2(text, int[], text[], bigint[], text[], text[], text[], text[], text[], text[],'
        ' timestamptz[], jsonb[], boolean[], int[], jsonb[])';
BEGIN
    EXECUTE replace(pg_get_functiondef(fn), 'gateway.is_one_person_v1(', 'gateway.may_be_one_person_v1(');
END;
$do$;
