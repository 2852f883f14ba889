-- Who looks at a conversation or writes in it. Unlogged: it is worth nothing after a crash, and costs no WAL.

CREATE UNLOGGED TABLE IF NOT EXISTS gateway.presence (
    connection text NOT NULL,
    session bigint NOT NULL,
    chat text NOT NULL,
    sub text NOT NULL,
    name text NOT NULL,
    doing text NOT NULL CHECK (doing IN ('viewing', 'typing')),
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (connection, session, chat)
);
COMMENT ON TABLE gateway.presence IS 'Who looks at a conversation or writes in it; a row is worth nothing some seconds after its last word.';
COMMENT ON COLUMN gateway.presence.connection IS 'The WebSocket that said so, with its gateway.';
COMMENT ON COLUMN gateway.presence.session IS 'The session.';
COMMENT ON COLUMN gateway.presence.chat IS 'JID of the conversation.';
COMMENT ON COLUMN gateway.presence.sub IS 'The person, as the login names it.';
COMMENT ON COLUMN gateway.presence.name IS 'Name of the person.';
COMMENT ON COLUMN gateway.presence.doing IS 'viewing or typing.';
COMMENT ON COLUMN gateway.presence.seen_at IS 'When that was said last.';

-- A word that changes nothing that can be seen moves a time, and tells no gateway.
CREATE OR REPLACE FUNCTION gateway.say_presence_v1(words jsonb, life_s double precision) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    stamp timestamptz := clock_timestamp();
    moved text;
BEGIN
    WITH said AS (
        SELECT DISTINCT ON (w.connection, w.session, w.chat) w.*
        FROM jsonb_to_recordset(words)
            AS w (connection text, session bigint, chat text, sub text, name text, doing text)
        ORDER BY w.connection, w.session, w.chat
    ), former AS (
        SELECT p.connection, p.session, p.chat, p.doing
        FROM gateway.presence AS p
        JOIN said AS w ON w.connection = p.connection AND w.session = p.session AND w.chat = p.chat
        WHERE p.seen_at > stamp - make_interval(secs => life_s)
    ), gone AS (
        DELETE FROM gateway.presence AS p USING said AS w
        WHERE w.doing IS NULL AND p.connection = w.connection AND p.session = w.session AND p.chat = w.chat
    ), written AS (
        INSERT INTO gateway.presence AS p (connection, session, chat, sub, name, doing, seen_at)
        SELECT w.connection, w.session, w.chat, w.sub, w.name, w.doing, stamp FROM said AS w WHERE w.doing IS NOT NULL
        ON CONFLICT (connection, session, chat) DO UPDATE
        SET doing = excluded.doing, seen_at = excluded.seen_at, sub = excluded.sub, name = excluded.name
    )
    SELECT string_agg(DISTINCT w.session::text, ',') INTO moved
    FROM said AS w
    LEFT JOIN former AS f ON f.connection = w.connection AND f.session = w.session AND f.chat = w.chat
    WHERE w.doing IS DISTINCT FROM f.doing;
    IF moved IS NOT NULL THEN
        PERFORM pg_notify('whatsapp_gateway_presence', CASE WHEN length(moved) < 7000 THEN moved ELSE '*' END);
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.say_presence_v1(jsonb, double precision) IS
    'Notes what connections do in conversations, nothing where `doing` is null, and names the sessions where that can be seen.';

-- A reader removes what has run out: after a gateway was killed no other part does.
CREATE OR REPLACE FUNCTION gateway.presence_v1(life_s double precision)
RETURNS TABLE (session bigint, chat text, sub text, name text, doing text, left_s double precision)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    oldest timestamptz := clock_timestamp() - make_interval(secs => life_s);
BEGIN
    DELETE FROM gateway.presence AS p
    WHERE (p.connection, p.session, p.chat) IN (
        SELECT d.connection, d.session, d.chat FROM gateway.presence AS d
        WHERE d.seen_at <= oldest FOR UPDATE SKIP LOCKED);
    RETURN QUERY
        SELECT p.session, p.chat, p.sub, max(p.name),
            CASE WHEN bool_or(p.doing = 'typing') THEN 'typing' ELSE 'viewing' END,
            extract(epoch FROM max(p.seen_at) - oldest)::double precision
        FROM gateway.presence AS p
        WHERE p.seen_at > oldest
        GROUP BY p.session, p.chat, p.sub;
END;
$$;
COMMENT ON FUNCTION gateway.presence_v1(double precision) IS
    'Who is in which conversation, and for how many seconds more unless it is said again.';
