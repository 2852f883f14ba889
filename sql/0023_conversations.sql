-- The list of conversations, kept ready: one row per session and chat, brought up to date from the streams by a
-- gateway, beside the writers and never within their transactions.
--
-- A reader takes the rows as they are, reads in the same snapshot which chats the events past
-- `gateway.projections.off` have touched, and looks those up in the messages themselves. So the list is exact however
-- far behind it is.

CREATE TABLE IF NOT EXISTS gateway.conversations (
    session bigint NOT NULL,
    chat text NOT NULL,
    last_at timestamptz NOT NULL,
    unread bigint NOT NULL,
    is_unreplied boolean NOT NULL,
    push_name text,
    PRIMARY KEY (session, chat)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX IF NOT EXISTS conversations_newest ON gateway.conversations (last_at DESC, session DESC, chat DESC);
CREATE INDEX IF NOT EXISTS conversations_newest_of_session
    ON gateway.conversations (session, last_at DESC, chat DESC);
CREATE INDEX IF NOT EXISTS conversations_unread
    ON gateway.conversations (last_at DESC, session DESC, chat DESC)
    WHERE unread > 0;
CREATE INDEX IF NOT EXISTS conversations_unreplied
    ON gateway.conversations (last_at DESC, session DESC, chat DESC)
    WHERE is_unreplied;
CREATE INDEX IF NOT EXISTS conversations_chat ON gateway.conversations (chat);
COMMENT ON TABLE gateway.conversations IS
    'One row per session and chat, made from the messages; may be emptied at any time together with gateway.projections.';
COMMENT ON COLUMN gateway.conversations.session IS
    'WasenderAPI''s id of the session; 0 for rows that name none. Negative ones belong to inbox 0, too.';
COMMENT ON COLUMN gateway.conversations.chat IS 'JID of the chat.';
COMMENT ON COLUMN gateway.conversations.last_at IS 'Time of the newest message of either direction.';
COMMENT ON COLUMN gateway.conversations.unread IS 'Incoming messages nobody at the shop has read, deleted ones left out.';
COMMENT ON COLUMN gateway.conversations.is_unreplied IS 'A message that is not marked replied is newer than our last one.';
COMMENT ON COLUMN gateway.conversations.push_name IS 'Newest name the counterpart gave himself; NULL for groups.';

CREATE TABLE IF NOT EXISTS gateway.projections (
    inbox bigint PRIMARY KEY,
    off bigint NOT NULL,
    epoch uuid NOT NULL,
    zone text NOT NULL,
    next_session bigint,
    next_chat text
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
COMMENT ON TABLE gateway.projections IS
    'How far gateway.conversations has followed each stream. An inbox without a row, or of another history, is read anew.';
COMMENT ON COLUMN gateway.projections.inbox IS 'The inbox.';
COMMENT ON COLUMN gateway.projections.off IS 'Events up to this offset are in gateway.conversations.';
COMMENT ON COLUMN gateway.projections.epoch IS 'The history that offset belongs to.';
COMMENT ON COLUMN gateway.projections.zone IS
    'Zone that naive timestamps were read in; ''any'' where the messages have none.';
COMMENT ON COLUMN gateway.projections.next_session IS
    'While an inbox is being read anew: the conversation after which to go on; NULL when it is complete.';
COMMENT ON COLUMN gateway.projections.next_chat IS 'The second half of that conversation''s key.';

CREATE OR REPLACE FUNCTION gateway.message_zone_v1() RETURNS text
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE
        WHEN EXISTS (
            SELECT FROM pg_attribute
            WHERE atttypid <> 'timestamptz'::regtype
                AND (attrelid = 'public.whatsapp_incoming_messages'::regclass AND attname IN ('received_at', 'created_at')
                    OR attrelid = 'public.whatsapp_outgoing_messages'::regclass AND attname IN ('sent_at', 'created_at'))
        ) THEN current_setting('timezone')
        ELSE 'any'
    END;
$$;
COMMENT ON FUNCTION gateway.message_zone_v1() IS
    'The zone on which the moments of messages depend for this connection; ''any'' if on none.';

-- Sessions whose messages were here before any counter: what is listed is found by inbox. Every later message makes
-- its inbox's counter as it commits.
WITH RECURSIVE seen AS (
    SELECT 0::bigint AS session
    UNION ALL
    SELECT (
        SELECT least(
            (SELECT min(coalesce(wasender_session_id, 0)) FROM public.whatsapp_incoming_messages
             WHERE coalesce(wasender_session_id, 0) > seen.session),
            (SELECT min(coalesce(wasender_session_id, 0)) FROM public.whatsapp_outgoing_messages
             WHERE coalesce(wasender_session_id, 0) > seen.session)
        )
    )
    FROM seen
    WHERE seen.session IS NOT NULL
)
INSERT INTO gateway.inboxes (inbox)
SELECT session FROM seen WHERE session IS NOT NULL
ON CONFLICT DO NOTHING;
