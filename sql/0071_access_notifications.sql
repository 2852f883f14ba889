-- What ends or changes a login is heard by every gateway at once, also when an operator does it by SQL.

CREATE OR REPLACE FUNCTION gateway.notify_access() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM pg_notify('whatsapp_gateway_access', '');
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.notify_access() IS 'Tells every gateway to read again who may do what.';

-- A login that is deleted before its time is revoked: its cookie is a token that would be good until then.
CREATE OR REPLACE FUNCTION gateway.revoke_login() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF OLD.ends_at > now() THEN
        INSERT INTO gateway.revoked (jti, before, ends_at)
        VALUES (OLD.id::text, clock_timestamp(), OLD.ends_at)
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.revoke_login() IS 'Deleting a login revokes its cookie.';

-- A person who is disabled, deleted or has a new password loses the logins of before. `gateway.kept_login` names one
-- that may stay: the one that the person uses to change the password.
CREATE OR REPLACE FUNCTION gateway.end_logins() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO gateway.revoked AS r (sub, before)
        VALUES ('user:' || OLD.id, clock_timestamp())
        ON CONFLICT (sub) DO UPDATE SET before = excluded.before;
    ELSIF (NEW.disabled_at IS NOT NULL AND OLD.disabled_at IS NULL)
        OR NEW.password_hash IS DISTINCT FROM OLD.password_hash THEN
        DELETE FROM gateway.logins
        WHERE user_id = NEW.id
            AND id::text <> coalesce(current_setting('gateway.kept_login', true), '');
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.end_logins() IS 'Ends the logins of a person who was disabled, deleted or has a new password.';

DROP TRIGGER IF EXISTS gateway_revoke_login ON gateway.logins;
CREATE TRIGGER gateway_revoke_login
    AFTER DELETE ON gateway.logins
    FOR EACH ROW EXECUTE FUNCTION gateway.revoke_login();

DROP TRIGGER IF EXISTS gateway_end_logins ON gateway.users;
CREATE TRIGGER gateway_end_logins
    AFTER UPDATE OR DELETE ON gateway.users
    FOR EACH ROW EXECUTE FUNCTION gateway.end_logins();

DROP TRIGGER IF EXISTS gateway_notify_users ON gateway.users;
CREATE TRIGGER gateway_notify_users
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON gateway.users
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.notify_access();

DROP TRIGGER IF EXISTS gateway_notify_revoked ON gateway.revoked;
CREATE TRIGGER gateway_notify_revoked
    AFTER INSERT OR UPDATE ON gateway.revoked
    FOR EACH STATEMENT EXECUTE FUNCTION gateway.notify_access();
