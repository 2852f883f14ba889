-- How a sender takes a queue, looks at it, begins a call, and moves a row; and what another history does to it.

CREATE OR REPLACE FUNCTION gateway.take_queue_v1(box bigint, token text) RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    known jsonb;
BEGIN
    PERFORM gateway.check_history_v1();
    INSERT INTO gateway.send_queues AS q (session, holder) VALUES (box, token)
    ON CONFLICT (session) DO UPDATE SET holder = excluded.holder
    RETURNING q.queue INTO known;
    RETURN known;
END;
$$;
COMMENT ON FUNCTION gateway.take_queue_v1(bigint, text) IS
    'Makes this the only sender that may begin calls of the session; returns what the former one knew.';

-- Chats of waiting messages that have written since this was asked last.
CREATE OR REPLACE FUNCTION gateway.note_lanes_v1(box bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    place record;
BEGIN
    SELECT i.off, i.epoch, i.floor, q.seen_off, q.seen_epoch INTO place
    FROM gateway.send_queues AS q LEFT JOIN gateway.inboxes AS i ON i.inbox = q.session
    WHERE q.session = box;
    IF place.off IS NULL OR (place.off = place.seen_off AND place.epoch = place.seen_epoch) THEN
        RETURN;
    END IF;
    IF place.epoch IS DISTINCT FROM place.seen_epoch OR place.seen_off < place.floor OR place.off - place.seen_off > 5000 THEN
        INSERT INTO gateway.send_lanes (session, chat)
        SELECT box, c.chat
        FROM (
            SELECT DISTINCT m.chat FROM public.whatsapp_outgoing_messages AS m
            WHERE m.wasender_session_id = box AND m.send_no IS NOT NULL AND m.status = 'queued'
        ) AS c
        WHERE gateway.ever_wrote_v1(box, c.chat)
        ON CONFLICT DO NOTHING;
    ELSE
        INSERT INTO gateway.send_lanes (session, chat)
        SELECT DISTINCT box, c.chat
        FROM gateway.stream AS s
        CROSS JOIN LATERAL (SELECT gateway.chat_of(s.record ->> 'chat', s.record ->> 'from_phone') AS chat) AS c
        WHERE s.inbox = box AND s.off > place.seen_off AND s.off <= place.off
            AND s.tbl = 'whatsapp_incoming_messages' AND s.op <> 'DELETE'
            AND EXISTS (
                SELECT FROM public.whatsapp_outgoing_messages AS m
                WHERE m.wasender_session_id = box AND m.chat = c.chat AND m.send_no IS NOT NULL AND m.status = 'queued')
        ON CONFLICT DO NOTHING;
    END IF;
    UPDATE gateway.send_queues AS q SET seen_off = place.off, seen_epoch = place.epoch WHERE q.session = box;
END;
$$;
COMMENT ON FUNCTION gateway.note_lanes_v1(bigint) IS 'Notes which chats with waiting messages have written to us.';

-- What decides about the next step: rows in `sending`; the heads of chats that wrote, and of first contacts, those that
-- are due for longest; and the next one to become due. Of a chat that is named here its head is always there, too.
CREATE OR REPLACE FUNCTION gateway.send_view_v1(box bigint, moment timestamptz)
RETURNS TABLE (send_no bigint, known boolean)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    WITH oldest AS (
        SELECT m.send_no, m.chat
        FROM public.whatsapp_outgoing_messages AS m
        WHERE m.wasender_session_id = $1 AND m.send_no IS NOT NULL AND m.status = 'queued' AND m.due_at <= $2
        ORDER BY m.due_at, m.send_no
        LIMIT 32
    ), first_contacts AS (
        SELECT m.send_no, m.chat
        FROM public.whatsapp_outgoing_messages AS m
        WHERE m.wasender_session_id = $1 AND m.send_no IS NOT NULL AND m.status = 'queued' AND m.due_at <= $2
            AND NOT EXISTS (SELECT FROM gateway.send_lanes AS l WHERE l.session = $1 AND l.chat = m.chat)
        ORDER BY m.due_at, m.send_no
        LIMIT 32
    ), chats AS (
        SELECT l.chat, true AS known FROM gateway.send_lanes AS l WHERE l.session = $1
        UNION
        SELECT o.chat, EXISTS (SELECT FROM gateway.send_lanes AS l WHERE l.session = $1 AND l.chat = o.chat)
        FROM (SELECT o.chat FROM oldest AS o UNION SELECT f.chat FROM first_contacts AS f) AS o
    ), found AS (
        SELECT head.send_no, c.known
        FROM chats AS c
        CROSS JOIN LATERAL (
            (SELECT m.send_no FROM public.whatsapp_outgoing_messages AS m
             WHERE m.wasender_session_id = $1 AND m.chat = c.chat AND m.send_no IS NOT NULL AND m.status = 'queued'
                AND m.send_after IS NULL
             ORDER BY m.send_no LIMIT 1)
            UNION ALL
            (SELECT m.send_no FROM public.whatsapp_outgoing_messages AS m
             WHERE m.wasender_session_id = $1 AND m.chat = c.chat AND m.send_no IS NOT NULL AND m.status = 'queued'
                AND m.send_after IS NOT NULL AND m.due_at <= $2
             ORDER BY m.due_at, m.send_no LIMIT 1)
        ) AS head
        UNION
        SELECT o.send_no, c.known FROM oldest AS o JOIN chats AS c ON c.chat = o.chat
        UNION
        SELECT later.send_no, EXISTS (SELECT FROM gateway.send_lanes AS l WHERE l.session = $1 AND l.chat = later.chat)
        FROM (
            SELECT m.send_no, m.chat
            FROM public.whatsapp_outgoing_messages AS m
            WHERE m.wasender_session_id = $1 AND m.send_no IS NOT NULL AND m.status = 'queued' AND m.due_at > $2
            ORDER BY m.due_at, m.send_no
            LIMIT 1
        ) AS later
        UNION
        SELECT m.send_no, false
        FROM public.whatsapp_outgoing_messages AS m
        WHERE m.wasender_session_id = $1 AND m.send_no IS NOT NULL AND m.wa_key_id IS NULL AND m.status = 'sending'
            AND m.status IN ('sending', 'accepted', 'unknown')
    )
    SELECT f.send_no, bool_or(f.known) FROM found AS f GROUP BY f.send_no;
$$;
COMMENT ON FUNCTION gateway.send_view_v1(bigint, timestamptz) IS
    'The messages that decide about a queue''s next step, and whether their chats ever wrote to us.';

-- Commits `sending` before a call: begun, changed (the row does not stand as it was read) or fenced (another sender has
-- the queue, or the database is another history).
CREATE OR REPLACE FUNCTION gateway.begin_send_v1(
    box bigint, token text, number bigint, version text, tries int, moment timestamptz, is_first boolean
) RETURNS text
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM FROM gateway.send_queues AS q WHERE q.session = box AND q.holder = token FOR SHARE;
    IF NOT FOUND OR gateway.is_same_history_v1() IS NOT TRUE THEN
        RETURN 'fenced';
    END IF;
    UPDATE public.whatsapp_outgoing_messages AS m
    SET status = 'sending', attempt = tries, sending_at = moment, holder = token, error = NULL, error_code = NULL,
        payload = coalesce(m.payload, '{}') || jsonb_build_object('is_first', is_first)
    WHERE m.send_no = number AND m.status = 'queued' AND m.xmin::text = version;
    RETURN CASE WHEN FOUND THEN 'begun' ELSE 'changed' END;
END;
$$;
COMMENT ON FUNCTION gateway.begin_send_v1(bigint, text, bigint, text, int, timestamptz, boolean) IS
    'Commits that a call begins; without its word `begun` none may.';

-- Moves a row, if it stands as its author read it: the same call, the same status.
CREATE OR REPLACE FUNCTION gateway.move_send_v1(
    number bigint, was_status text, was_attempt int, was_holder text, was_sending_at timestamptz,
    new_status text, new_queued_at timestamptz, new_send_after timestamptz, new_msg_id bigint, new_key text,
    new_error text, new_error_code text, moment timestamptz
) RETURNS boolean
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    box bigint;
    named text;
    answered_at timestamptz;
    is_sent boolean := new_status IN ('sent', 'delivered', 'read', 'played');
BEGIN
    UPDATE public.whatsapp_outgoing_messages AS m
    SET status = new_status, queued_at = new_queued_at, send_after = new_send_after,
        due_at = coalesce(new_send_after, new_queued_at), msg_id = new_msg_id, wa_key_id = new_key,
        error = new_error, error_code = new_error_code,
        accepted_at = CASE WHEN new_status = 'queued' THEN NULL
            WHEN new_status = 'accepted' OR is_sent THEN coalesce(m.accepted_at, clock_timestamp()) ELSE m.accepted_at END,
        sent_at = CASE WHEN new_status = 'queued' THEN NULL
            WHEN is_sent THEN coalesce(m.sent_at, moment, clock_timestamp()) ELSE m.sent_at END,
        delivered_at = CASE WHEN new_status IN ('delivered', 'read', 'played')
            THEN coalesce(m.delivered_at, moment, clock_timestamp()) ELSE m.delivered_at END,
        read_at = CASE WHEN new_status IN ('read', 'played')
            THEN coalesce(m.read_at, moment, clock_timestamp()) ELSE m.read_at END,
        played_at = CASE WHEN new_status = 'played' THEN coalesce(m.played_at, moment, clock_timestamp()) ELSE m.played_at END,
        overtaken_by = CASE WHEN new_status = 'queued' AND was_status <> 'sending' THEN NULL ELSE m.overtaken_by END
    WHERE m.send_no = number AND m.status = was_status AND m.attempt = was_attempt
        AND m.holder IS NOT DISTINCT FROM was_holder AND m.sending_at IS NOT DISTINCT FROM was_sending_at
    RETURNING m.wasender_session_id, m.chat, least(m.sending_at, m.sent_at) INTO box, named, answered_at;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    IF is_sent AND was_status NOT IN ('sent', 'delivered', 'read', 'played') THEN
        PERFORM gateway.mark_replied_v1(box, named, answered_at);
    END IF;
    IF new_status IN ('accepted', 'unknown') AND new_key IS NULL THEN
        INSERT INTO gateway.send_checks AS c (send_no, session, due_at)
        VALUES (number, box, clock_timestamp() + CASE new_status WHEN 'accepted' THEN interval '10 seconds' ELSE interval '5 seconds' END)
        ON CONFLICT (send_no) DO UPDATE SET due_at = excluded.due_at, tries = 0, told = NULL;
    ELSIF new_key IS NOT NULL OR new_status IN ('queued', 'failed', 'cancelled') THEN
        DELETE FROM gateway.send_checks AS c WHERE c.send_no = number;
    END IF;
    IF was_status = 'queued' OR new_status = 'queued' THEN
        IF new_status = 'queued' THEN
            PERFORM gateway.note_known_chat_v1(box, named);
        ELSE
            PERFORM gateway.leave_known_chat_v1(box, named);
        END IF;
        PERFORM gateway.wake_sender_v1(box);
    END IF;
    RETURN true;
END;
$$;
COMMENT ON FUNCTION gateway.move_send_v1(
    bigint, text, int, text, timestamptz, text, timestamptz, timestamptz, bigint, text, text, text, timestamptz
) IS 'Moves a message on its way out, unless it has moved since it was read.';

CREATE OR REPLACE FUNCTION gateway.leave_known_chat_v1(box bigint, named text) RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    DELETE FROM gateway.send_lanes AS l
    WHERE l.session = $1 AND l.chat = $2 AND NOT EXISTS (
        SELECT FROM public.whatsapp_outgoing_messages AS m
        WHERE m.wasender_session_id = $1 AND m.chat = $2 AND m.send_no IS NOT NULL AND m.status = 'queued');
$$;
COMMENT ON FUNCTION gateway.leave_known_chat_v1(bigint, text) IS 'Forgets a chat that has nothing to send any more.';

-- What came before an answer is answered by it.
CREATE OR REPLACE FUNCTION gateway.mark_replied_v1(box bigint, named text, moment timestamptz) RETURNS void
LANGUAGE sql
AS $$
    UPDATE public.whatsapp_incoming_messages AS m
    SET replied = true, replied_at = $3
    WHERE coalesce(m.wasender_session_id, 0) = $1 AND gateway.chat_of(m.chat, m.from_phone) = $2
        AND NOT coalesce(m.replied, false) AND m.received_at <= $3;
$$;
COMMENT ON FUNCTION gateway.mark_replied_v1(bigint, text, timestamptz) IS 'Notes that a chat was answered at this moment.';

-- ---------------------------------------------------------------------------------------------- another history

-- What waited when a backup was made may have been sent since.
CREATE OR REPLACE FUNCTION gateway.hold_unsent_v1() RETURNS void
LANGUAGE plpgsql
SET search_path = "$user", public
AS $$
BEGIN
    UPDATE public.whatsapp_outgoing_messages AS m
    SET status = 'unknown', error_code = 'restored',
        error = 'A backup was brought back; this may have been sent after the backup was made.'
    WHERE m.send_no IS NOT NULL AND m.status IN ('queued', 'sending');
    DELETE FROM gateway.send_lanes;
    UPDATE gateway.send_queues SET holder = NULL;
END;
$$;
COMMENT ON FUNCTION gateway.hold_unsent_v1() IS 'After a restore: nothing that waited is sent by itself.';

CREATE OR REPLACE FUNCTION gateway.check_history_v1() RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    is_same boolean := gateway.is_same_history_v1();
BEGIN
    IF is_same THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('gateway.history', 0));
    is_same := gateway.is_same_history_v1();
    IF is_same THEN
        RETURN false;
    END IF;
    IF is_same IS NULL THEN
        PERFORM gateway.note_history_v1();
        RETURN false;
    END IF;
    -- Only what transactions have left is visible here.
    DELETE FROM gateway.unnumbered_transactions;
    DELETE FROM gateway.commit_markers;
    DELETE FROM gateway.touched_sessions;
    DELETE FROM gateway.pending_changes;
    PERFORM gateway.hold_unsent_v1();
    PERFORM gateway.renew_epochs_v1();
    RETURN true;
END;
$$;

CREATE OR REPLACE FUNCTION gateway.renew_epochs_once_v1(box bigint, known text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('gateway.history', 0));
    IF NOT EXISTS (SELECT FROM gateway.inboxes WHERE inbox = box AND epoch::text = known) THEN
        RETURN false;
    END IF;
    PERFORM gateway.hold_unsent_v1();
    PERFORM gateway.renew_epochs_v1();
    RETURN true;
END;
$$;
