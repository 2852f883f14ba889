-- Texts and files that a shop sends again and again.

CREATE TABLE IF NOT EXISTS gateway.templates (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session bigint,
    shortcut text NOT NULL,
    text text NOT NULL DEFAULT '',
    media uuid REFERENCES gateway.media ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX IF NOT EXISTS templates_shortcut ON gateway.templates (coalesce(session, -1), lower(shortcut));
CREATE INDEX IF NOT EXISTS templates_media ON gateway.templates (media) WHERE media IS NOT NULL;
COMMENT ON TABLE gateway.templates IS 'Texts and files that people choose by typing / and a few letters.';
COMMENT ON COLUMN gateway.templates.id IS 'Its number.';
COMMENT ON COLUMN gateway.templates.session IS 'The session it is for; NULL for all.';
COMMENT ON COLUMN gateway.templates.shortcut IS 'What is typed behind the slash.';
COMMENT ON COLUMN gateway.templates.text IS 'The text; {name} and {number} stand for the customer''s.';
COMMENT ON COLUMN gateway.templates.media IS 'Its file, of which each message is given a copy.';
COMMENT ON COLUMN gateway.templates.created_at IS 'When it was made.';
COMMENT ON COLUMN gateway.templates.changed_at IS 'When it was changed last.';

-- An upload becomes a template's: no message takes it, and it stays as long as the template.
CREATE OR REPLACE FUNCTION gateway.keep_media_v1(item uuid, maker text) RETURNS uuid
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE gateway.media AS f SET tbl = 'templates', ref = 'template'
    WHERE f.id = item AND f.ref IS NULL AND f.made_by = maker AND f.state = 'stored'
    RETURNING f.id;
$$;
COMMENT ON FUNCTION gateway.keep_media_v1(uuid, text) IS 'Gives an upload to a template.';

CREATE OR REPLACE FUNCTION gateway.drop_template_media() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.media IS DISTINCT FROM OLD.media THEN
        DELETE FROM gateway.media AS f WHERE f.id = OLD.media AND f.tbl = 'templates';
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION gateway.drop_template_media() IS 'Removes the file of a template that has it no more.';
DROP TRIGGER IF EXISTS gateway_drop_template_media ON gateway.templates;
CREATE TRIGGER gateway_drop_template_media
    AFTER DELETE OR UPDATE OF media ON gateway.templates
    FOR EACH ROW WHEN (OLD.media IS NOT NULL)
    EXECUTE FUNCTION gateway.drop_template_media();

-- The file of a template is no message's, and is neither too old nor left behind.
CREATE OR REPLACE FUNCTION gateway.drop_orphaned_media_v1(after uuid, most int, OUT last uuid, OUT gone int)
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    page uuid[];
BEGIN
    SELECT array_agg(f.id ORDER BY f.id) INTO page
    FROM (SELECT m.id FROM gateway.media AS m WHERE m.id > after ORDER BY m.id LIMIT most) AS f;
    last := page[cardinality(page)];
    DELETE FROM gateway.media AS f
    WHERE f.id = ANY (page) AND f.ref IS NOT NULL AND f.made_at < now() - interval '1 hour'
        AND f.tbl IS DISTINCT FROM 'templates'
        AND NOT EXISTS (
            SELECT FROM public.whatsapp_incoming_messages AS i
            WHERE f.tbl = 'whatsapp_incoming_messages' AND i.message_id = f.ref)
        AND NOT EXISTS (
            SELECT FROM public.whatsapp_outgoing_messages AS o
            WHERE f.tbl = 'whatsapp_outgoing_messages' AND o.client_id = f.ref);
    GET DIAGNOSTICS gone = ROW_COUNT;
END;
$$;

CREATE OR REPLACE FUNCTION gateway.expire_media_v1(patience text, keep interval, why text, most int) RETURNS int
LANGUAGE plpgsql
AS $$
#variable_conflict use_variable
DECLARE
    item uuid;
    gone int := 0;
BEGIN
    FOR item IN
        SELECT f.id FROM gateway.media AS f
        WHERE f.state = 'stored' AND f.settled_at < now() - keep AND f.tbl IS DISTINCT FROM 'templates'
        ORDER BY f.settled_at LIMIT most FOR UPDATE SKIP LOCKED
    LOOP
        UPDATE gateway.media AS f SET state = 'lost', reason = why, sha256 = NULL, settled_at = now() WHERE f.id = item;
        PERFORM gateway.tell_media_v1(patience, item, jsonb_build_object('state', 'lost', 'reason', why));
        gone := gone + 1;
    END LOOP;
    RETURN gone;
END;
$$;
