-- What a webhook may say of a message that is there already, or not yet: reactions, edits that only the phone can read,
-- changes that come before their message, and what was refused.

SELECT gateway.adopt_v1('public.whatsapp_incoming_messages', 'Messages from customers, one row per message and session.', ARRAY[
    ['reactions', 'jsonb', 'Reactions to this message: [{emoji, by, name, at}]; NULL for none.'],
    ['edited_on_phone', 'boolean', 'The newest edit can be read on the phone only; the text is the one before it.']
]);
SELECT gateway.adopt_v1('public.whatsapp_outgoing_messages', 'Messages sent by the shop, queued or gone out.', ARRAY[
    ['reactions', 'jsonb', 'Reactions to this message: [{emoji, by, name, at}]; NULL for none.'],
    ['edited_on_phone', 'boolean', 'The newest edit can be read on the phone only; the text is the one before it.']
]);

-- `refused`: an edit or a deletion by another than the message's author. Old rows are not read again for it.
ALTER TABLE gateway.journal DROP CONSTRAINT IF EXISTS journal_outcome_check;
ALTER TABLE gateway.journal ADD CONSTRAINT journal_outcome_check
    CHECK (outcome IN ('stored', 'duplicate', 'ignored', 'unknown', 'refused', 'failed')) NOT VALID;
COMMENT ON COLUMN gateway.journal.outcome IS
    'stored, duplicate, ignored (known, nothing to keep), unknown, refused (its author may not do this), or failed.';

CREATE TABLE IF NOT EXISTS gateway.early_changes (
    wasender_session_id bigint NOT NULL,
    wa_key_id text NOT NULL,
    kind text NOT NULL,
    author text NOT NULL,
    at timestamptz NOT NULL,
    change jsonb NOT NULL,
    came_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (wasender_session_id, wa_key_id, kind, author)
);
CREATE INDEX IF NOT EXISTS early_changes_came_at ON gateway.early_changes (came_at);
COMMENT ON TABLE gateway.early_changes IS
    'Edits, deletions and reactions that came before their message; and reactions that were taken back.';
COMMENT ON COLUMN gateway.early_changes.wasender_session_id IS 'WasenderAPI''s id of the session.';
COMMENT ON COLUMN gateway.early_changes.wa_key_id IS 'WhatsApp''s key id of the message that is meant.';
COMMENT ON COLUMN gateway.early_changes.kind IS 'edit, delete or reaction; removal: a reaction that was taken back.';
COMMENT ON COLUMN gateway.early_changes.author IS 'Whose change it is; empty where the webhook names no author.';
COMMENT ON COLUMN gateway.early_changes.at IS 'When the author made it: the later one counts.';
COMMENT ON COLUMN gateway.early_changes.change IS 'What gateway.amend_v1 takes.';
COMMENT ON COLUMN gateway.early_changes.came_at IS 'When its webhook was written; pruned by it.';

ALTER TABLE gateway.early_deliveries ADD COLUMN IF NOT EXISTS chat text;
ALTER TABLE gateway.early_deliveries ADD COLUMN IF NOT EXISTS came_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX IF NOT EXISTS early_deliveries_came_at ON gateway.early_deliveries (came_at);
DROP INDEX IF EXISTS gateway.early_deliveries_at;
COMMENT ON COLUMN gateway.early_deliveries.came_at IS 'When its webhook was written; pruned by it.';
COMMENT ON COLUMN gateway.early_deliveries.chat IS 'Chat of the message, where the webhook names one.';

ALTER TABLE gateway.session_state ADD COLUMN IF NOT EXISTS said_at timestamptz;
COMMENT ON COLUMN gateway.session_state.said_at IS
    'The own time of the newest session.status webhook that counted, by WasenderAPI''s clock.';

CREATE TABLE IF NOT EXISTS gateway.contacts (
    session bigint NOT NULL,
    jid text NOT NULL,
    lid text,
    phone text,
    name text,
    push_name text,
    kind text NOT NULL DEFAULT 'person',
    members jsonb,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (session, jid)
);
CREATE INDEX IF NOT EXISTS contacts_lid ON gateway.contacts (session, lid) WHERE lid IS NOT NULL;
CREATE INDEX IF NOT EXISTS contacts_phone ON gateway.contacts (session, phone) WHERE phone IS NOT NULL;
COMMENT ON TABLE gateway.contacts IS 'Names of people and groups, as the linked phone and WhatsApp tell them.';
COMMENT ON COLUMN gateway.contacts.session IS 'WasenderAPI''s id of the session whose phone knows them.';
COMMENT ON COLUMN gateway.contacts.jid IS 'JID of the person or the group.';
COMMENT ON COLUMN gateway.contacts.lid IS 'LID of the person, if known.';
COMMENT ON COLUMN gateway.contacts.phone IS 'Digits of the person''s number, if known.';
COMMENT ON COLUMN gateway.contacts.name IS 'Name in the phone''s address book; subject of a group.';
COMMENT ON COLUMN gateway.contacts.push_name IS 'Name the person chose.';
COMMENT ON COLUMN gateway.contacts.kind IS 'person or group.';
COMMENT ON COLUMN gateway.contacts.members IS 'Of a group: rank by JID, {"<jid>": "admin"|"superadmin"|null}.';
COMMENT ON COLUMN gateway.contacts.seen_at IS 'When it was last told.';
