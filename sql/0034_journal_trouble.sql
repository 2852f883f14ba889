-- migrate: no transaction
-- Finds what needs a look among a month of webhooks that went well.

CREATE INDEX CONCURRENTLY IF NOT EXISTS journal_trouble
    ON gateway.journal (id) WHERE outcome IN ('failed', 'unknown');
