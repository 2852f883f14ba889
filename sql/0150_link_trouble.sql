-- An attempt goes on while WasenderAPI fails, and people are told so at once instead of when its time is up.

ALTER TABLE gateway.whatsapp_link_attempts
    ADD COLUMN IF NOT EXISTS trouble jsonb,
    ADD COLUMN IF NOT EXISTS trouble_at timestamptz;
COMMENT ON COLUMN gateway.whatsapp_link_attempts.trouble IS
    '{code, message, action, retry_at} while WasenderAPI fails and the poller goes on; NULL while it answers.';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.trouble_at IS
    'When the trouble began or passed; NULL while the attempt has had none.';
