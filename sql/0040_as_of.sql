-- What is written late must not replace what is newer: a list of sessions that was slow, a webhook that had to wait for a
-- row, an answer that was overtaken. So everything upstream tells us has the time it is the truth of, by our own clock:
-- when a webhook came, when a question was begun.

ALTER TABLE gateway.session_state
    ADD COLUMN IF NOT EXISTS saved_at timestamptz;
COMMENT ON COLUMN gateway.session_state.checked_at IS
    'As of when the status is known: when a webhook came, or when the question was begun that upstream answered.';
COMMENT ON COLUMN gateway.session_state.saved_at IS
    'When settings or key were last stored. An answer to a question that was begun before may not know of them.';

ALTER TABLE gateway.whatsapp_link_attempts
    ADD COLUMN IF NOT EXISTS code_at timestamptz;
COMMENT ON COLUMN gateway.whatsapp_link_attempts.code_at IS
    'As of when the code is known: when its webhook came, or when the question was begun that upstream answered.';
