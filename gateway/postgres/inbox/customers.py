"""The shop's customers, if it has such a table with a name and a number; used for names, never required."""

import asyncpg

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

_COLUMNS = """
SELECT array_agg(attname::text) FROM pg_catalog.pg_attribute
WHERE attrelid = to_regclass('public.customers') AND attname IN ('name', 'phone', 'whatsapp')
  AND attnum > 0 AND NOT attisdropped
"""


class Customers:
    """The shop's table of customers, as far as it has the columns for it."""

    def __init__(self, columns: list[str] | None) -> None:
        numbers = [column for column in ("whatsapp", "phone") if column in (columns or [])]
        self._numbers = numbers if "name" in (columns or []) else []

    @classmethod
    async def of(cls, connection: Connection) -> "Customers":
        """The table as it is now; one without a name or a number answers nothing."""
        return cls(await connection.fetchval(_COLUMNS))

    async def names_of(self, connection: Connection, phones: list[str]) -> dict[str, str]:
        """Names by phone number (digits), for those of the numbers that are customers'."""
        if not self._numbers or not phones:
            return {}
        names: dict[str, str] = {}
        for column in self._numbers:
            rows = await connection.fetch(
                f"""
                SELECT regexp_replace(c.{column}::text, '\\D', '', 'g') AS phone, max(c.name::text) AS name
                FROM public.customers AS c
                WHERE regexp_replace(c.{column}::text, '\\D', '', 'g') = ANY($1::text[]) AND c.name IS NOT NULL
                GROUP BY 1
                """,
                phones,
            )
            names = {row["phone"]: row["name"] for row in rows} | names
        return names

    async def chats_named(self, connection: Connection, search: str) -> list[str]:
        """Chats of the customers whose name holds the text, 1,000 for each column at most."""
        chats: list[str] = []
        for column in self._numbers:
            rows = await connection.fetch(
                f"""
                SELECT regexp_replace(c.{column}::text, '\\D', '', 'g') || '@s.whatsapp.net' AS chat
                FROM public.customers AS c
                WHERE c.name::text ILIKE '%' || $1 || '%' AND c.{column} IS NOT NULL
                LIMIT 1000
                """,
                search,
            )
            chats += [row["chat"] for row in rows]
        return chats
