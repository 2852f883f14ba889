-- A webhook that could not be made a row can be processed again: what came of it, how often, and who wanted it.

ALTER TABLE gateway.journal
    ADD COLUMN IF NOT EXISTS retries int NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS retried_at timestamptz,
    ADD COLUMN IF NOT EXISTS retried_by text,
    ADD COLUMN IF NOT EXISTS note text;
COMMENT ON COLUMN gateway.journal.retries IS 'How often it was processed again.';
COMMENT ON COLUMN gateway.journal.retried_at IS 'When that was last.';
COMMENT ON COLUMN gateway.journal.retried_by IS 'Who wanted it.';
COMMENT ON COLUMN gateway.journal.note IS 'What had become of it before it was processed again.';
COMMENT ON COLUMN gateway.journal.body IS
    'The webhook without its key: of what failed, is unknown or was read in part. What became rows is in their raw_data.';
