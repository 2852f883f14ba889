-- Marks of conversations: who has one, whether it is done, marked unread, blocked, and what the shop calls its person.
--
-- A change of a mark is an event of its inbox's stream, with an offset like any other: so it is replayed, resumed and
-- followed by the list of conversations as changes of messages are.

CREATE TABLE IF NOT EXISTS gateway.conversation_marks (
    id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    session bigint NOT NULL,
    chat text NOT NULL,
    owner text,
    owner_name text,
    done_at timestamptz,
    marked_unread_at timestamptz,
    name text,
    blocked_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session, chat)
);
COMMENT ON TABLE gateway.conversation_marks IS 'What people have noted about conversations.';
COMMENT ON COLUMN gateway.conversation_marks.id IS 'Names the row in events.';
COMMENT ON COLUMN gateway.conversation_marks.session IS 'WasenderAPI''s id of the session, as in gateway.conversations.';
COMMENT ON COLUMN gateway.conversation_marks.chat IS 'JID of the conversation.';
COMMENT ON COLUMN gateway.conversation_marks.owner IS '`sub` of the person who has it; NULL where it is free.';
COMMENT ON COLUMN gateway.conversation_marks.owner_name IS 'The name of that person, as far as it was known.';
COMMENT ON COLUMN gateway.conversation_marks.done_at IS
    'When it was done. A message of the customer that arrives later opens it again.';
COMMENT ON COLUMN gateway.conversation_marks.marked_unread_at IS 'When it was marked unread; reading takes that back.';
COMMENT ON COLUMN gateway.conversation_marks.name IS 'The name that the shop''s people gave.';
COMMENT ON COLUMN gateway.conversation_marks.blocked_at IS 'When the person was blocked from here.';
COMMENT ON COLUMN gateway.conversation_marks.updated_at IS 'When a mark changed last.';

-- What arrived later opens it again, however late WhatsApp delivered it. The newest thousand of a chat are looked at, so
-- that a long history that is brought in does not cost more than that.
CREATE OR REPLACE FUNCTION gateway.is_done_v1(box bigint, of_chat text, done_at timestamptz) RETURNS boolean
LANGUAGE sql STABLE
AS $$
    SELECT $3 IS NOT NULL AND NOT coalesce((
        SELECT true
        FROM (
            SELECT m.created_at, m.received_at
            FROM public.whatsapp_incoming_messages AS m
            WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.from_phone) = $2
                AND m.message_type IS DISTINCT FROM 'reaction'
            ORDER BY m.received_at DESC
            LIMIT 1000
        ) AS newest
        WHERE coalesce(newest.created_at, newest.received_at)::timestamptz > $3
        LIMIT 1), false)
$$;
COMMENT ON FUNCTION gateway.is_done_v1(bigint, text, timestamptz) IS
    'Whether a conversation that was done then still is: the customer has not written since.';

-- A few indexed probes for each chat, whatever its length. `last_at` is NULL where there is no message any more. Each
-- LIMIT has the order of the index: without one Postgres may read the whole table, hoping to meet a row soon.
-- The moment of a message is `received_at` or `sent_at`, else `created_at`. The indexes are in the order of the former,
-- with the rows that have none at their head: so everything is asked in two halves. Within one second the order is that
-- of arrival. Reactions belong to their messages: rows of that type are shown nowhere.
CREATE OR REPLACE FUNCTION gateway.conversations_made_v1(sessions bigint[], chats text[])
RETURNS TABLE (
    session bigint, chat text, last_at timestamptz, unread bigint, is_unreplied boolean, push_name text,
    owner text, is_done boolean
)
LANGUAGE sql STABLE
AS $$
SELECT k.session, k.chat, greatest(came.at, went.at),
    greatest(unread.n, CASE WHEN mark.marked_unread_at IS NULL THEN 0 ELSE 1 END),
    coalesce((
        SELECT true FROM public.whatsapp_incoming_messages m
        WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
            AND m.message_type IS DISTINCT FROM 'reaction' AND NOT coalesce(m.replied, false)
            AND m.received_at >= date_trunc('second', coalesce(went.at, '-infinity'))
            AND (m.received_at >= date_trunc('second', coalesce(went.at, '-infinity')) + interval '1 second'
                OR coalesce(m.created_at, m.received_at, 'epoch')::timestamptz > coalesce(answered.made, '-infinity'))
        ORDER BY m.received_at DESC LIMIT 1), false)
    OR coalesce((
        SELECT true FROM public.whatsapp_incoming_messages m
        WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
            AND m.message_type IS DISTINCT FROM 'reaction' AND NOT coalesce(m.replied, false)
            AND m.received_at IS NULL
            AND coalesce(m.created_at, 'epoch')::timestamptz >= date_trunc('second', coalesce(went.at, '-infinity'))
            AND (coalesce(m.created_at, 'epoch')::timestamptz
                    >= date_trunc('second', coalesce(went.at, '-infinity')) + interval '1 second'
                OR coalesce(m.created_at, m.received_at, 'epoch')::timestamptz > coalesce(answered.made, '-infinity'))
        ORDER BY m.received_at DESC LIMIT 1), false),
    named.push_name,
    mark.owner,
    CASE WHEN mark.done_at IS NULL THEN false ELSE gateway.is_done_v1(k.session, k.chat, mark.done_at) END
FROM unnest(sessions, chats) AS k (session, chat)
CROSS JOIN LATERAL (
    SELECT max(half.at) AS at
    FROM (
        (SELECT m.received_at::timestamptz AS at FROM public.whatsapp_incoming_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction' AND m.received_at IS NOT NULL
         ORDER BY m.received_at DESC LIMIT 1)
        UNION ALL
        (SELECT max(coalesce(m.created_at, 'epoch')::timestamptz) FROM public.whatsapp_incoming_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction' AND m.received_at IS NULL)
    ) AS half
) AS came
CROSS JOIN LATERAL (
    SELECT max(half.at) AS at
    FROM (
        (SELECT m.sent_at::timestamptz AS at FROM public.whatsapp_outgoing_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.to_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction' AND m.sent_at IS NOT NULL
         ORDER BY m.sent_at DESC LIMIT 1)
        UNION ALL
        (SELECT max(coalesce(m.created_at, 'epoch')::timestamptz) FROM public.whatsapp_outgoing_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.to_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction' AND m.sent_at IS NULL)
    ) AS half
) AS went
CROSS JOIN LATERAL (
    SELECT max(half.made) AS made
    FROM (
        (SELECT max(coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz) AS made
         FROM public.whatsapp_outgoing_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.to_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction' AND m.sent_at >= date_trunc('second', went.at))
        UNION ALL
        (SELECT max(coalesce(m.created_at, 'epoch')::timestamptz) FROM public.whatsapp_outgoing_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.to_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction' AND m.sent_at IS NULL
             AND coalesce(m.created_at, 'epoch')::timestamptz >= date_trunc('second', went.at))
    ) AS half
) AS answered
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM public.whatsapp_incoming_messages m
    WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
        AND m.message_type IS DISTINCT FROM 'reaction' AND NOT coalesce(m.is_read, false) AND m.deleted_at IS NULL
) AS unread
LEFT JOIN LATERAL (
    SELECT half.push_name
    FROM (
        (SELECT m.push_name, m.received_at::timestamptz AS at FROM public.whatsapp_incoming_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction' AND m.received_at IS NOT NULL AND m.push_name <> ''
         ORDER BY m.received_at DESC LIMIT 1)
        UNION ALL
        (SELECT m.push_name, coalesce(m.created_at, 'epoch')::timestamptz AS at FROM public.whatsapp_incoming_messages m
         WHERE coalesce(m.wasender_session_id, 0) = k.session AND gateway.chat_of(m.chat, m.from_phone) = k.chat
             AND m.message_type IS DISTINCT FROM 'reaction' AND m.received_at IS NULL AND m.push_name <> ''
         ORDER BY at DESC LIMIT 1)
    ) AS half
    WHERE k.chat NOT LIKE '%@g.us'
    ORDER BY half.at DESC LIMIT 1
) AS named ON true
LEFT JOIN gateway.conversation_marks AS mark ON mark.session = k.session AND mark.chat = k.chat
$$;
COMMENT ON FUNCTION gateway.conversations_made_v1(bigint[], text[]) IS
    'Conversations as their messages and marks make them.';

CREATE OR REPLACE FUNCTION gateway.conversations_of_sessions_v1(sessions bigint[])
RETURNS TABLE (
    session bigint, chat text, last_at timestamptz, unread bigint, is_unreplied boolean, push_name text,
    owner text, is_done boolean
)
LANGUAGE sql STABLE
AS $$
SELECT made.session, made.chat, made.last_at,
    greatest(made.unread, CASE WHEN mark.marked_unread_at IS NULL THEN 0 ELSE 1 END),
    made.is_unreplied, made.push_name, mark.owner,
    CASE WHEN mark.done_at IS NULL THEN false ELSE gateway.is_done_v1(made.session, made.chat, mark.done_at) END
FROM (
    SELECT message.session, message.chat, max(message.at) AS last_at,
        count(*) FILTER (WHERE message.is_unread) AS unread,
        coalesce(max(message.place) FILTER (WHERE message.is_unreplied)
            > coalesce(
                max(message.place) FILTER (WHERE NOT message.is_incoming),
                ARRAY['-infinity', '-infinity']::timestamptz[]),
            false) AS is_unreplied,
        (array_agg(message.push_name ORDER BY message.at DESC)
            FILTER (WHERE message.push_name <> '' AND message.chat NOT LIKE '%@g.us'))[1] AS push_name
    FROM (
        SELECT said.*, ARRAY[date_trunc('second', said.at), said.made] AS place
        FROM (
            SELECT coalesce(m.wasender_session_id, 0)::bigint AS session,
                gateway.chat_of(m.chat, m.from_phone) AS chat,
                coalesce(m.received_at, m.created_at, 'epoch')::timestamptz AS at,
                coalesce(m.created_at, m.received_at, 'epoch')::timestamptz AS made,
                NOT coalesce(m.is_read, false) AND m.deleted_at IS NULL AS is_unread,
                NOT coalesce(m.replied, false) AS is_unreplied,
                true AS is_incoming,
                m.push_name
            FROM public.whatsapp_incoming_messages AS m
            WHERE coalesce(m.wasender_session_id, 0) = ANY (sessions) AND m.message_type IS DISTINCT FROM 'reaction'
            UNION ALL
            SELECT coalesce(m.wasender_session_id, 0), gateway.chat_of(m.chat, m.to_phone),
                coalesce(m.sent_at, m.created_at, 'epoch')::timestamptz,
                coalesce(m.created_at, m.sent_at, 'epoch')::timestamptz, false, false, false, NULL
            FROM public.whatsapp_outgoing_messages AS m
            WHERE coalesce(m.wasender_session_id, 0) = ANY (sessions) AND m.message_type IS DISTINCT FROM 'reaction'
        ) AS said
    ) AS message
    WHERE message.chat IS NOT NULL
    GROUP BY message.session, message.chat
) AS made
LEFT JOIN gateway.conversation_marks AS mark ON mark.session = made.session AND mark.chat = made.chat
$$;
COMMENT ON FUNCTION gateway.conversations_of_sessions_v1(bigint[]) IS
    'All conversations of these sessions; reads every message of them.';

-- One event for a mark that changed. A mark that went is told by what was left behind.
CREATE OR REPLACE FUNCTION gateway.tell_mark_v1(
    operation text, fresh gateway.conversation_marks, former gateway.conversation_marks
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET timezone = 'UTC'
SET enable_seqscan = off
AS $$
#variable_conflict use_variable
DECLARE
    me xid8 := pg_current_xact_id();
BEGIN
    INSERT INTO gateway.pending_changes (xid, inbox, tbl, op, record, old)
    VALUES (
        me, gateway.inbox_of(coalesce(fresh.session, former.session)), 'conversation_marks', operation,
        CASE WHEN operation <> 'DELETE' THEN to_jsonb(fresh) END,
        CASE operation
            WHEN 'INSERT' THEN jsonb_build_object('id', fresh.id)
            WHEN 'UPDATE' THEN jsonb_build_object(
                'id', fresh.id, 'changed', gateway.changed_keys_v1(to_jsonb(fresh), to_jsonb(former)))
            ELSE jsonb_build_object('id', former.id, 'session', former.session, 'chat', former.chat)
        END
    );
    INSERT INTO gateway.commit_markers (xid) VALUES (me) ON CONFLICT DO NOTHING;
END;
$$;
COMMENT ON FUNCTION gateway.tell_mark_v1(text, gateway.conversation_marks, gateway.conversation_marks) IS
    'Puts the change of a mark aside for the stream.';

-- `changes` holds what is to change: done, unread (booleans), owner (sub or null) with owner_name, name (or null),
-- blocked (boolean). An owner is set only where the conversation is free, the actor's own, or he may override. The row
-- comes back as it stands; `is_refused` where another person has it, and then nothing has changed.
CREATE OR REPLACE FUNCTION gateway.mark_conversation_v1(
    box bigint, of_chat text, changes jsonb, actor text, may_override boolean,
    OUT mark gateway.conversation_marks, OUT is_refused boolean, OUT is_changed boolean
)
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    former gateway.conversation_marks;
    wished text := changes ->> 'owner';
    stamp timestamptz := clock_timestamp();
BEGIN
    is_refused := false;
    is_changed := false;
    INSERT INTO gateway.conversation_marks (session, chat) VALUES (box, of_chat) ON CONFLICT DO NOTHING;
    SELECT * INTO former FROM gateway.conversation_marks AS m WHERE m.session = box AND m.chat = of_chat FOR UPDATE;
    mark := former;
    IF changes ? 'owner' AND NOT may_override AND former.owner IS NOT NULL AND former.owner <> actor
        AND wished IS DISTINCT FROM former.owner
    THEN
        is_refused := true;
        RETURN;
    END IF;
    IF changes ? 'owner' AND wished IS DISTINCT FROM former.owner THEN
        mark.owner := wished;
        mark.owner_name := changes ->> 'owner_name';
    END IF;
    IF changes ? 'done' THEN
        mark.done_at := CASE
            WHEN NOT (changes ->> 'done')::boolean THEN NULL
            WHEN gateway.is_done_v1(box, of_chat, former.done_at) THEN former.done_at
            ELSE stamp
        END;
    END IF;
    IF changes ? 'unread' THEN
        mark.marked_unread_at := CASE WHEN (changes ->> 'unread')::boolean THEN coalesce(former.marked_unread_at, stamp) END;
    END IF;
    IF changes ? 'name' THEN
        mark.name := nullif(changes ->> 'name', '');
    END IF;
    IF changes ? 'blocked' THEN
        mark.blocked_at := CASE WHEN (changes ->> 'blocked')::boolean THEN coalesce(former.blocked_at, stamp) END;
    END IF;
    IF mark IS NOT DISTINCT FROM former THEN
        RETURN;
    END IF;
    is_changed := true;
    mark.updated_at := stamp;
    UPDATE gateway.conversation_marks AS m
    SET owner = mark.owner, owner_name = mark.owner_name, done_at = mark.done_at,
        marked_unread_at = mark.marked_unread_at, name = mark.name, blocked_at = mark.blocked_at,
        updated_at = mark.updated_at
    WHERE m.id = mark.id;
    PERFORM gateway.tell_mark_v1('UPDATE', mark, former);
END;
$$;
COMMENT ON FUNCTION gateway.mark_conversation_v1(bigint, text, jsonb, text, boolean) IS
    'Changes marks of a conversation, the owner by compare and set.';

CREATE OR REPLACE FUNCTION gateway.unmark_unread_v1(box bigint, of_chat text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    -- Hardly any conversation is marked: no row is locked for the others.
    IF EXISTS (
        SELECT FROM gateway.conversation_marks AS m
        WHERE m.session = box AND m.chat = of_chat AND m.marked_unread_at IS NOT NULL
    ) THEN
        PERFORM gateway.mark_conversation_v1(box, of_chat, '{"unread": false}', '', true);
    END IF;
END;
$$;
COMMENT ON FUNCTION gateway.unmark_unread_v1(bigint, text) IS 'Takes back that a conversation is marked unread.';

-- As soon as two addresses are known to be of one person, their conversations are one, and so are their marks: an owner,
-- a name or a block stays, unread stays unread, and done is only what was done in both.
CREATE OR REPLACE FUNCTION gateway.merge_marks_v1(from_chat text, to_chat text) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    moved gateway.conversation_marks;
    target gateway.conversation_marks;
    merged gateway.conversation_marks;
    is_listed boolean;
BEGIN
    FOR moved IN
        SELECT * FROM gateway.conversation_marks AS m WHERE m.chat = from_chat ORDER BY m.session FOR UPDATE
    LOOP
        is_listed := EXISTS (
            SELECT FROM gateway.conversations AS c WHERE c.session = moved.session AND c.chat = to_chat
        );
        INSERT INTO gateway.conversation_marks (session, chat) VALUES (moved.session, to_chat) ON CONFLICT DO NOTHING;
        SELECT * INTO target FROM gateway.conversation_marks AS m
        WHERE m.session = moved.session AND m.chat = to_chat FOR UPDATE;
        merged := target;
        merged.owner := coalesce(target.owner, moved.owner);
        merged.owner_name := CASE WHEN target.owner IS NULL THEN moved.owner_name ELSE target.owner_name END;
        merged.done_at := CASE
            WHEN target.done_at IS NULL AND NOT is_listed THEN moved.done_at
            WHEN target.done_at IS NOT NULL AND moved.done_at IS NOT NULL THEN greatest(target.done_at, moved.done_at)
        END;
        merged.marked_unread_at := coalesce(target.marked_unread_at, moved.marked_unread_at);
        merged.name := coalesce(target.name, moved.name);
        merged.blocked_at := coalesce(target.blocked_at, moved.blocked_at);
        merged.updated_at := clock_timestamp();
        UPDATE gateway.conversation_marks AS m
        SET owner = merged.owner, owner_name = merged.owner_name, done_at = merged.done_at,
            marked_unread_at = merged.marked_unread_at, name = merged.name, blocked_at = merged.blocked_at,
            updated_at = merged.updated_at
        WHERE m.id = merged.id;
        DELETE FROM gateway.conversation_marks AS m WHERE m.id = moved.id;
        PERFORM gateway.tell_mark_v1('DELETE', NULL, moved);
        PERFORM gateway.tell_mark_v1('UPDATE', merged, target);
    END LOOP;
END;
$$;
COMMENT ON FUNCTION gateway.merge_marks_v1(text, text) IS 'Moves the marks of one address to the conversation of another.';

-- When a move is asked for, and once more when it is done: a mark that was set meanwhile follows.
CREATE OR REPLACE FUNCTION gateway.move_marks() RETURNS trigger
LANGUAGE plpgsql
AS $$
DECLARE
    moves gateway.moves := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
    PERFORM gateway.merge_marks_v1(
        CASE WHEN moves.address LIKE '%@lid' THEN moves.address ELSE moves.address || '@s.whatsapp.net' END,
        moves.phone || '@s.whatsapp.net'
    );
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.move_marks() IS 'Merges the marks of conversations that become one.';
DROP TRIGGER IF EXISTS gateway_move_marks ON gateway.moves;
CREATE TRIGGER gateway_move_marks
    AFTER INSERT OR UPDATE OR DELETE ON gateway.moves
    FOR EACH ROW EXECUTE FUNCTION gateway.move_marks();

-- The list of conversations knows of the marks what its filters need.
ALTER TABLE gateway.conversations ADD COLUMN IF NOT EXISTS owner text;
ALTER TABLE gateway.conversations ADD COLUMN IF NOT EXISTS is_done boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN gateway.conversations.owner IS '`sub` of the person who has it.';
COMMENT ON COLUMN gateway.conversations.is_done IS 'It was done, and the customer has not written since.';
COMMENT ON COLUMN gateway.conversations.unread IS
    'Incoming messages that are unread at the shop, deleted ones left out; at least 1 while it is marked unread.';
CREATE INDEX IF NOT EXISTS conversations_waiting
    ON gateway.conversations (last_at DESC, session DESC, chat DESC)
    WHERE is_unreplied AND NOT is_done;
DROP INDEX IF EXISTS gateway.conversations_unreplied;
CREATE INDEX IF NOT EXISTS conversations_done
    ON gateway.conversations (last_at DESC, session DESC, chat DESC)
    WHERE is_done;
CREATE INDEX IF NOT EXISTS conversations_owned
    ON gateway.conversations (owner, last_at DESC, session DESC, chat DESC)
    WHERE owner IS NOT NULL AND NOT is_done;
CREATE INDEX IF NOT EXISTS conversations_free
    ON gateway.conversations (last_at DESC, session DESC, chat DESC)
    WHERE owner IS NULL AND NOT is_done;
CREATE INDEX IF NOT EXISTS conversations_groups
    ON gateway.conversations (last_at DESC, session DESC, chat DESC)
    WHERE chat LIKE '%@g.us';
