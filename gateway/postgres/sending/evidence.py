"""Keys that WhatsApp has given, and whose they are: found out under the locks of the rows that may be meant.

A key that may be ours is held in `gateway.sent_echoes`. Everything here runs within the caller's transaction, and locks
the chat's open rows before it reads the keys: of two transactions that bring row and key, the later one sees both.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from gateway.domain.message import DeliveryMoved, DeliveryState, MessageSent
from gateway.domain.send_content import look_of
from gateway.domain.send_evidence import Echo, claims
from gateway.domain.sending import Send, SendStatus
from gateway.postgres.connection.driver import Connection
from gateway.postgres.sending.moves import move
from gateway.postgres.sending.rows import SEND, send_of, unix
from gateway.postgres.webhooks import statements as webhook_sql
from gateway.postgres.webhooks.columns import sent_columns
from gateway.postgres.webhooks.moves import write_early_moves, write_moves

_STATES = {state.word: state for state in DeliveryState if state > DeliveryState.SENT}

WHOLE_SECOND = timedelta(seconds=1)
"""WhatsApp tells whole seconds, rounded down."""

# A message typed on the phone waits so long for the answer to a send that looks like it.
HOLD_S = 20.0
HOLD_NAMED_S = 120.0
"""As long as an unknown message waits for evidence before a person may decide."""

# What stands under these keys, and what may be meant by them.
_MEANT = """
SELECT c.place, c.conversation AS chat, e.claimed_by IS NOT NULL AS is_claimed, e.key_id IS NOT NULL AS is_heard_of,
    EXISTS (SELECT FROM public.whatsapp_outgoing_messages AS m
        WHERE m.wasender_session_id = c.session AND m.wa_key_id = c.key) AS is_row,
    EXISTS (SELECT FROM public.whatsapp_outgoing_messages AS m
        WHERE m.wasender_session_id = c.session AND m.chat = c.conversation AND m.send_no IS NOT NULL
            AND m.wa_key_id IS NULL AND m.status IN ('sending', 'accepted', 'unknown')
            AND m.payload ->> 'look' = c.look)
    OR EXISTS (SELECT FROM public.whatsapp_outgoing_messages AS m
        WHERE m.wasender_session_id = c.session AND m.chat = c.conversation AND m.send_no IS NOT NULL
            AND m.wa_key_id IS NULL
            AND (m.status IN ('sent', 'delivered', 'read', 'played') OR m.error_code = 'settled')
            AND m.payload ->> 'look' = c.look) AS may_be_ours
FROM (
    SELECT n.session, n.key, gateway.conversation_of_v1(n.chat) AS conversation, n.look, n.place
    FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS n (session, key, chat, look, place)
) AS c
LEFT JOIN gateway.sent_echoes AS e ON e.session = c.session AND e.key_id = c.key
"""

_HOLD = """
INSERT INTO gateway.sent_echoes AS e (session, key_id, chat, look, at, is_named, msg_id, message)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (session, key_id) DO UPDATE
SET is_named = e.is_named OR excluded.is_named, msg_id = coalesce(e.msg_id, excluded.msg_id),
    at = least(e.at, excluded.at),
    message = CASE
        WHEN e.message IS NULL AND $9 THEN NULL
        WHEN e.message IS NULL OR (e.message ->> 'is_empty')::boolean THEN excluded.message
        ELSE e.message END
"""

# The chat's open rows, and the one that is to be moved, if any.
_OPEN_ROWS = f"""
SELECT {SEND}
FROM public.whatsapp_outgoing_messages AS m
WHERE m.send_no IN (
    SELECT $3::bigint
    UNION ALL
    SELECT o.send_no FROM public.whatsapp_outgoing_messages AS o
    WHERE o.wasender_session_id = $1 AND o.chat = $2 AND o.send_no IS NOT NULL AND o.wa_key_id IS NULL
        AND o.status IN ('sending', 'accepted', 'unknown')
    UNION ALL
    SELECT o.send_no FROM public.whatsapp_outgoing_messages AS o
    WHERE o.wasender_session_id = $1 AND o.chat = $2 AND o.send_no IS NOT NULL AND o.wa_key_id IS NULL
        AND (o.status IN ('sent', 'delivered', 'read', 'played') OR o.error_code = 'settled'))
ORDER BY m.send_no
FOR UPDATE OF m
"""

_ECHOES = """
SELECT e.key_id, e.look, e.at, e.is_named, e.msg_id, e.message, clock_timestamp() - e.came_at AS age
FROM gateway.sent_echoes AS e
WHERE e.session = $1 AND e.chat = $2 AND e.claimed_by IS NULL
ORDER BY e.at, e.key_id
"""

_CLAIM = """
UPDATE gateway.sent_echoes AS e SET claimed_by = $3, message = NULL WHERE e.session = $1 AND e.key_id = $2
"""

# It was taken for a message of the phone before WasenderAPI named it.
_TAKE_OVER = """
DELETE FROM public.whatsapp_outgoing_messages AS m
WHERE m.wasender_session_id = $1 AND m.wa_key_id = $2 AND m.send_no IS NULL
RETURNING m.raw_data, m.status, coalesce(m.status_at, m.sent_at::timestamptz, now()) AS moved_at
"""

_FILL = """
UPDATE public.whatsapp_outgoing_messages AS m SET raw_data = coalesce(m.raw_data, $2) WHERE m.send_no = $1
"""

_ASK_SOON = """
UPDATE gateway.send_checks AS c SET due_at = least(c.due_at, clock_timestamp()) WHERE c.send_no = ANY ($1::bigint[])
"""

_BY_API = """
UPDATE public.whatsapp_outgoing_messages AS m SET origin = 'api'
WHERE m.wasender_session_id = $1 AND m.wa_key_id = $2 AND m.send_no IS NULL AND m.origin = 'phone'
"""

_OVERTAKE = """
UPDATE public.whatsapp_outgoing_messages AS m
SET overtaken_by = 'out:' || other.id::text
FROM public.whatsapp_outgoing_messages AS other
WHERE other.wasender_session_id = $1 AND other.wa_key_id = $2
    AND m.wasender_session_id = $1 AND m.chat = gateway.chat_of(other.chat, other.to_phone) AND m.send_no IS NOT NULL
    AND m.status = 'queued' AND m.overtaken_by IS NULL AND m.id <> other.id
"""


async def hold_echoes(
    connection: Connection, found: Sequence[tuple[int, int, MessageSent]], came: Sequence[datetime]
) -> tuple[list[int], set[tuple[int, str]]]:
    """Holds back what may be ours. Returns the places of all others, and the chats to be settled."""
    items = [(session_id, item, look_of(item.type, item.text)) for _, session_id, item in found]
    rows = await connection.fetch(
        _MEANT,
        [session_id for session_id, _, _ in items],
        [item.key_id for _, item, _ in items],
        [item.chat for _, item, _ in items],
        [look for _, _, look in items],
    )
    others: list[int] = []
    chats: set[tuple[int, str]] = set()
    for row in sorted(rows, key=lambda row: (items[row["place"] - 1][0], items[row["place"] - 1][1].key_id)):
        place = row["place"] - 1
        session_id, item, look = items[place]
        if row["is_claimed"]:
            continue
        if row["is_row"] and not (item.is_named and (row["may_be_ours"] or row["is_heard_of"])):
            others.append(place)
        elif row["may_be_ours"] or row["is_heard_of"]:
            await connection.execute(
                _HOLD,
                session_id,
                item.key_id,
                row["chat"],
                look,
                min(came[place], item.sent_at + WHOLE_SECOND),
                item.is_named,
                item.msg_id,
                None if row["is_row"] else _message_data(item),
                row["is_row"],
            )
            chats.add((session_id, row["chat"]))
        else:
            others.append(place)
    return sorted(others), chats


def _message_data(item: MessageSent) -> dict[str, Any]:
    return {
        "chat": item.chat,
        "phone": item.to_phone,
        "lid": item.lid,
        "text": item.text,
        "type": item.type,
        "url": item.media_url,
        "at": item.sent_at.isoformat(),
        "raw": item.raw,
        "is_empty": item.is_placeholder,
    }


async def lock_chat_of(connection: Connection, send_id: int) -> tuple[int, str] | None:
    """Session and chat of the row, which is locked with the open ones of its chat; None if there is no such row.

    They are locked in the order of sending before one of them is moved. An author that moved its row first would hold
    it and wait for an older one, while evidence for the chat holds the older one and waits for the moved one.
    """
    row = await connection.fetchrow(
        "SELECT m.wasender_session_id::bigint AS session, m.chat, m.wa_key_id"
        " FROM public.whatsapp_outgoing_messages AS m WHERE m.send_no = $1",
        send_id,
    )
    if row is None:
        return None
    if row["wa_key_id"] is None:  # evidence is not for a row that has its key
        await connection.execute(_OPEN_ROWS, row["session"], row["chat"], send_id)
    return row["session"], row["chat"]


async def settle_chat(connection: Connection, session_id: int, chat: str) -> None:
    """Gives the keys that were heard of in a chat to the rows that they prove, and lets go what belongs to none."""
    rows = [send_of(row) for row in await connection.fetch(_OPEN_ROWS, session_id, chat, None)]
    heard = await connection.fetch(_ECHOES, session_id, chat)
    if not heard:
        return
    echoes = [
        Echo(row["key_id"], chat, row["look"], unix(row["at"]) or 0.0, row["is_named"], row["msg_id"])
        for row in heard
    ]
    before = {send.id: send for send in rows}
    proven = claims(rows, echoes)
    at = {row["key_id"]: unix(row["at"]) for row in heard}
    held = {row["key_id"]: row["message"] for row in heard}
    for send in proven:
        assert send.key_id is not None
        await _claim(connection, session_id, before[send.id], send, at[send.key_id], held[send.key_id])
    claimed = {send.key_id for send in proven}
    done = {send.id for send in proven}
    left = [send for send in rows if send.id not in done]
    looks = {send.content for send in left}
    await _ask_about(connection, left, {row["look"] for row in heard if row["key_id"] not in claimed})
    for row in heard:
        if row["key_id"] in claimed or row["message"] is None:
            continue
        longest_s = HOLD_NAMED_S if row["is_named"] else HOLD_S
        if row["look"] not in looks or row["age"] > timedelta(seconds=longest_s):
            await _let_go(connection, session_id, row)


async def _claim(
    connection: Connection,
    session_id: int,
    before: Send,
    after: Send,
    at: float | None,
    held: dict[str, Any] | None,
) -> None:
    key_id = after.key_id
    taken = await connection.fetch(_TAKE_OVER, session_id, key_id)
    await move(connection, before, after, at)
    await connection.execute(_CLAIM, session_id, key_id, after.id)
    raw = (held or {}).get("raw") or (taken[0]["raw_data"] if taken else None)
    if raw:
        await connection.execute(_FILL, after.id, raw)
    for row in taken:
        state = _STATES.get(row["status"])
        if state is not None:
            moved = DeliveryMoved(str(key_id), state, row["moved_at"])
            await write_moves(connection, [(session_id, moved)], may_wait=False)
    early = await connection.fetch(webhook_sql.TAKE_EARLY, [session_id], [key_id])
    await write_early_moves(connection, early)
    await connection.fetchval("SELECT gateway.take_early_v1($1, $2)", [session_id], [key_id])


async def _ask_about(connection: Connection, left: Sequence[Send], looks: set[str]) -> None:
    """Where keys are there and it is not clear whose, upstream knows of the accepted ones."""
    unclear = [send.id for send in left if send.status is SendStatus.ACCEPTED and send.content in looks]
    if unclear:
        await connection.execute(_ASK_SOON, unclear)


async def _let_go(connection: Connection, session_id: int, row: asyncpg.Record) -> None:
    """A held message is none of ours, as far as is known: it becomes a row of its own."""
    data, key_id = row["message"], row["key_id"]
    item = MessageSent(
        key_id,
        data["chat"],
        data["phone"],
        data["type"],
        data["text"],
        datetime.fromisoformat(data["at"]),
        data["url"],
        data["raw"],
        data["lid"],
        data["is_empty"],
    )
    patience = await connection.fetchval("SELECT current_setting('lock_timeout')")
    columns = sent_columns([(0, session_id, item)], {id(item): 0})
    await connection.fetch(webhook_sql.SEND, patience, *columns)
    await connection.execute(
        "UPDATE gateway.sent_echoes AS e SET message = NULL WHERE e.session = $1 AND e.key_id = $2",
        session_id,
        key_id,
    )
    await note_written(connection, session_id, key_id, is_named=row["is_named"])
    await write_early_moves(
        connection, await connection.fetch(webhook_sql.TAKE_EARLY, [session_id], [key_id])
    )


async def note_written(connection: Connection, session_id: int, key_id: str, *, is_named: bool) -> None:
    """A message of another writer is a row now: it overtakes what is queued, and says who wrote it."""
    if is_named:
        await connection.execute(_BY_API, session_id, key_id)
    await connection.execute(_OVERTAKE, session_id, key_id)
