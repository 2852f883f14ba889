-- Nearly always the list knows everything: then the counters alone are the answer, and Postgres plans nothing else.

CREATE OR REPLACE FUNCTION gateway.kept_totals_v1(sub text, boxes bigint[])
RETURNS TABLE ("all" bigint, unread bigint, unreplied bigint, mine bigint, free bigint, groups bigint, done bigint)
LANGUAGE sql STABLE
AS $$
    SELECT coalesce(sum(t.people), 0)::bigint, coalesce(sum(t.unread), 0)::bigint,
        coalesce(sum(t.unreplied), 0)::bigint,
        coalesce(sum(t.open) FILTER (WHERE t.owner = $1 AND $1 <> ''), 0)::bigint,
        coalesce(sum(t.open) FILTER (WHERE t.owner = ''), 0)::bigint,
        coalesce(sum(t.groups), 0)::bigint,
        (coalesce(sum(t.people), 0) - coalesce(sum(t.open), 0))::bigint
    FROM gateway.conversation_totals AS t
    WHERE t.session = ANY (coalesce($2, ARRAY[-9223372036854775808]))
$$;
COMMENT ON FUNCTION gateway.kept_totals_v1(text, bigint[]) IS
    'How many conversations each filter finds, where the list is up to date.';

CREATE OR REPLACE FUNCTION gateway.messages_of_chat_v1(box bigint, of_chat text) RETURNS bigint
LANGUAGE sql STABLE
AS $$
    SELECT (
        SELECT count(*) FROM public.whatsapp_incoming_messages AS m
        WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.from_phone) = $2
            AND m.message_type IS DISTINCT FROM 'reaction'
    ) + (
        SELECT count(*) FROM public.whatsapp_outgoing_messages AS m
        WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.to_phone) = $2
            AND m.message_type IS DISTINCT FROM 'reaction'
    )
$$;
COMMENT ON FUNCTION gateway.messages_of_chat_v1(bigint, text) IS 'How many messages a conversation has.';
