"""`services.media.ports.MediaStore` in Postgres."""

import uuid
from collections.abc import Sequence
from typing import Any

import asyncpg

from gateway.domain.errors import RowRefused
from gateway.domain.media import MediaKind, MediaSource
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.sessions.sessions import SessionTable
from gateway.postgres.webhooks.batches import mapped_write_errors
from gateway.services.media.ports import Fetched, MediaRow, Place, Wanted
from gateway.services.media.uploads import NewFile

HOLD_S = 60.0
"""How long a claim outlives the gateway that has it."""

TURN_S = 60.0
PATIENCE = "400ms"

_CLAIM = """
SELECT f.id::text, f.session, f.kind, f.mime, f.name, f.source, f.tries,
    extract(epoch FROM now() - f.made_at)::float8 AS age_s,
    coalesce(i.wa_key_id, o.wa_key_id, split_part(f.ref, '@', 1)) AS key_id
FROM gateway.claim_media_v1($1, $2, make_interval(secs => $3)) AS f
LEFT JOIN public.whatsapp_incoming_messages AS i
    ON f.tbl = 'whatsapp_incoming_messages' AND i.message_id = f.ref
LEFT JOIN public.whatsapp_outgoing_messages AS o
    ON f.tbl = 'whatsapp_outgoing_messages' AND o.client_id = f.ref AND o.wasender_session_id = f.session
"""

_HELD = """
UPDATE gateway.media SET due_at = now() + make_interval(secs => $3)
WHERE id = ANY ($2::uuid[]) AND holder = $1 AND state = 'pending'
"""

_PUT_OFF = """
UPDATE gateway.media SET due_at = now() + make_interval(secs => $3), error = $4, sha256 = NULL
WHERE id = $2 AND holder = $1 AND state = 'pending'
"""

_ROW = """
SELECT f.id::text, f.session, f.state, f.reason, f.kind, f.mime, f.name, f.sha256, b.bytes, b.mime AS type, f.made_by
FROM gateway.media AS f
LEFT JOIN gateway.blobs AS b ON b.sha256 = f.sha256
WHERE f.id = $1
"""


class MediaTable:
    """Files, and who fetches them."""

    def __init__(self, pool: asyncpg.Pool, sessions: SessionTable, gateway_id: str) -> None:
        self._pool = pool
        self._sessions = sessions
        self._me = uuid.UUID(gateway_id)

    # ------------------------------------------------------------------------------------------ fetching

    async def claim(self, most: int) -> list[Wanted]:
        """Files that this gateway has to fetch now."""
        with mapped_errors():
            rows = await self._pool.fetch(_CLAIM, self._me, most, HOLD_S)
        return [_wanted(row) for row in rows]

    async def hold(self, ids: Sequence[str]) -> None:
        """This gateway is still at work on them."""
        with mapped_errors():
            await self._pool.execute(_HELD, self._me, [uuid.UUID(item) for item in ids], HOLD_S)

    async def put_off(self, media_id: str, seconds: float, error: str) -> None:
        """Lets it be tried again later, by any gateway."""
        with mapped_errors():
            await self._pool.execute(_PUT_OFF, self._me, uuid.UUID(media_id), seconds, error[:500])

    async def reserve(self, media_id: str, fetched: Fetched) -> Place:
        """Before its bytes are put into the media store: whether they stand there already."""
        return await self._reserve(media_id, fetched.sha256, fetched.bytes, fetched.type)

    async def _reserve(self, media_id: str, sha256: str, size: int, mime: str) -> Place:
        with mapped_errors():
            place: Place = await self._pool.fetchval(
                "SELECT gateway.reserve_blob_v1($1, $2, $3, $4)", uuid.UUID(media_id), sha256, size, mime
            )
        return place

    async def settle_stored(self, media_id: str, fetched: Fetched) -> bool:
        """The bytes stand in the media store."""
        return await self._settle(media_id, "stored", None, fetched.news)

    async def settle_lost(self, media_id: str, reason: str) -> bool:
        """The file cannot be had."""
        return await self._settle(media_id, "lost", reason[:500], {})

    async def _settle(self, media_id: str, state: str, reason: str | None, news: dict[str, Any]) -> bool:
        given = (PATIENCE, self._me, uuid.UUID(media_id), state, reason, news)
        try:
            with mapped_write_errors():
                async with self._pool.acquire() as connection, connection.transaction():
                    return bool(
                        await connection.fetchval(
                            "SELECT gateway.settle_media_v1($1, $2, $3, $4, $5, $6)", *given
                        )
                    )
        except RowRefused:
            # A trigger of the shop refuses the change of the message: the file is kept all the same.
            with mapped_errors():
                return bool(await self._pool.fetchval(_SETTLED_UNTOLD, *given[1:5]))

    async def take_turn(self, session_id: int) -> bool:
        """Whether this gateway may make a call of the background for the session now."""
        with mapped_errors():
            return bool(
                await self._pool.fetchval(
                    "SELECT gateway.take_upstream_turn_v1($1, $2, make_interval(secs => $3))",
                    session_id,
                    self._me,
                    TURN_S,
                )
            )

    async def end_turn(self, session_id: int) -> None:
        """The call is over."""
        with mapped_errors():
            await self._pool.execute(
                "DELETE FROM gateway.upstream_turns WHERE session = $1 AND holder = $2", session_id, self._me
            )

    async def key_of(self, session_id: int) -> str | None:
        """The session's API key; None if there is none."""
        secrets = await self._sessions.secrets(session_id)
        return secrets.api_key if secrets is not None else None

    # ------------------------------------------------------------------------------------------ uploads

    async def begin_upload(self, file: NewFile, maker: str) -> str:
        """A row for it, `pending` until its bytes stand in the media store; its id."""
        with mapped_errors():
            return str(await self._pool.fetchval(_BEGIN_UPLOAD, file.kind, file.mime, file.name, maker))

    async def copy_upload(self, media_id: str, maker: str, kind: MediaKind, name: str | None) -> str | None:
        """Another upload with the same file; its id, None where the file is not stored."""
        with mapped_errors():
            found = await self._pool.fetchval(
                "SELECT gateway.copy_media_v2($1, $2, $3, $4)::text", uuid.UUID(media_id), maker, kind, name
            )
        return None if found is None else str(found)

    async def unused_uploads(self, maker: str) -> tuple[int, int]:
        """How many uploads of this person no message has, and their bytes."""
        with mapped_errors():
            (row,) = await self._pool.fetch("SELECT files, bytes FROM gateway.unused_uploads_v1($1)", maker)
        return row["files"], row["bytes"]

    async def reserve_upload(self, media_id: str, file: NewFile) -> Place:
        """Before its bytes are put into the media store: whether they stand there already."""
        return await self._reserve(media_id, file.sha256, file.bytes, file.mime)

    async def end_upload(self, media_id: str) -> None:
        """Its bytes stand in the media store."""
        with mapped_errors():
            await self._pool.execute(_END_UPLOAD, uuid.UUID(media_id))

    async def drop_upload(self, media_id: str) -> None:
        """It came to nothing."""
        with mapped_errors():
            await self._pool.execute(
                "DELETE FROM gateway.media WHERE id = $1 AND ref IS NULL", uuid.UUID(media_id)
            )

    # ------------------------------------------------------------------------------------------ giving out

    async def id_of_key(self, session_id: int, key_id: str) -> str | None:
        """The file of the message with this WhatsApp id; None if there is none."""
        with mapped_errors():
            found = await self._pool.fetchval(_OF_KEY, session_id, key_id)
        return None if found is None else str(found)

    async def row(self, media_id: str) -> MediaRow | None:
        """A file as it stands; None if there is none of that id."""
        try:
            known = uuid.UUID(media_id)
        except ValueError:
            return None
        with mapped_errors():
            row = await self._pool.fetchrow(_ROW, known)
        return None if row is None else MediaRow(
            id=row["id"], session_id=row["session"], state=row["state"], reason=row["reason"], kind=row["kind"],
            mime=row["mime"], name=row["name"], sha256=row["sha256"], bytes=row["bytes"], type=row["type"],
            made_by=row["made_by"],
        )  # fmt: skip


_BEGIN_UPLOAD = """
INSERT INTO gateway.media (kind, mime, name, made_by) VALUES ($1, $2, $3, $4) RETURNING id::text
"""
_END_UPLOAD = """
WITH settled AS (
    UPDATE gateway.media SET state = 'stored', settled_at = now() WHERE id = $1 AND state = 'pending' RETURNING sha256
)
UPDATE gateway.blobs AS b SET is_stored = true FROM settled WHERE b.sha256 = settled.sha256 AND NOT b.is_stored
"""
_OF_KEY = """
SELECT f.id::text FROM gateway.media AS f
WHERE f.session = $1 AND f.ref = ANY (
    SELECT i.message_id FROM public.whatsapp_incoming_messages AS i
    WHERE i.wa_key_id = $2 AND i.wasender_session_id = $1
    UNION ALL
    SELECT o.client_id FROM public.whatsapp_outgoing_messages AS o
    WHERE o.wa_key_id = $2 AND o.wasender_session_id = $1)
ORDER BY f.made_at DESC
LIMIT 1
"""
_SETTLED_UNTOLD = """
WITH settled AS (
    UPDATE gateway.media
    SET state = $3, reason = $4, settled_at = now(), due_at = NULL,
        source = CASE WHEN $3 = 'stored' THEN NULL ELSE source END, sha256 = CASE WHEN $3 = 'stored' THEN sha256 END
    WHERE id = $2 AND holder = $1 AND state = 'pending'
    RETURNING sha256
), kept AS (
    UPDATE gateway.blobs AS b SET is_stored = true FROM settled WHERE b.sha256 = settled.sha256 AND NOT b.is_stored
)
SELECT true FROM settled
"""


def _wanted(row: asyncpg.Record) -> Wanted:
    source = row["source"] or {}
    length = source.get("length")
    return Wanted(
        id=row["id"],
        session_id=row["session"],
        key_id=row["key_id"],
        kind=row["kind"],
        mime=row["mime"],
        name=row["name"],
        part=str(source.get("part") or f"{row['kind']}Message"),
        source=MediaSource(
            url=str(source.get("url") or ""),
            key=source.get("key"),
            sha256=source.get("sha256"),
            enc_sha256=source.get("enc_sha256"),
            length=length if isinstance(length, int) else None,
        ),
        tries=row["tries"],
        age_s=row["age_s"],
    )
