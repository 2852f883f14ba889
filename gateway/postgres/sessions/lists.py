"""Lists of sessions, page by page.

A page begins behind the last session of the one before, by the values it was sorted by: sessions that come and go
meanwhile move no other session to another page.
"""

from gateway.postgres.connection.driver import Pool
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.search import like, number_part
from gateway.postgres.sessions.rows import SESSION, session_of
from gateway.postgres.sessions.statuses import same_statuses
from gateway.services.sessions.cache import SessionKey, SessionPage, SessionQuery

# What is sorted by, and its type: a key travels as text.
_SORTS = {
    "name": ("lower(s.name)", "text"),
    "created_at": ("s.created_at::timestamptz", "timestamptz"),
    "updated_at": ("s.updated_at::timestamptz", "timestamptz"),
    "status": ("s.status", "text"),
    "phone_number": ("s.phone_number", "text"),
    "last_connected_at": ("s.last_connected_at::timestamptz", "timestamptz"),
    "id": ("s.wasender_session_id::bigint", "bigint"),
}


async def list_sessions(pool: Pool, query: SessionQuery) -> SessionPage:
    """One page of the sessions that the query names, sorted as it says. Raises StoreUnavailable."""
    # Column names come from the table above, never from outside.
    order = ", ".join(
        f"{_SORTS[name][0]} {'DESC' if down else 'ASC'} NULLS LAST" for name, down in query.sort
    )
    keys = ", ".join(f"({_SORTS[name][0]})::text" for name, _ in query.sort)
    statement = f"""
    SELECT {SESSION}, ARRAY[{keys}]::text[] AS keys
    FROM public.whatsapp_sessions s
    LEFT JOIN gateway.session_state st ON st.wasender_session_id = s.wasender_session_id
    WHERE ($1::bigint[] IS NULL OR s.wasender_session_id = ANY($1))
      AND ($2::text[] IS NULL OR lower(coalesce(s.status, '')) = ANY($2))
      AND ($3::text IS NULL
           OR s.name ILIKE '%' || $3 || '%'
           OR ($4 <> '' AND regexp_replace(s.phone_number, '\\D', '', 'g') LIKE '%' || $4 || '%'))
      AND ($5 OR lower(coalesce(s.status, '')) <> 'gone')
      AND ($7::text[] IS NULL OR {_after(query.sort)})
    ORDER BY {order}, s.wasender_session_id
    LIMIT $6
    """
    values = None if query.after is None else [*query.after.values, str(query.after.id)]
    with mapped_errors():
        rows = await pool.fetch(
            statement,
            None if query.only is None else sorted(query.only),
            None if query.status is None else same_statuses(query.status),
            like(query.search) if query.search else None,
            number_part(query.search),
            query.include_gone or query.status == "gone",
            query.limit + 1,
            values,
        )
    shown = rows[: query.limit]
    has_more = len(rows) > query.limit
    last = SessionKey(tuple(shown[-1]["keys"]), shown[-1]["session_id"]) if has_more else None
    return SessionPage([session_of(row) for row in shown], last)


def _after(sort: tuple[tuple[str, bool], ...]) -> str:
    """The condition that a session stands behind the key in $7; its last value is the id. Nulls are last."""
    terms, equal = [], ""
    for number, (name, down) in enumerate((*sort, ("id", False)), start=1):
        column, kind = _SORTS[name]
        value = f"(($7::text[])[{number}])::{kind}"
        is_behind = f"({column} {'<' if down else '>'} {value} OR {column} IS NULL AND {value} IS NOT NULL)"
        terms.append(equal + is_behind)
        equal += f"{column} IS NOT DISTINCT FROM {value} AND "
    return "(" + " OR ".join(terms) + ")"
