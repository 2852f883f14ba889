"""Templates in Postgres, and their files."""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import asyncpg

from gateway.domain.errors import Conflict, Invalid, NotFound
from gateway.postgres.connection.driver import Connection
from gateway.postgres.connection.pool import mapped_errors
from gateway.services.templates.service import Template, TemplateFile

_ALL = """
SELECT t.id, t.session, t.shortcut, t.text, f.id::text AS media, f.kind, f.mime, f.name, b.bytes
FROM gateway.templates AS t
LEFT JOIN gateway.media AS f ON f.id = t.media
LEFT JOIN gateway.blobs AS b ON b.sha256 = f.sha256
WHERE $1::bigint IS NULL OR t.id = $1
ORDER BY lower(t.shortcut), t.id
"""

# Two at once may go one beyond the limit; it only keeps the list one that people can read.
_ADD = """
INSERT INTO gateway.templates (session, shortcut, text, media)
SELECT $1, $2, $3, $4 WHERE (SELECT count(*) FROM gateway.templates) < $5
RETURNING id
"""
_CHANGE = """
UPDATE gateway.templates SET
    session = CASE WHEN $2::jsonb ? 'session_id' THEN ($2 ->> 'session_id')::bigint ELSE session END,
    shortcut = coalesce($2 ->> 'shortcut', shortcut),
    text = coalesce($2 ->> 'text', text),
    media = CASE WHEN $2 ? 'media' THEN ($2 ->> 'media')::uuid ELSE media END,
    changed_at = now()
WHERE id = $1
RETURNING id
"""
_IS_THERE = "SELECT EXISTS (SELECT FROM public.whatsapp_sessions WHERE wasender_session_id = $1)"
_COPY = "SELECT gateway.copy_media_v1($1, $2)::text"


class TemplateTable:
    """Reads and writes templates."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def all(self) -> list[Template]:
        """Every template, by shortcut."""
        with mapped_errors():
            return [_template(row) for row in await self._pool.fetch(_ALL, None)]

    async def add(self, fields: Mapping[str, Any], maker: str, most: int) -> Template | None:
        """A new one; None where there are `most` already."""
        with mapped_errors(), _taken(fields):
            async with self._pool.acquire() as connection, connection.transaction():
                await _require_session(connection, fields)
                media = await _kept(connection, fields.get("media"), maker)
                text, session = fields.get("text") or "", fields.get("session_id")
                made = await connection.fetchval(_ADD, session, fields["shortcut"], text, media, most)
                return None if made is None else await _one(connection, made)

    async def change(self, template_id: int, fields: Mapping[str, Any], maker: str) -> Template | None:
        """Changes what is named."""
        with mapped_errors(), _taken(fields):
            async with self._pool.acquire() as connection, connection.transaction():
                await _require_session(connection, fields)
                wish = dict(fields)
                if "media" in wish:
                    own = await connection.fetchval(
                        "SELECT media::text FROM gateway.templates WHERE id = $1", template_id
                    )
                    if wish["media"] != own:
                        wish["media"] = await _kept(connection, wish["media"], maker)
                    else:
                        del wish["media"]
                    if wish.get("media"):
                        wish["media"] = str(wish["media"])
                if await connection.fetchval(_CHANGE, template_id, wish) is None:
                    return None
                return await _one(connection, template_id)

    async def delete(self, template_id: int) -> bool:
        """Removes it, with its file."""
        with mapped_errors():
            done: str = await self._pool.execute("DELETE FROM gateway.templates WHERE id = $1", template_id)
        return done != "DELETE 0"

    async def copy_file(self, template: Template, maker: str) -> TemplateFile | None:
        """A new upload with the template's file."""
        if template.file is None:
            return None
        with mapped_errors():
            made = await self._pool.fetchval(_COPY, uuid.UUID(template.file.id), maker)
        return None if made is None else replace(template.file, id=made)


async def _require_session(connection: Connection, fields: Mapping[str, Any]) -> None:
    session = fields.get("session_id")
    if session is not None and not await connection.fetchval(_IS_THERE, session):
        raise NotFound(f"There is no session {session}.")


class _taken:
    """A shortcut that another template of the same session has."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._shortcut = fields.get("shortcut")

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, asyncpg.UniqueViolationError):
            raise Conflict(f"There is a template /{self._shortcut} already.") from None


async def _kept(connection: Connection, media: str | None, maker: str) -> uuid.UUID | None:
    """The upload, which is a template's from now on. Raises Invalid."""
    if media is None:
        return None
    try:
        kept: uuid.UUID | None = await connection.fetchval(
            "SELECT gateway.keep_media_v1($1, $2)", uuid.UUID(media), maker
        )
    except ValueError:
        kept = None
    if kept is None:
        raise Invalid(
            "This file is not an upload of yours. Upload it by POST /api/media first.",
            details={"field": "media", "errors": {"media": ["It is not an upload of yours."]}},
        )
    return kept


async def _one(connection: Connection, template_id: int) -> Template:
    row = await connection.fetchrow(_ALL, template_id)
    assert row is not None  # written in this transaction
    return _template(row)


def _template(row: asyncpg.Record) -> Template:
    has_file = row["media"] is not None and row["bytes"] is not None
    file = (
        TemplateFile(row["media"], row["kind"], row["mime"], row["name"], row["bytes"]) if has_file else None
    )
    return Template(row["id"], row["session"], row["shortcut"], row["text"], file)
