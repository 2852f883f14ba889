"""The shop's customers, if it has such a table with a name and a number; used for names, never required."""

from gateway.postgres.connection.driver import Connection

_COLUMNS = """
SELECT array_agg(attname::text) FROM pg_catalog.pg_attribute
WHERE attrelid = to_regclass('public.customers') AND attname IN ('name', 'phone', 'whatsapp')
  AND attnum > 0 AND NOT attisdropped
"""


# No statement can bind the name of a column, and a shop's table may have either, so each is written out.
_NAMES_BY_PHONE = """
SELECT regexp_replace(c.phone::text, '\\D', '', 'g') AS phone, max(c.name::text) AS name
FROM public.customers AS c
WHERE regexp_replace(c.phone::text, '\\D', '', 'g') = ANY($1::text[]) AND c.name IS NOT NULL
GROUP BY 1
"""
_NAMES_BY_WHATSAPP = """
SELECT regexp_replace(c.whatsapp::text, '\\D', '', 'g') AS phone, max(c.name::text) AS name
FROM public.customers AS c
WHERE regexp_replace(c.whatsapp::text, '\\D', '', 'g') = ANY($1::text[]) AND c.name IS NOT NULL
GROUP BY 1
"""
_CHATS_BY_PHONE = """
SELECT regexp_replace(c.phone::text, '\\D', '', 'g') || '@s.whatsapp.net' AS chat
FROM public.customers AS c
WHERE c.name::text ILIKE '%' || $1 || '%' AND c.phone IS NOT NULL
LIMIT 1000
"""
_CHATS_BY_WHATSAPP = """
SELECT regexp_replace(c.whatsapp::text, '\\D', '', 'g') || '@s.whatsapp.net' AS chat
FROM public.customers AS c
WHERE c.name::text ILIKE '%' || $1 || '%' AND c.whatsapp IS NOT NULL
LIMIT 1000
"""

_STATEMENTS = {
    "whatsapp": (_NAMES_BY_WHATSAPP, _CHATS_BY_WHATSAPP),
    "phone": (_NAMES_BY_PHONE, _CHATS_BY_PHONE),
}
"""The better number first."""


class Customers:
    """The shop's table of customers, as far as it has the columns for it."""

    def __init__(self, columns: list[str] | None) -> None:
        there = columns or []
        self._statements = [
            statements for column, statements in _STATEMENTS.items() if column in there and "name" in there
        ]

    @classmethod
    async def of(cls, connection: Connection) -> "Customers":
        """The table as it is now; one without a name or a number answers nothing."""
        return cls(await connection.fetchval(_COLUMNS))

    async def names_of(self, connection: Connection, phones: list[str]) -> dict[str, str]:
        """Names by phone number (digits), for those of the numbers that are customers'."""
        if not phones:
            return {}
        names: dict[str, str] = {}
        for by_number, _ in self._statements:
            rows = await connection.fetch(by_number, phones)
            names = {row["phone"]: row["name"] for row in rows} | names
        return names

    async def chats_named(self, connection: Connection, search: str) -> list[str]:
        """Chats of the customers whose name holds the text, 1,000 for each column at most."""
        chats: list[str] = []
        for _, by_name in self._statements:
            chats += [row["chat"] for row in await connection.fetch(by_name, search)]
        return chats
