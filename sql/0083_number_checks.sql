-- Whether numbers have WhatsApp: asked only when a person wants to know, and remembered, since asking much gets banned.

CREATE TABLE IF NOT EXISTS gateway.number_checks (
    jid text PRIMARY KEY,
    is_there boolean NOT NULL,
    session bigint NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX IF NOT EXISTS number_checks_asked_at ON gateway.number_checks (session, asked_at);
COMMENT ON TABLE gateway.number_checks IS 'Whether numbers have WhatsApp, as WasenderAPI said.';
COMMENT ON COLUMN gateway.number_checks.jid IS 'JID of the number.';
COMMENT ON COLUMN gateway.number_checks.is_there IS 'Whether it has WhatsApp.';
COMMENT ON COLUMN gateway.number_checks.session IS 'The session whose key was used.';
COMMENT ON COLUMN gateway.number_checks.asked_at IS 'When WasenderAPI was asked.';
