"""A session's row, read from a table that may be the shop's.

Its casing of statuses and its naive timestamps (`::timestamptz` reads them in the connection's time zone,
GATEWAY_TIMEZONE) end here.
"""

from typing import Any

import asyncpg
import orjson

from gateway.domain.session import Session, SessionId, normalise_status
from gateway.postgres.connection.values import Partial

SESSION = """
    s.wasender_session_id::bigint AS session_id, s.name, s.phone_number, s.status, s.account_protection,
    s.log_messages, s.webhook_url, s.webhook_enabled, s.webhook_events, s.user_info,
    s.last_connected_at::timestamptz AS last_connected_at, s.created_at::timestamptz AS created_at,
    s.updated_at::timestamptz AS updated_at, st.checked_at, st.source, coalesce(st.version, 0) AS version,
    st.webhook_state, st.webhook_note, coalesce(st.is_doubtful, false) AS is_doubtful
"""

SELECT_SESSION = f"""
SELECT {SESSION}
FROM public.whatsapp_sessions s
LEFT JOIN gateway.session_state st ON st.wasender_session_id = s.wasender_session_id
"""


def session_of(row: asyncpg.Record) -> Session:
    """A session's row as a value; statuses are normalised."""
    return Session(
        id=SessionId(row["session_id"]),
        name=row["name"],
        phone_number=row["phone_number"],
        status=normalise_status(row["status"]),
        account_protection=row["account_protection"],
        log_messages=row["log_messages"],
        webhook_url=row["webhook_url"],
        webhook_enabled=row["webhook_enabled"],
        webhook_events=events_of(row["webhook_events"]),
        user_info=_object_of(row["user_info"]),
        last_connected_at=row["last_connected_at"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        checked_at=row["checked_at"],
        source=row["source"],
        version=row["version"],
        webhook_state=row["webhook_state"],
        webhook_note=row["webhook_note"],
        is_doubtful=row["is_doubtful"],
    )


def _object_of(value: object) -> dict[str, Any] | None:
    """A JSON object, whole or not at all."""
    return value if isinstance(value, dict) and not isinstance(value, Partial) else None


def events_of(value: object) -> list[str] | None:
    """A list of event names; some writers store it as a JSON string inside the JSON column."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            return [str(value)]
    return [str(item) for item in value] if isinstance(value, list) else None
