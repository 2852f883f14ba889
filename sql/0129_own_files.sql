-- A file of ours may come back by its address to be sent, as any kind it fits and as often as its address is good; and
-- how much of what a person uploaded no message has yet.

CREATE OR REPLACE FUNCTION gateway.copy_media_v2(item uuid, maker text, wanted_kind text, called text) RETURNS uuid
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO gateway.media AS f (state, kind, mime, name, sha256, made_by, settled_at)
    SELECT 'stored', $3, m.mime, coalesce($4, m.name), m.sha256, $2, now()
    FROM gateway.media AS m
    WHERE m.id = $1 AND m.state = 'stored'
    RETURNING f.id;
$$;
COMMENT ON FUNCTION gateway.copy_media_v2(uuid, text, text, text) IS 'Makes a new upload of the file of another, of that kind and name.';

-- What a message has sent meanwhile takes no room of its own.
CREATE OR REPLACE FUNCTION gateway.unused_uploads_v1(maker text, OUT files bigint, OUT bytes bigint)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*), coalesce(sum(b.bytes), 0)::bigint
    FROM gateway.media AS f
    LEFT JOIN gateway.blobs AS b ON b.sha256 = f.sha256
    WHERE f.ref IS NULL AND f.made_by = $1
        AND NOT EXISTS (SELECT FROM gateway.media AS u WHERE u.sha256 = f.sha256 AND u.ref IS NOT NULL);
$$;
COMMENT ON FUNCTION gateway.unused_uploads_v1(text) IS 'Uploads of a person that no message has, and their bytes.';
