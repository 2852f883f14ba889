"""Marks of conversations, changed by one function of Postgres and read beside the rows of a page."""

from typing import Any

import asyncpg

from gateway.postgres.connection.pool import mapped_errors
from gateway.services.marks import MarkOutcome

_CHANGE = """
SELECT (m.mark).owner, (m.mark).owner_name, m.is_refused, m.is_changed
FROM gateway.mark_conversation_v1($1, $2, $3::jsonb, $4, $5) AS m
"""
_OWNER = """
SELECT owner, owner_name FROM gateway.conversation_marks WHERE session = $1 AND chat = $2 AND owner IS NOT NULL
"""
_NAME = "SELECT name FROM gateway.users WHERE 'user:' || id = $1"


class MarkTable:
    """Changes marks, and says who has a conversation."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def change(
        self, session_id: int, chat: str, changes: dict[str, Any], actor: str, *, may_override: bool
    ) -> MarkOutcome:
        """Changes marks in one transaction; the owner by compare and set. Raises StoreUnavailable."""
        with mapped_errors():
            row = await self._pool.fetchrow(_CHANGE, session_id, chat, changes, actor, may_override)
        assert row is not None  # the function answers with one row
        return MarkOutcome(row["owner"], row["owner_name"], row["is_refused"], row["is_changed"])

    async def owner_of(self, session_id: int, chat: str) -> tuple[str, str | None] | None:
        """Who has the conversation, by `sub` and name. Raises StoreUnavailable."""
        with mapped_errors():
            row = await self._pool.fetchrow(_OWNER, session_id, chat)
        return None if row is None else (row["owner"], row["owner_name"])

    async def name_of(self, sub: str) -> str | None:
        """The name of a person who logs in here. Raises StoreUnavailable."""
        with mapped_errors():
            name: str | None = await self._pool.fetchval(_NAME, sub)
        return name
