-- Webhooks may come late: one that brings a code which was replaced since is old news, and must not be shown again.

ALTER TABLE gateway.whatsapp_link_attempts
    ADD COLUMN IF NOT EXISTS seen text[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN gateway.whatsapp_link_attempts.seen IS 'Digests of the codes this attempt has had, the newest last.';
