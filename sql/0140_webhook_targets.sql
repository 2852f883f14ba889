-- Webhooks out: who is sent what, how far each target has been told of each stream, and what waits for it.

CREATE TABLE IF NOT EXISTS gateway.webhook_targets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url text NOT NULL,
    secret text NOT NULL,
    former_secret text,
    former_until timestamptz,
    sessions jsonb NOT NULL DEFAULT '"*"',
    events jsonb NOT NULL DEFAULT '"*"',
    mode text NOT NULL DEFAULT 'standard' CHECK (mode IN ('standard', 'raw')),
    cursor jsonb NOT NULL DEFAULT '{}',
    paused_reason text,
    paused_at timestamptz,
    delivered_at timestamptz,
    created_by text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE gateway.webhook_targets IS 'Receivers that are sent what happens here: webhooks out.';
COMMENT ON COLUMN gateway.webhook_targets.id IS 'Number of the target.';
COMMENT ON COLUMN gateway.webhook_targets.url IS 'Where webhooks go.';
COMMENT ON COLUMN gateway.webhook_targets.secret IS 'What signs them (whsec_…), encrypted with GATEWAY_SECRET.';
COMMENT ON COLUMN gateway.webhook_targets.former_secret IS 'The secret before the last rotation, encrypted; it signs too for a while.';
COMMENT ON COLUMN gateway.webhook_targets.former_until IS 'Until when it does.';
COMMENT ON COLUMN gateway.webhook_targets.sessions IS 'WasenderAPI''s ids of the sessions, or "*" for all.';
COMMENT ON COLUMN gateway.webhook_targets.events IS 'Names of events, or "*" for all.';
COMMENT ON COLUMN gateway.webhook_targets.mode IS 'standard: our events, signed by Standard Webhooks. raw: what WasenderAPI sent.';
COMMENT ON COLUMN gateway.webhook_targets.cursor IS 'How far each inbox has been looked through: {"12": {"off": 184, "epoch": "…"}}; an inbox that came later begins at its first event.';
COMMENT ON COLUMN gateway.webhook_targets.paused_reason IS 'Why nothing is sent, until an admin resumes; NULL while it is.';
COMMENT ON COLUMN gateway.webhook_targets.paused_at IS 'Since when.';
COMMENT ON COLUMN gateway.webhook_targets.delivered_at IS 'When the receiver last took a webhook.';
COMMENT ON COLUMN gateway.webhook_targets.created_by IS 'Whose token made it.';
COMMENT ON COLUMN gateway.webhook_targets.created_at IS 'When it was made.';
COMMENT ON COLUMN gateway.webhook_targets.changed_at IS 'When it was last changed.';

-- No text of a customer stands here: a delivery names an event of the stream, and an erased one is erased with it.
CREATE TABLE IF NOT EXISTS gateway.webhook_deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    target bigint NOT NULL REFERENCES gateway.webhook_targets (id) ON DELETE CASCADE,
    inbox bigint NOT NULL,
    off bigint NOT NULL,
    epoch uuid NOT NULL,
    session bigint NOT NULL,
    chat text NOT NULL DEFAULT '',
    event text NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'dead')),
    failures int NOT NULL DEFAULT 0,
    first_failed_at timestamptz,
    due_at timestamptz,
    answer text,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz
);
CREATE INDEX IF NOT EXISTS webhook_deliveries_pending ON gateway.webhook_deliveries (target, session, chat, id)
    WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS webhook_deliveries_newest ON gateway.webhook_deliveries (target, id);
CREATE INDEX IF NOT EXISTS webhook_deliveries_dead ON gateway.webhook_deliveries (target, id) WHERE state = 'dead';
CREATE INDEX IF NOT EXISTS webhook_deliveries_ended_at ON gateway.webhook_deliveries (ended_at) WHERE ended_at IS NOT NULL;
COMMENT ON TABLE gateway.webhook_deliveries IS 'Events on their way to targets, those that were taken lately, and dead letters.';
COMMENT ON COLUMN gateway.webhook_deliveries.id IS 'Order within the target.';
COMMENT ON COLUMN gateway.webhook_deliveries.target IS 'The target.';
COMMENT ON COLUMN gateway.webhook_deliveries.inbox IS 'The stream of the event.';
COMMENT ON COLUMN gateway.webhook_deliveries.off IS 'Its offset there.';
COMMENT ON COLUMN gateway.webhook_deliveries.epoch IS 'The history that offset belongs to.';
COMMENT ON COLUMN gateway.webhook_deliveries.session IS 'WasenderAPI''s id of the session.';
COMMENT ON COLUMN gateway.webhook_deliveries.chat IS 'What waits behind it: later events of this chat.';
COMMENT ON COLUMN gateway.webhook_deliveries.event IS 'Name of the event.';
COMMENT ON COLUMN gateway.webhook_deliveries.state IS 'pending, delivered, or dead: given up until an admin redrives it.';
COMMENT ON COLUMN gateway.webhook_deliveries.failures IS 'How often the receiver did not take it.';
COMMENT ON COLUMN gateway.webhook_deliveries.first_failed_at IS 'When it first did not.';
COMMENT ON COLUMN gateway.webhook_deliveries.due_at IS 'Not before this time; NULL: at once.';
COMMENT ON COLUMN gateway.webhook_deliveries.answer IS 'The last answer that was no success.';
COMMENT ON COLUMN gateway.webhook_deliveries.made_at IS 'When it was found in the stream.';
COMMENT ON COLUMN gateway.webhook_deliveries.ended_at IS 'When it was delivered or given up.';

-- One target is served by one gateway. Where two believe they are that one, the cursor decides: the second finds it
-- moved, and adds nothing.
CREATE OR REPLACE FUNCTION gateway.add_deliveries_v1(
    to_target bigint, seen jsonb, moved jsonb,
    inboxes bigint[], offs bigint[], epochs text[], sessions bigint[], chats text[], events text[]
) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    UPDATE gateway.webhook_targets AS t SET cursor = moved WHERE t.id = to_target AND t.cursor = seen;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO gateway.webhook_deliveries (target, inbox, off, epoch, session, chat, event)
    SELECT to_target, e.inbox, e.off, e.epoch::uuid, e.session, e.chat, e.event
    FROM unnest(inboxes, offs, epochs, sessions, chats, events) WITH ORDINALITY
        AS e (inbox, off, epoch, session, chat, event, place)
    ORDER BY e.place;
    RETURN true;
END;
$$;
COMMENT ON FUNCTION gateway.add_deliveries_v1(bigint, jsonb, jsonb, bigint[], bigint[], text[], bigint[], text[], text[]) IS
    'Adds deliveries and moves the cursor past their events; false where the cursor is not the one that was read.';

-- A new epoch leaves offsets and events as they are: what waits is delivered, above the floor.
-- The first of each chat, if it is due and its sending is not under way, with the event as the stream has it.
CREATE OR REPLACE FUNCTION gateway.due_deliveries_v1(of_target bigint, now_at timestamptz, busy bigint[], most int)
RETURNS TABLE (
    id bigint, inbox bigint, off bigint, epoch text, session bigint, event text, failures int,
    first_failed_at timestamptz, is_there boolean, made_at timestamptz,
    event_at text, tbl text, op text, record jsonb, old jsonb
)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH heads AS (
        SELECT DISTINCT ON (d.session, d.chat) d.*
        FROM gateway.webhook_deliveries AS d
        WHERE d.target = of_target AND d.state = 'pending'
        ORDER BY d.session, d.chat, d.id
    )
    SELECT h.id, h.inbox, h.off, h.epoch::text, h.session, h.event, h.failures, h.first_failed_at, s.off IS NOT NULL,
        h.made_at, to_char(s.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), s.tbl, s.op, s.record, s.old
    FROM heads AS h
    LEFT JOIN gateway.inboxes AS i ON i.inbox = h.inbox
    LEFT JOIN gateway.stream AS s ON s.inbox = i.inbox AND s.off = h.off AND s.off > i.floor
    WHERE (h.due_at IS NULL OR h.due_at <= now_at) AND h.id <> ALL (busy)
    ORDER BY h.due_at NULLS FIRST, h.id
    LIMIT most;
$$;
COMMENT ON FUNCTION gateway.due_deliveries_v1(bigint, timestamptz, bigint[], int) IS
    'Deliveries that may begin now: the first of each chat, with its event.';
