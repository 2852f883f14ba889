-- What the newest value of each session is made of, beside its row: version, last look, and the linking attempts.

CREATE TABLE IF NOT EXISTS gateway.session_state (
    wasender_session_id bigint PRIMARY KEY,
    version bigint NOT NULL DEFAULT 0,
    code_seq bigint NOT NULL DEFAULT 0,
    checked_at timestamptz,
    source text,
    webhook_seen_at timestamptz
) WITH (fillfactor = 50);
COMMENT ON TABLE gateway.session_state IS
    'One row per session: version of its state and when it was last looked at. Writing here rings no bell.';
COMMENT ON COLUMN gateway.session_state.wasender_session_id IS 'WasenderAPI''s id of the session.';
COMMENT ON COLUMN gateway.session_state.version IS
    'Grows by 1 with every transaction that changes the session or its linking attempt, as that commits.';
COMMENT ON COLUMN gateway.session_state.code_seq IS 'Number of the newest QR code of the session.';
COMMENT ON COLUMN gateway.session_state.checked_at IS 'When the status was last confirmed; written at most once a minute.';
COMMENT ON COLUMN gateway.session_state.source IS 'Who confirmed it: webhook, poll, probe or api.';
COMMENT ON COLUMN gateway.session_state.webhook_seen_at IS 'When the last webhook of the session came.';

CREATE TABLE IF NOT EXISTS gateway.whatsapp_link_attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    wasender_session_id bigint NOT NULL,
    holder uuid,
    actor text,
    started_at timestamptz NOT NULL DEFAULT now(),
    moved_at timestamptz,
    code text,
    seq bigint,
    attempt int NOT NULL DEFAULT 0,
    issued_at timestamptz,
    expires_at timestamptz,
    scanned_at timestamptz,
    ended_at timestamptz,
    reason text,
    error jsonb
);
CREATE UNIQUE INDEX IF NOT EXISTS whatsapp_link_attempts_running
    ON gateway.whatsapp_link_attempts (wasender_session_id)
    WHERE ended_at IS NULL;
CREATE INDEX IF NOT EXISTS whatsapp_link_attempts_newest
    ON gateway.whatsapp_link_attempts (wasender_session_id, id DESC);
COMMENT ON TABLE gateway.whatsapp_link_attempts IS
    'One row per attempt to link a phone; at most one of a session runs. Every change rings whatsapp_sessions.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.id IS 'Number of the attempt.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.wasender_session_id IS 'WasenderAPI''s id of the session.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.holder IS
    'Token of the poller that follows the attempt; every write of a poller names it, so one that lost its lease writes nothing.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.actor IS 'Who asked for it.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.started_at IS 'When it began.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.moved_at IS 'When the last new code or status came.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.code IS 'The string inside the newest QR code.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.seq IS 'Number of that code among all codes of the session.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.attempt IS 'Number of that code within this attempt.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.issued_at IS 'When that code was first seen.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.expires_at IS 'When that code is taken to be dead.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.scanned_at IS 'When a phone scanned a code.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.ended_at IS 'When the attempt ended; NULL while it runs.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.reason IS 'How it ended: connected, timeout, cancelled or error.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.error IS '{code, message, action} when the reason is error.';
