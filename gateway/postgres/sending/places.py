"""When waiting messages may go: their places in the queue, read only where a message waits."""

from collections.abc import Mapping
from typing import Any

import asyncpg

from gateway.domain import send_queue
from gateway.domain.send_queue import Queue
from gateway.domain.session import iso_utc
from gateway.postgres.connection.driver import Connection
from gateway.postgres.sending.rows import moment_of, queue_of

_STANDING = """
SELECT q.queue, s.account_protection, lower(s.status) = 'connected' AS is_connected,
    extract(epoch FROM clock_timestamp())::float8 AS moment
FROM (SELECT) AS one
LEFT JOIN gateway.send_queues AS q ON q.session = $1
LEFT JOIN public.whatsapp_sessions AS s ON s.wasender_session_id = $1
"""
_PLACES = """
SELECT p.id, p.is_known, p.place, extract(epoch FROM p.due_at)::float8 AS due
FROM gateway.queue_places_v1($1, $2) AS p
"""


async def with_places(
    connection: Connection, session_id: int, chat: str, messages: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The messages of one chat as clients see them; those that wait with `queue_position` and `send_after`."""
    if not any(_waits(message) for message in messages):
        return messages
    (standing,) = await connection.fetch(_STANDING, session_id)
    places = {row["id"]: row for row in await connection.fetch(_PLACES, session_id, chat)}
    return [
        message | _told(standing, places[str(message["id"])], message.get("send_after"))
        if _waits(message) and str(message["id"]) in places
        else message
        for message in messages
    ]


def _waits(message: Mapping[str, Any]) -> bool:
    return message.get("status") == "queued" and message.get("direction") == "out"


def _told(standing: asyncpg.Record, row: asyncpg.Record, wished: str | None) -> dict[str, Any]:
    """Place (from 1) and likely time of a waiting row; no time while nothing goes. A person's own time stays."""
    told: dict[str, Any] = {"queue_position": row["place"]}
    if wished is None:
        queue = send_queue.as_session(
            queue_of(standing["queue"]) or Queue(),
            connected=bool(standing["is_connected"]),
            protected=bool(standing["account_protection"]),
        )
        at = send_queue.time_of(
            queue, row["place"], row["due"], is_known=row["is_known"], now=standing["moment"]
        )
        told["send_after"] = iso_utc(moment_of(None if at is None else round(at, 3)))
    return told
