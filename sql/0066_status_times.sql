-- Whether a status was confirmed: one that only a webhook without a time told, and that upstream did not answer about, is
-- shown as not sure.

ALTER TABLE gateway.session_state ADD COLUMN IF NOT EXISTS is_doubtful boolean;
COMMENT ON COLUMN gateway.session_state.is_doubtful IS
    'A webhook without a time told the status, and WasenderAPI did not answer when it was asked.';
