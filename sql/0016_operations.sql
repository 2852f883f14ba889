-- What the gateways of one database share to do their work: the journal of webhooks, each other, and small memories.

CREATE TABLE IF NOT EXISTS gateway.journal (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at timestamptz NOT NULL DEFAULT now(),
    wasender_session_id bigint,
    event text,
    outcome text NOT NULL CHECK (outcome IN ('stored', 'duplicate', 'ignored', 'unknown', 'failed')),
    reason text,
    body jsonb,
    gateway uuid
);
CREATE INDEX IF NOT EXISTS journal_received_at ON gateway.journal (received_at);
CREATE INDEX IF NOT EXISTS journal_failed ON gateway.journal (id) WHERE outcome = 'failed';
COMMENT ON TABLE gateway.journal IS 'What became of each webhook; kept 30 days.';
COMMENT ON COLUMN gateway.journal.id IS 'Number of the entry.';
COMMENT ON COLUMN gateway.journal.received_at IS 'When the webhook came.';
COMMENT ON COLUMN gateway.journal.wasender_session_id IS 'WasenderAPI''s id of the session.';
COMMENT ON COLUMN gateway.journal.event IS 'Name of the event.';
COMMENT ON COLUMN gateway.journal.outcome IS 'stored, duplicate, ignored (known, nothing to keep), unknown, or failed.';
COMMENT ON COLUMN gateway.journal.reason IS 'Why, in words.';
COMMENT ON COLUMN gateway.journal.body IS 'The webhook without its key, when it could not be made a row.';
COMMENT ON COLUMN gateway.journal.gateway IS 'The gateway that took it.';

CREATE TABLE IF NOT EXISTS gateway.gateways (
    id uuid PRIMARY KEY,
    backend_pid int,
    host text,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE gateway.gateways IS
    'Running gateways. A row that is not refreshed is a frozen gateway: its peers end its backend to free its leases.';
COMMENT ON COLUMN gateway.gateways.id IS 'The gateway, new at every start.';
COMMENT ON COLUMN gateway.gateways.backend_pid IS 'Postgres backend of its listening connection, which holds its leases.';
COMMENT ON COLUMN gateway.gateways.host IS 'Where it runs.';
COMMENT ON COLUMN gateway.gateways.started_at IS 'When it started.';
COMMENT ON COLUMN gateway.gateways.seen_at IS 'When it last said so.';

CREATE TABLE IF NOT EXISTS gateway.tickets (
    digest bytea PRIMARY KEY,
    kind text NOT NULL,
    claims jsonb NOT NULL,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS tickets_expires_at ON gateway.tickets (expires_at);
COMMENT ON TABLE gateway.tickets IS 'One-time tickets; using one deletes its row, so it works once in the whole cluster.';
COMMENT ON COLUMN gateway.tickets.digest IS 'Digest of the ticket; the ticket itself is not kept.';
COMMENT ON COLUMN gateway.tickets.kind IS 'What it is for.';
COMMENT ON COLUMN gateway.tickets.claims IS 'Who its bearer is.';
COMMENT ON COLUMN gateway.tickets.expires_at IS 'When it is worth nothing any more.';
COMMENT ON COLUMN gateway.tickets.created_at IS 'When it was given out.';

CREATE TABLE IF NOT EXISTS gateway.lids (
    lid text PRIMARY KEY,
    phone text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE gateway.lids IS 'Phone numbers behind WhatsApp''s anonymous ids (LIDs), as webhooks revealed them.';
COMMENT ON COLUMN gateway.lids.lid IS 'The LID.';
COMMENT ON COLUMN gateway.lids.phone IS 'Digits of the phone number.';
COMMENT ON COLUMN gateway.lids.seen_at IS 'When the pair was last seen.';

CREATE TABLE IF NOT EXISTS gateway.early_deliveries (
    wasender_session_id bigint NOT NULL,
    wa_key_id text NOT NULL,
    state int NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    error text,
    PRIMARY KEY (wasender_session_id, wa_key_id)
);
CREATE INDEX IF NOT EXISTS early_deliveries_at ON gateway.early_deliveries (at);
COMMENT ON TABLE gateway.early_deliveries IS 'Delivery states that came before the message they are about.';
COMMENT ON COLUMN gateway.early_deliveries.wasender_session_id IS 'WasenderAPI''s id of the session.';
COMMENT ON COLUMN gateway.early_deliveries.wa_key_id IS 'WhatsApp''s key id of the message.';
COMMENT ON COLUMN gateway.early_deliveries.state IS 'How far it has come.';
COMMENT ON COLUMN gateway.early_deliveries.at IS 'When that was.';
COMMENT ON COLUMN gateway.early_deliveries.error IS 'Why it failed, if it did.';
