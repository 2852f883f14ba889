-- What upstream tells of people and groups: names, members and their ranks, and which LID belongs to which number.

-- NULL says nothing, so it changes nothing. A person whose LID and number are told is one person from then on. A row
-- without `jid` tells such a pair alone.
CREATE OR REPLACE FUNCTION gateway.tell_people_v1(
    sessions bigint[], jids text[], kinds text[], lids text[], phones text[], names text[], push_names text[],
    members jsonb[], gone text[], partial boolean[]
) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    item record;
BEGIN
    FOR item IN
        SELECT c.*
        FROM unnest(sessions, jids, kinds, lids, phones, names, push_names, members, gone, partial) WITH ORDINALITY
            AS c (session, jid, kind, lid, phone, name, push_name, members, gone, is_partial, turn)
        WHERE c.jid IS NOT NULL
        ORDER BY c.session, c.jid, c.turn
    LOOP
        INSERT INTO gateway.contacts AS c (session, jid, lid, phone, name, push_name, kind, members)
        VALUES (item.session, item.jid, item.lid, item.phone, item.name, item.push_name, item.kind, item.members)
        ON CONFLICT (session, jid) DO UPDATE
        SET lid = coalesce(excluded.lid, c.lid),
            phone = coalesce(excluded.phone, c.phone),
            name = coalesce(excluded.name, c.name),
            push_name = coalesce(excluded.push_name, c.push_name),
            members = CASE
                WHEN item.is_partial THEN (coalesce(c.members, '{}') || coalesce(excluded.members, '{}'))
                    - ARRAY(SELECT jsonb_array_elements_text(item.gone::jsonb))
                ELSE coalesce(excluded.members, c.members)
            END,
            seen_at = now()
        WHERE item.is_partial
            OR (c.lid, c.phone, c.name, c.push_name, c.members) IS DISTINCT FROM (
                coalesce(excluded.lid, c.lid), coalesce(excluded.phone, c.phone), coalesce(excluded.name, c.name),
                coalesce(excluded.push_name, c.push_name), coalesce(excluded.members, c.members));
    END LOOP;
    PERFORM gateway.learn_numbers_v1(phones);
    PERFORM gateway.learn_lids_v2(lids, phones);
END;
$$;
COMMENT ON FUNCTION gateway.tell_people_v1(
    bigint[], text[], text[], text[], text[], text[], text[], jsonb[], text[], boolean[]
) IS 'Keeps names, members and LIDs that upstream tells.';
