-- People who log in on the page, their logins, what was revoked, and a log of all that.

CREATE TABLE IF NOT EXISTS gateway.users (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    password_hash text,
    role text NOT NULL CHECK (role IN ('viewer', 'agent', 'admin')),
    sessions jsonb NOT NULL DEFAULT '"*"'
        CHECK (jsonb_typeof(sessions) = 'array' OR sessions = '"*"'),
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);
-- Ann and ann are one person at the login.
CREATE UNIQUE INDEX IF NOT EXISTS users_lower_name ON gateway.users (lower(name));
COMMENT ON TABLE gateway.users IS 'People who log in on the page by name and password.';
COMMENT ON COLUMN gateway.users.id IS 'Number of the person; `user:<id>` is the `sub` of the logins.';
COMMENT ON COLUMN gateway.users.name IS 'Name to log in with, whatever its case.';
COMMENT ON COLUMN gateway.users.password_hash IS 'argon2id; NULL for a person who cannot log in by password yet.';
COMMENT ON COLUMN gateway.users.role IS 'viewer, agent or admin.';
COMMENT ON COLUMN gateway.users.sessions IS 'List of session ids, or "*" for all.';
COMMENT ON COLUMN gateway.users.disabled_at IS 'Since when the person may not log in.';
COMMENT ON COLUMN gateway.users.created_at IS 'When the person was added.';
COMMENT ON COLUMN gateway.users.changed_at IS 'When anything of this row was changed last.';

CREATE TABLE IF NOT EXISTS gateway.logins (
    id uuid PRIMARY KEY,
    user_id bigint REFERENCES gateway.users ON DELETE CASCADE,
    sub text NOT NULL,
    name text NOT NULL,
    role text NOT NULL,
    sessions jsonb NOT NULL,
    address text,
    agent text,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS logins_sub ON gateway.logins (sub);
CREATE INDEX IF NOT EXISTS logins_user_id ON gateway.logins (user_id);
CREATE INDEX IF NOT EXISTS logins_ends_at ON gateway.logins (ends_at);
COMMENT ON TABLE gateway.logins IS 'One row per browser that is logged in. Deleting the row logs it out everywhere.';
COMMENT ON COLUMN gateway.logins.id IS 'The `jti` of the login''s cookie.';
COMMENT ON COLUMN gateway.logins.user_id IS 'The person; NULL for a login by link.';
COMMENT ON COLUMN gateway.logins.sub IS 'Who it is: `user:<id>`, or the name of the link.';
COMMENT ON COLUMN gateway.logins.name IS 'Name as it was at the login.';
COMMENT ON COLUMN gateway.logins.role IS 'Role as it was at the login.';
COMMENT ON COLUMN gateway.logins.sessions IS 'Sessions as they were at the login.';
COMMENT ON COLUMN gateway.logins.address IS 'Address the login came from.';
COMMENT ON COLUMN gateway.logins.agent IS 'What the browser calls itself.';
COMMENT ON COLUMN gateway.logins.created_at IS 'When it began.';
COMMENT ON COLUMN gateway.logins.seen_at IS 'When it was used last, to the minute.';
COMMENT ON COLUMN gateway.logins.ends_at IS 'When it ends by itself.';

CREATE TABLE IF NOT EXISTS gateway.revoked (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sub text,
    jti text,
    before timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz,
    CHECK ((sub IS NULL) <> (jti IS NULL))
);
CREATE UNIQUE INDEX IF NOT EXISTS revoked_sub ON gateway.revoked (sub);
CREATE UNIQUE INDEX IF NOT EXISTS revoked_jti ON gateway.revoked (jti);
COMMENT ON TABLE gateway.revoked IS 'Tokens that are good no more, by their `jti` or by whose they are.';
COMMENT ON COLUMN gateway.revoked.id IS 'Number of the row.';
COMMENT ON COLUMN gateway.revoked.sub IS 'Every token of this `sub` issued until `before`, and every one that does not say when.';
COMMENT ON COLUMN gateway.revoked.jti IS 'The one token with this `jti`.';
COMMENT ON COLUMN gateway.revoked.before IS 'When it was revoked.';
COMMENT ON COLUMN gateway.revoked.ends_at IS 'When the token would have ended by itself, and the row may go; NULL keeps it.';

CREATE TABLE IF NOT EXISTS gateway.access_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    event text NOT NULL,
    sub text,
    name text,
    actor text,
    address text,
    details jsonb
);
CREATE INDEX IF NOT EXISTS access_log_at ON gateway.access_log (at);
COMMENT ON TABLE gateway.access_log IS 'Logins, tickets, revocations, refused tokens and changes of people; kept for 90 days.';
COMMENT ON COLUMN gateway.access_log.id IS 'Number of the entry.';
COMMENT ON COLUMN gateway.access_log.at IS 'When it happened.';
COMMENT ON COLUMN gateway.access_log.event IS 'What happened.';
COMMENT ON COLUMN gateway.access_log.sub IS 'Whose login, token or account it is about.';
COMMENT ON COLUMN gateway.access_log.name IS 'The same as a name.';
COMMENT ON COLUMN gateway.access_log.actor IS 'Who did it, where that is another one.';
COMMENT ON COLUMN gateway.access_log.address IS 'Address it came from.';
COMMENT ON COLUMN gateway.access_log.details IS 'More about it. Never a password, a token or a ticket.';
