"""One row on its way out, as Postgres holds it and as the state machine takes it.

Times are unix seconds to the microsecond: what is read is what was written.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, cast

import asyncpg

from gateway.domain.send_content import ContactCard, Content, Location
from gateway.domain.send_pace import Pace
from gateway.domain.send_queue import PauseReason, Queue
from gateway.domain.sending import Send, SendStatus

# Columns stand behind the alias of their table: a shop's may be called like any word.
SEND = """
    m.send_no, m.chat, m.status, m.queued_at, m.send_after, m.attempt, m.sending_at, m.holder, m.msg_id, m.wa_key_id,
    m.error, m.error_code, m.payload, m.xmin::text AS version, m.id::text AS row_id
"""

_NEVER = float("-inf")


def send_of(row: asyncpg.Record) -> Send:
    """The row as the state machine takes it."""
    payload = row["payload"] if isinstance(row["payload"], dict) else {}
    return Send(
        id=row["send_no"],
        chat=row["chat"],
        queued_at=unix(row["queued_at"]) or 0.0,
        content=str(payload.get("look") or ""),
        status=SendStatus(row["status"]),
        send_at=unix(row["send_after"]),
        attempt=row["attempt"] or 0,
        sending_at=unix(row["sending_at"]),
        holder=row["holder"],
        is_first_contact=bool(payload.get("is_first")),
        msg_id=row["msg_id"],
        key_id=row["wa_key_id"],
        error=row["error"],
        error_code=row["error_code"],
    )


def unix(moment: datetime | None) -> float | None:
    """Unix seconds; None for None."""
    return None if moment is None else moment.timestamp()


def moment_of(at: float | None) -> datetime | None:
    """The time of these unix seconds; None for None, and for what no calendar has."""
    if at is None or not -6e10 < at < 2e11:
        return None
    return datetime.fromtimestamp(at, UTC)


def content_data(content: Content) -> dict[str, Any]:
    """What is to be sent as the column `payload` keeps it."""
    return {key: value for key, value in asdict(content).items() if value is not None and value != ()}


def content_of(payload: dict[str, Any]) -> Content:
    """What is to be sent, from the column `payload`."""
    data = payload.get("content") or {}
    place, card = data.get("location"), data.get("contact")
    return Content(
        text=data.get("text"),
        media=data.get("media"),
        location=Location(**place) if place else None,
        contact=ContactCard(**card) if card else None,
        reply_to=data.get("reply_to"),
        mentions=tuple(data.get("mentions") or ()),
    )


def queue_data(queue: Queue) -> dict[str, Any]:
    """What is known of a queue, as JSON: infinities are left out."""
    data = asdict(queue)
    pace = {key: value for key, value in data.pop("pace").items() if value != _NEVER}
    return {**{key: value for key, value in data.items() if value != _NEVER}, "pace": pace}


def queue_of(data: Any) -> Queue | None:
    """The opposite of `queue_data`; None where nothing is known, or another version wrote it."""
    if not isinstance(data, dict):
        return None
    try:
        pace = Pace(**(data.get("pace") or {}))
        known = {**data, "pace": pace, "reason": cast(PauseReason | None, data.get("reason"))}
        return Queue(**known)
    except TypeError:
        return None
