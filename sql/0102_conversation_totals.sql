-- How many conversations there are, counted as the list is written: a page asks for a few rows, never for all.
--
-- One row per session and owner, and one per owner over all sessions: an account of ten thousand sessions is answered
-- from a handful of rows. Only the gateway that follows the streams writes here, so that no writer waits for a counter.

CREATE TABLE IF NOT EXISTS gateway.conversation_totals (
    session bigint NOT NULL,
    owner text NOT NULL,
    people bigint NOT NULL DEFAULT 0,
    unread bigint NOT NULL DEFAULT 0,
    unreplied bigint NOT NULL DEFAULT 0,
    open bigint NOT NULL DEFAULT 0,
    groups bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (session, owner)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE gateway.conversation_totals IS
    'Numbers of conversations in gateway.conversations, kept by its triggers.';
COMMENT ON COLUMN gateway.conversation_totals.session IS
    'The session; the smallest bigint stands for all of them together.';
COMMENT ON COLUMN gateway.conversation_totals.owner IS '`sub` of the person who has them; empty where they are free.';
COMMENT ON COLUMN gateway.conversation_totals.people IS 'Conversations that are neither groups, channels nor broadcasts.';
COMMENT ON COLUMN gateway.conversation_totals.unread IS 'Of these, with something unread.';
COMMENT ON COLUMN gateway.conversation_totals.unreplied IS 'Of these, unreplied and not done.';
COMMENT ON COLUMN gateway.conversation_totals.open IS 'Of these, not done.';
COMMENT ON COLUMN gateway.conversation_totals.groups IS 'Groups.';

CREATE TYPE gateway.counted_conversation AS (
    session bigint, chat text, owner text, unread bigint, is_unreplied boolean, is_done boolean
);
COMMENT ON TYPE gateway.counted_conversation IS 'What of a conversation is counted.';

CREATE OR REPLACE FUNCTION gateway.count_conversations() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM gateway.conversation_totals;
        RETURN NULL;
    ELSIF TG_OP = 'INSERT' THEN
        PERFORM gateway.add_totals_v1(ARRAY(
            SELECT (f.session, f.chat, f.owner, f.unread, f.is_unreplied, f.is_done)::gateway.counted_conversation
            FROM fresh AS f), 1);
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM gateway.add_totals_v1(ARRAY(
            SELECT (o.session, o.chat, o.owner, o.unread, o.is_unreplied, o.is_done)::gateway.counted_conversation
            FROM former AS o), -1);
    ELSE
        PERFORM gateway.add_totals_v1(ARRAY(
            SELECT (f.session, f.chat, f.owner, f.unread, f.is_unreplied, f.is_done)::gateway.counted_conversation
            FROM fresh AS f), 1, ARRAY(
            SELECT (o.session, o.chat, o.owner, o.unread, o.is_unreplied, o.is_done)::gateway.counted_conversation
            FROM former AS o));
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.count_conversations() IS 'Keeps gateway.conversation_totals.';

CREATE OR REPLACE FUNCTION gateway.add_totals_v1(
    counted gateway.counted_conversation[], sign int, replaced gateway.counted_conversation[] DEFAULT '{}'
) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO gateway.conversation_totals AS t (session, owner, people, unread, unreplied, open, groups)
    SELECT place.session, changed.owner,
        sum(changed.n * is_person::int), sum(changed.n * (is_person AND changed.unread > 0)::int),
        sum(changed.n * (is_person AND changed.is_unreplied AND NOT changed.is_done)::int),
        sum(changed.n * (is_person AND NOT changed.is_done)::int),
        sum(changed.n * (changed.chat LIKE '%@g.us')::int)
    FROM (
        SELECT sign AS n, c.session, c.chat, coalesce(c.owner, '') AS owner, c.unread, c.is_unreplied, c.is_done,
            c.chat !~ '@(g\.us|newsletter|broadcast)$' AS is_person
        FROM unnest(counted) AS c
        UNION ALL
        SELECT -1, c.session, c.chat, coalesce(c.owner, ''), c.unread, c.is_unreplied, c.is_done,
            c.chat !~ '@(g\.us|newsletter|broadcast)$'
        FROM unnest(replaced) AS c
    ) AS changed
    CROSS JOIN LATERAL (VALUES (changed.session), (-9223372036854775808)) AS place (session)
    GROUP BY place.session, changed.owner
    HAVING (
        sum(changed.n * is_person::int), sum(changed.n * (is_person AND changed.unread > 0)::int),
        sum(changed.n * (is_person AND changed.is_unreplied AND NOT changed.is_done)::int),
        sum(changed.n * (is_person AND NOT changed.is_done)::int),
        sum(changed.n * (changed.chat LIKE '%@g.us')::int)
    ) <> (0, 0, 0, 0, 0)
    ORDER BY place.session, changed.owner
    ON CONFLICT (session, owner) DO UPDATE
    SET people = t.people + excluded.people, unread = t.unread + excluded.unread,
        unreplied = t.unreplied + excluded.unreplied, open = t.open + excluded.open, groups = t.groups + excluded.groups;
$$;
COMMENT ON FUNCTION gateway.add_totals_v1(gateway.counted_conversation[], int, gateway.counted_conversation[]) IS
    'Counts conversations that came, went, or changed.';

DROP TRIGGER IF EXISTS gateway_count_inserts ON gateway.conversations;
CREATE TRIGGER gateway_count_inserts AFTER INSERT ON gateway.conversations
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION gateway.count_conversations();
DROP TRIGGER IF EXISTS gateway_count_updates ON gateway.conversations;
CREATE TRIGGER gateway_count_updates AFTER UPDATE ON gateway.conversations
    REFERENCING NEW TABLE AS fresh OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.count_conversations();
DROP TRIGGER IF EXISTS gateway_count_deletes ON gateway.conversations;
CREATE TRIGGER gateway_count_deletes AFTER DELETE ON gateway.conversations
    REFERENCING OLD TABLE AS former FOR EACH STATEMENT EXECUTE FUNCTION gateway.count_conversations();
DROP TRIGGER IF EXISTS gateway_count_truncate ON gateway.conversations;
CREATE TRIGGER gateway_count_truncate AFTER TRUNCATE ON gateway.conversations
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.count_conversations();

-- What is listed already. The lock keeps the follower out until this commits.
LOCK TABLE gateway.conversations IN SHARE ROW EXCLUSIVE MODE;
DELETE FROM gateway.conversation_totals;
SELECT gateway.add_totals_v1(ARRAY(
    SELECT (c.session, c.chat, c.owner, c.unread, c.is_unreplied, c.is_done)::gateway.counted_conversation
    FROM gateway.conversations AS c), 1);

-- Exact in the reader's snapshot, as the list is: what events after the list have touched (`touched_…`) is taken from
-- the messages, and so are inboxes whose list is of no use (`unlisted_…`). `boxes` NULL means all sessions.
CREATE OR REPLACE FUNCTION gateway.conversation_totals_v1(
    sub text, boxes bigint[], touched_sessions bigint[], touched_chats text[],
    unlisted_inboxes bigint[], unlisted_sessions bigint[]
) RETURNS TABLE ("all" bigint, unread bigint, unreplied bigint, mine bigint, free bigint, groups bigint, done bigint)
LANGUAGE sql STABLE
AS $$
    WITH parts AS (
        SELECT t.owner, t.people, t.unread, t.unreplied, t.open, t.groups
        FROM gateway.conversation_totals AS t
        WHERE $2 IS NULL AND t.session = -9223372036854775808
        UNION ALL
        SELECT t.owner, -t.people, -t.unread, -t.unreplied, -t.open, -t.groups
        FROM gateway.conversation_totals AS t
        WHERE $2 IS NULL AND cardinality($5) > 0 AND t.session > -9223372036854775808
            AND greatest(t.session, 0) = ANY ($5)
        UNION ALL
        SELECT t.owner, t.people, t.unread, t.unreplied, t.open, t.groups
        FROM gateway.conversation_totals AS t
        WHERE t.session = ANY ($2) AND greatest(t.session, 0) <> ALL ($5)
        UNION ALL
        SELECT coalesce(c.owner, ''), c.sign * is_person::int, c.sign * (is_person AND c.unread > 0)::int,
            c.sign * (is_person AND c.is_unreplied AND NOT c.is_done)::int,
            c.sign * (is_person AND NOT c.is_done)::int, c.sign * (c.chat LIKE '%@g.us')::int
        FROM (
            SELECT -1 AS sign, k.chat, k.owner, k.unread, k.is_unreplied, k.is_done
            FROM unnest($3, $4) AS touched (session, chat)
            JOIN gateway.conversations AS k ON k.session = touched.session AND k.chat = touched.chat
            WHERE greatest(k.session, 0) <> ALL ($5)
            UNION ALL
            SELECT 1, m.chat, m.owner, m.unread, m.is_unreplied, m.is_done
            FROM gateway.conversations_made_v1($3, $4) AS m
            WHERE m.last_at IS NOT NULL
            UNION ALL
            SELECT 1, m.chat, m.owner, m.unread, m.is_unreplied, m.is_done
            FROM gateway.conversations_of_sessions_v1($6) AS m
        ) AS c
        CROSS JOIN LATERAL (SELECT c.chat !~ '@(g\.us|newsletter|broadcast)$' AS is_person) AS kind
    )
    SELECT coalesce(sum(p.people), 0)::bigint, coalesce(sum(p.unread), 0)::bigint,
        coalesce(sum(p.unreplied), 0)::bigint,
        coalesce(sum(p.open) FILTER (WHERE p.owner = $1 AND $1 <> ''), 0)::bigint,
        coalesce(sum(p.open) FILTER (WHERE p.owner = ''), 0)::bigint,
        coalesce(sum(p.groups), 0)::bigint,
        (coalesce(sum(p.people), 0) - coalesce(sum(p.open), 0))::bigint
    FROM parts AS p
$$;
COMMENT ON FUNCTION gateway.conversation_totals_v1(text, bigint[], bigint[], text[], bigint[], bigint[]) IS
    'How many conversations each filter of the list finds.';
