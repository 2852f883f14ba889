"""Secrets in the shop's tables, whatever place they stand in: columns of their own, and values inside JSON.

Sealing, and sealing anew with another secret, is opt-in and safe to repeat. Columns change in one transaction; JSON
changes in batches, each value by its path, so that nothing else of a row is written in another way than it was.
"""

import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg

from gateway.domain.errors import ConfigError
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.sessions.vault import PREFIX, Vault

_COLUMNS = (
    ("public.whatsapp_sessions", "api_key"),
    ("public.whatsapp_sessions", "webhook_secret"),
    ("public.integrations", "api_key"),
    ("gateway.webhook_targets", "secret"),
    ("gateway.webhook_targets", "former_secret"),
)
"""Table and column of every secret: those that the shop's own code could read so far, and ours. The key is `id`."""

_JSON_TABLES = ("whatsapp_sessions", "whatsapp_incoming_messages", "whatsapp_outgoing_messages")
_JSON_COLUMNS = ("session_data", "raw_data")

_FIND_JSON = """
SELECT c.relname AS tbl, a.attname AS name, t.typname AS type
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1::text[]) AND a.attname = ANY ($2::text[])
    AND t.typname IN ('json', 'jsonb')
ORDER BY 1, 2
"""

_SEAL_FROM_NOW_ON = """
INSERT INTO gateway.settings (key, value) VALUES ('encrypt_secrets', 'true'::jsonb)
ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""

BATCH = 200
_SECRET_NAMES = frozenset(
    {"apikey", "webhooksecret", "accesstoken", "personalaccesstoken", "webhooksignature"}
)
_KEY_NAMES = frozenset({"sessionid"})
"""In WasenderAPI's webhooks `sessionId` is the session's key; elsewhere it is a number."""

_NAMED = r"session_?id|api_?key|webhook_?secret|access_?token|webhook_?signature"
_MIN_KEY = 16

Path = tuple[str, ...]
Change = Callable[[str, str], str | None]
"""Of the name a value stands under and the value: the value to store instead; None leaves it."""


@dataclass(frozen=True, slots=True)
class _Place:
    table: str
    column: str
    kind: str

    @property
    def name(self) -> str:
        return f"{self.table}.{self.column}"


class StoredSecrets:
    """Encrypts every stored secret, or encrypts it anew."""

    def __init__(self, pool: asyncpg.Pool, vault: Vault) -> None:
        self._pool = pool
        self._vault = vault

    async def encrypt(self) -> int:
        """Encrypts what is stored in the open, and has every gateway started later do so; how many values."""
        sealing = self._vault.sealing()
        plain = await self._plain_columns()
        known = frozenset(value for value in plain if len(value) >= _MIN_KEY)
        with mapped_errors():
            await self._pool.execute(_SEAL_FROM_NOW_ON)

        def sealed(name: str, value: str) -> str | None:
            return sealing.seal(value) if value in known or _is_secret(name, value) else None

        count = await self._change_columns(
            lambda value: None if value.startswith(PREFIX) else sealing.seal(value)
        )
        for place in await self._json_places():
            count += await self._change_json(place, _NAMED, sealed)
        return count

    async def rotate(self) -> int:
        """Encrypts anew what only the secret before this one opens; how many values. Leaves what neither opens."""

        def anew(value: str) -> str | None:
            return self._vault.sealing().seal(self._vault.open(value)) if self._is_old(value) else None

        count = await self._change_columns(anew)
        for place in await self._json_places():
            count += await self._change_json(place, re.escape(PREFIX), lambda _, value: anew(value))
        return count

    async def unreadable(self) -> Counter[str]:
        """How many values neither secret opens, by table and column."""
        found: Counter[str] = Counter()
        with mapped_errors():
            for table, column in _COLUMNS:
                rows = await self._pool.fetch(f"SELECT {column} AS value FROM {table}")
                found[f"{table.removeprefix('public.')}.{column}"] += sum(
                    self._is_lost(row["value"] or "") for row in rows
                )
        for place in await self._json_places():
            async for _, _, leaves in self._json_rows(place, re.escape(PREFIX)):
                found[place.name] += sum(self._is_lost(value) for _, value in leaves)
        return +found

    async def forget_unreadable(self) -> None:
        """Empties what neither secret opens: it is worth nothing any more."""
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                for table, column in _COLUMNS:
                    rows = await connection.fetch(f"SELECT id, {column} AS value FROM {table}")
                    lost = [(row["id"],) for row in rows if self._is_lost(row["value"] or "")]
                    await connection.executemany(f"UPDATE {table} SET {column} = '' WHERE id = $1", lost)
        for place in await self._json_places():
            await self._change_json(
                place, re.escape(PREFIX), lambda _, value: "" if self._is_lost(value) else None
            )

    # ------------------------------------------------------------------------------------------ values

    def _is_old(self, value: str) -> bool:
        return value.startswith(PREFIX) and not self._vault.is_current(value) and not self._is_lost(value)

    def _is_lost(self, value: str) -> bool:
        if not value.startswith(PREFIX):
            return False
        try:
            self._vault.open(value)
        except ConfigError:
            return True
        return False

    # ------------------------------------------------------------------------------------------ columns

    async def _plain_columns(self) -> list[str]:
        """Every secret of a column, opened."""
        found: list[str] = []
        with mapped_errors():
            for table, column in _COLUMNS:
                rows = await self._pool.fetch(f"SELECT {column} AS value FROM {table} WHERE {column} <> ''")
                found += [self._vault.open(row["value"]) or "" for row in rows]
        return found

    async def _change_columns(self, change: Callable[[str], str | None]) -> int:
        count = 0
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                for table, column in _COLUMNS:
                    rows = await connection.fetch(
                        f"SELECT id, {column} AS value FROM {table} WHERE {column} <> '' ORDER BY id FOR UPDATE"
                    )
                    changed = [(row["id"], change(row["value"])) for row in rows]
                    changed = [item for item in changed if item[1] is not None]
                    await connection.executemany(f"UPDATE {table} SET {column} = $2 WHERE id = $1", changed)
                    count += len(changed)
        return count

    # ------------------------------------------------------------------------------------------ JSON

    async def _json_places(self) -> list[_Place]:
        with mapped_errors():
            rows = await self._pool.fetch(_FIND_JSON, list(_JSON_TABLES), list(_JSON_COLUMNS))
        return [_Place(row["tbl"], row["name"], row["type"]) for row in rows]

    async def _json_rows(
        self, place: _Place, pattern: str
    ) -> AsyncIterator[tuple[Any, str, list[tuple[Path, str]]]]:
        """Id, text and every string with its path, of rows whose text fits the pattern. Deep ones are passed over."""
        after: Any = None
        statement = (
            f"SELECT id, {place.column}::text AS text FROM public.{place.table}"
            f" WHERE {place.column}::text ~* $1 AND (id > $2 OR $2 IS NULL) ORDER BY id LIMIT {BATCH}"
        )
        while True:
            with mapped_errors():
                rows = await self._pool.fetch(statement, pattern, after)
            for row in rows:
                after = row["id"]
                yield row["id"], row["text"], list(_strings(row["text"]))
            if len(rows) < BATCH:
                return

    async def _change_json(self, place: _Place, pattern: str, change: Change) -> int:
        count = 0
        async for key, text, leaves in self._json_rows(place, pattern):
            changed = [
                (path, new)
                for path, value in leaves
                if (new := change(path[-1] if path else "", value)) is not None
            ]
            if changed:
                count += len(changed) if await self._write_json(place, key, text, changed) else 0
        return count

    async def _write_json(self, place: _Place, key: Any, text: str, changed: list[tuple[Path, str]]) -> bool:
        """Writes the values by their paths; False if another writer has written the row meanwhile, and no value was."""
        # Names repeat from row to row, so that few statements are prepared.
        target = f"{place.column}::jsonb"
        arguments: list[Any] = [key, text]
        for path, value in changed:
            arguments += [list(path), value]
            at = len(arguments)
            target = f"jsonb_set({target}, ${at - 1}::text[], to_jsonb(${at}::text), false)"
        with mapped_errors():
            done: str = await self._pool.execute(
                f"UPDATE public.{place.table} SET {place.column} = ({target})::{place.kind}"
                f" WHERE id = $1 AND {place.column}::text = $2",
                *arguments,
            )
        return done != "UPDATE 0"


def _is_secret(name: str, value: str) -> bool:
    """Whether a value under that name is a key or a secret, as WasenderAPI calls them."""
    if not value or value.startswith(PREFIX):
        return False
    plain = name.lower().replace("_", "").replace("-", "")
    return plain in _SECRET_NAMES or (plain in _KEY_NAMES and len(value) >= _MIN_KEY and not value.isdigit())


def _strings(text: str) -> Iterator[tuple[Path, str]]:
    """Every string of a JSON text with its path. One that is nested too deep to read has none."""
    try:
        whole = json.loads(text, parse_int=_passed_over, parse_float=_passed_over)
    except (ValueError, RecursionError):
        return
    waiting: list[tuple[Path, Any]] = [((), whole)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [((*path, name), item) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [((*path, str(index)), item) for index, item in enumerate(value)]
        elif isinstance(value, str) and path:
            yield path, value


def _passed_over(number: str) -> None:
    """A number is no secret, and may be one that Python cannot hold."""
