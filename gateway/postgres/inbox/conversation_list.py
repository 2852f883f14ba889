"""Keeps `gateway.conversations` at the streams' heels: which inboxes are behind, and a small step towards their tops.

What an event touches is read from the messages anew, never added up: a chat looked at twice, or after more has
happened to it, is right all the same. So nothing here has to be done in one transaction but the chats of some events
and the offset they lead to.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from gateway.postgres.connection.driver import Connection
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.inbox import conversation_statements as sql
from gateway.services.live.conversation_list import Progress


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSize:
    """How much one transaction takes on: some 50 ms."""

    events: int = 1000
    chats: int = 500
    rows: int = 5000
    inboxes: int = 100


DEFAULT_STEP = StepSize()

LOCK = (0x57A7 << 44) + 0xC0
"""In a space of its own: among the leases every number is that of a session."""

_DUE = """
WITH zone AS MATERIALIZED (SELECT gateway.message_zone_v1() AS name)
SELECT i.inbox, i.off AS top, i.epoch, p.off, p.next_session, p.next_chat,
       coalesce(p.epoch = i.epoch AND p.off BETWEEN i.floor AND i.off AND p.zone = zone.name, false) AS is_valid
FROM gateway.inboxes AS i
CROSS JOIN zone
LEFT JOIN gateway.projections AS p ON p.inbox = i.inbox
WHERE i.inbox >= 0
  AND (p.inbox IS NULL OR p.off <> i.off OR p.epoch <> i.epoch OR p.zone <> zone.name OR p.next_chat IS NOT NULL)
"""

# The offset is noted before the first chat is read: what happens meanwhile is followed afterwards. Sessions of inbox
# 0 may be negative.
_BEGIN = """
INSERT INTO gateway.projections AS p (inbox, off, epoch, zone, next_session, next_chat)
SELECT inbox, off, epoch, gateway.message_zone_v1(),
       CASE WHEN inbox = 0 THEN -9223372036854775808 ELSE inbox END, ''
FROM unnest($1::bigint[], $2::bigint[], $3::uuid[]) AS new (inbox, off, epoch)
ON CONFLICT (inbox) DO UPDATE
SET off = excluded.off, epoch = excluded.epoch, zone = excluded.zone,
    next_session = excluded.next_session, next_chat = excluded.next_chat
"""

_WRITE = """
WITH made AS MATERIALIZED (
    SELECT session, chat, last_at, unread, is_unreplied, push_name, owner, is_done
    FROM gateway.conversations_made_v1($1, $2)
), kept AS (
    INSERT INTO gateway.conversations AS c (session, chat, last_at, unread, is_unreplied, push_name, owner, is_done)
    SELECT session, chat, last_at, unread, is_unreplied, push_name, owner, is_done
    FROM made
    WHERE last_at IS NOT NULL
    ON CONFLICT (session, chat) DO UPDATE
    SET last_at = excluded.last_at, unread = excluded.unread, is_unreplied = excluded.is_unreplied,
        push_name = excluded.push_name, owner = excluded.owner, is_done = excluded.is_done
    WHERE (c.last_at, c.unread, c.is_unreplied, c.push_name, c.owner, c.is_done) IS DISTINCT FROM
        (excluded.last_at, excluded.unread, excluded.is_unreplied, excluded.push_name, excluded.owner, excluded.is_done)
)
DELETE FROM gateway.conversations AS c
USING made
WHERE made.last_at IS NULL AND c.session = made.session AND c.chat = made.chat
"""

_ADVANCE = """
UPDATE gateway.projections AS p
SET off = reached.off
FROM unnest($1::bigint[], $2::bigint[]) AS reached (inbox, off)
WHERE p.inbox = reached.inbox
"""

_CHATS = """
WITH RECURSIVE found AS (
    SELECT n.session, n.chat
    FROM gateway.next_chat_v1($1, $2, $3) AS n
    UNION ALL
    SELECT n.session, n.chat
    FROM found AS k
    CROSS JOIN LATERAL gateway.next_chat_v1(k.session, k.chat, $3) AS n
)
SELECT session, chat FROM found LIMIT $4
"""

# What was listed between the two keys and has no message any more.
_DROP_OTHERS = """
DELETE FROM gateway.conversations AS c
WHERE (c.session, c.chat) > ($1::bigint, $2::text)
  AND (c.session, c.chat) <= ($3::bigint, $4::text)
  AND (c.session, c.chat) NOT IN (SELECT session, chat FROM unnest($5::bigint[], $6::text[]) AS kept (session, chat))
"""

# How many messages an inbox has, as far as it matters.
_SIZES = """
SELECT own.inbox, count(*) AS rows
FROM unnest($1::bigint[]) AS own (inbox)
CROSS JOIN LATERAL (
    (SELECT FROM public.whatsapp_incoming_messages m WHERE coalesce(m.wasender_session_id, 0) = own.inbox
     ORDER BY coalesce(m.wasender_session_id, 0), gateway.chat_of(m.chat, m.from_phone) LIMIT $2)
    UNION ALL
    (SELECT FROM public.whatsapp_outgoing_messages m WHERE coalesce(m.wasender_session_id, 0) = own.inbox
     ORDER BY coalesce(m.wasender_session_id, 0), gateway.chat_of(m.chat, m.to_phone) LIMIT $2)
) AS message
GROUP BY own.inbox
"""

_DROP_WHOLE = "DELETE FROM gateway.conversations WHERE session = ANY ($1::bigint[])"

_WRITE_WHOLE = """
INSERT INTO gateway.conversations (session, chat, last_at, unread, is_unreplied, push_name, owner, is_done)
SELECT session, chat, last_at, unread, is_unreplied, push_name, owner, is_done
FROM gateway.conversations_of_sessions_v1($1)
"""

_BUILT = (
    "UPDATE gateway.projections SET next_session = NULL, next_chat = NULL WHERE inbox = ANY ($1::bigint[])"
)

_BUILT_TO = "UPDATE gateway.projections SET next_session = $2, next_chat = $3 WHERE inbox = $1"


class Key(NamedTuple):
    """One conversation: inbox and chat."""

    session: int
    chat: str


class ConversationListTable:
    """Takes the kept list of conversations a step further, one gateway at a time."""

    def __init__(self, pool: asyncpg.Pool, size: StepSize = DEFAULT_STEP) -> None:
        self._pool = pool
        self._size = size

    async def step(self) -> Progress:
        """One step towards the streams' tops, in a transaction of its own. Raises StoreUnavailable."""
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", LOCK):
                    return Progress.BUSY
                return Progress.MORE if await _step(connection, self._size) else Progress.DONE


async def _step(connection: Connection, size: StepSize) -> bool:
    """Whether there is more to do."""
    due = await connection.fetch(_DUE)
    new = [row for row in due if not row["is_valid"]]
    building = [row for row in due if row["is_valid"] and row["next_chat"] is not None]
    behind = [row for row in due if row["is_valid"] and row["next_chat"] is None]
    if new:
        await _begin(connection, new)
    has_more = bool(new or building)
    if behind:
        has_more |= await _follow(connection, behind, size.events)
    if building:
        await _build(connection, building, size)
    return has_more


async def _begin(connection: Connection, new: Sequence[asyncpg.Record]) -> None:
    await connection.execute(
        _BEGIN, [row["inbox"] for row in new], [row["top"] for row in new], [row["epoch"] for row in new]
    )


async def _follow(connection: Connection, behind: Sequence[asyncpg.Record], events_at_once: int) -> bool:
    # Every inbox gets its share: one that is flooded does not keep the others waiting.
    share = max(1, events_at_once // len(behind))
    before = {row["inbox"]: row["off"] for row in behind}
    events = await connection.fetch(sql.TOUCHED, list(before.keys()), list(before.values()), share)
    count = Counter(event["inbox"] for event in events)
    # Fewer than there must be: pruned or begun anew since we asked.
    broken = [row for row in behind if count[row["inbox"]] < min(share, row["top"] - row["off"])]
    reached = {inbox: off + count[inbox] for inbox, off in before.items()}
    await _write(connection, await touched_keys(connection, events))
    await connection.execute(_ADVANCE, list(reached.keys()), list(reached.values()))
    if broken:
        await _begin(connection, broken)
    return bool(broken) or any(found == share for found in count.values())


async def _write(connection: Connection, keys: Sequence[Key]) -> None:
    if keys:
        await connection.execute(_WRITE, *columns_of(keys))


def columns_of(keys: Iterable[Key]) -> tuple[list[int], list[str]]:
    """Keys as two arrays, for `unnest`."""
    pairs = list(keys)
    return [key.session for key in pairs], [key.chat for key in pairs]


async def touched_keys(connection: Connection, events: Iterable[asyncpg.Record]) -> list[Key]:
    """The conversations that rows of TOUCHED are about, each once, in their order."""
    keys: set[Key] = set()
    nobodys: set[str] = set()
    for event in events:
        for chat in (event["chat"], event["left_chat"]):
            if chat is None:
                continue
            keys.add(Key(event["session"], chat))
            if event["inbox"] == 0:
                keys.add(Key(0, chat))
                nobodys.add(chat)
    if nobodys:
        rows = await connection.fetch(sql.PLACEHOLDERS_TOUCHED, list(nobodys))
        keys.update(Key(row["session"], row["chat"]) for row in rows)
    return sorted(keys)


async def _build(connection: Connection, building: Sequence[asyncpg.Record], size: StepSize) -> None:
    """Reads some inboxes that are new: small ones whole, of others some chats."""
    fresh = [row["inbox"] for row in building if row["next_chat"] == "" and row["inbox"] > 0]
    if small := await _small(connection, fresh[: size.inboxes], size.rows):
        await connection.execute(_DROP_WHOLE, small)
        await connection.execute(_WRITE_WHOLE, small)
        await connection.execute(_BUILT, small)
    else:
        await _build_chats(connection, building, size.chats)


async def _small(connection: Connection, inboxes: list[int], most_rows: int) -> list[int]:
    """Those of the inboxes that one step can read from beginning to end, message by message."""
    if not inboxes:
        return []
    sizes = {row["inbox"]: row["rows"] for row in await connection.fetch(_SIZES, inboxes, most_rows + 1)}
    left = most_rows
    small: list[int] = []
    for inbox in sorted(inboxes, key=lambda inbox: sizes.get(inbox, 0)):
        left -= sizes.get(inbox, 0)
        if left < 0:
            break
        small.append(inbox)
    return small


async def _build_chats(connection: Connection, building: Sequence[asyncpg.Record], most: int) -> None:
    left = most
    keys: list[Key] = []
    for row in building:
        after = Key(row["next_session"], row["next_chat"])
        rows = await connection.fetch(_CHATS, *after, row["inbox"], left)
        found = [Key(item["session"], item["chat"]) for item in rows]
        is_last = len(found) < left
        end = Key(row["inbox"] + 1, "") if is_last else found[-1]
        await connection.execute(_DROP_OTHERS, *after, *end, *columns_of(found))
        await connection.execute(_BUILT_TO, row["inbox"], *((None, None) if is_last else found[-1]))
        keys += found
        # Asking which chats an inbox has is not free, even if it has none.
        left -= len(found) + 1
        if left <= 0:
            break
    await _write(connection, keys)
