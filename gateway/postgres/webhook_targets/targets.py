"""`services.webhook_targets.ports` in Postgres: targets, and deliveries on their way."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg

from gateway.domain.raw_webhooks import RawBody
from gateway.domain.streams import Event
from gateway.domain.webhook_targets import RESET, Cursor, Tries, message_id
from gateway.postgres.connection.pool import mapped_errors
from gateway.postgres.sessions.vault import Vault
from gateway.postgres.streams import event_of
from gateway.services.webhook_targets.ports import (
    DeliveryRow,
    Due,
    Ended,
    Found,
    NewTarget,
    State,
    Target,
)

FORMER_HOURS = 24
"""How long the former secret signs too, so that a receiver can change over without losing a webhook."""

HELD_MOST = 20_000
"""Where a receiver refuses every event, and every chat is held, more waits in the streams."""

_ONE = """
SELECT id, url, sessions, events, mode, cursor, paused_reason, paused_at, delivered_at, created_at, changed_at
FROM gateway.webhook_targets WHERE id = $1
"""
_LIST = """
SELECT t.id, url, sessions, events, mode, cursor, paused_reason, paused_at, delivered_at, created_at, changed_at,
    (SELECT count(*) FROM (
        SELECT FROM gateway.webhook_deliveries AS d
        WHERE d.target = t.id AND d.state = 'pending' LIMIT 10000) AS few) AS waiting,
    (SELECT count(*) FROM (
        SELECT FROM gateway.webhook_deliveries AS d
        WHERE d.target = t.id AND d.state = 'dead' LIMIT 10000) AS few) AS dead
FROM gateway.webhook_targets AS t ORDER BY t.id
"""
_ADD = """
INSERT INTO gateway.webhook_targets (url, secret, sessions, events, mode, created_by, cursor)
SELECT $1, $2, $3, $4, $5, $6, gateway.tops_v1()
RETURNING id, url, sessions, events, mode, cursor, paused_reason, paused_at, delivered_at, created_at, changed_at
"""
# A session that is chosen anew begins at what happens from now on.
_CHANGE = """
UPDATE gateway.webhook_targets AS t SET
    url = coalesce($2::jsonb ->> 'url', url),
    sessions = CASE WHEN $2 ? 'sessions' THEN $2 -> 'sessions' ELSE sessions END,
    cursor = CASE WHEN $2 ->> 'mode' <> mode THEN gateway.tops_v1()
        WHEN NOT $2 ? 'sessions' OR sessions = '"*"' THEN cursor ELSE cursor || coalesce((
        SELECT jsonb_object_agg(i.inbox, jsonb_build_object('off', i.off, 'epoch', i.epoch)) FROM gateway.inboxes AS i
        WHERE i.inbox >= 0 AND NOT sessions @> to_jsonb(i.inbox)), '{}') END,
    events = CASE WHEN $2 ? 'events' THEN $2 -> 'events' ELSE events END,
    mode = coalesce($2 ->> 'mode', mode),
    secret = coalesce($2 ->> 'secret', secret),
    former_secret = CASE WHEN $2 ? 'secret' THEN secret ELSE former_secret END,
    former_until = CASE WHEN $2 ? 'secret' THEN clock_timestamp() + make_interval(hours => $3) ELSE former_until END,
    paused_reason = CASE WHEN $2 ? 'paused_reason' THEN $2 ->> 'paused_reason' ELSE paused_reason END,
    paused_at = CASE WHEN NOT $2 ? 'paused_reason' THEN paused_at
        WHEN $2 ->> 'paused_reason' IS NOT NULL THEN coalesce(paused_at, clock_timestamp()) END,
    changed_at = clock_timestamp()
WHERE id = $1
RETURNING id, url, sessions, events, mode, cursor, paused_reason, paused_at, delivered_at, created_at, changed_at
"""
_FORGET_RAW = """
DELETE FROM gateway.raw_webhooks WHERE NOT EXISTS (SELECT FROM gateway.webhook_targets WHERE mode = 'raw')
"""
_DROP_UNWANTED = """
DELETE FROM gateway.webhook_deliveries
WHERE target = $1 AND state = 'pending' AND $2::bigint[] IS NOT NULL AND session <> ALL ($2)
"""
_DELIVERIES = """
SELECT id, is_raw, inbox, off, epoch::text AS epoch, session, chat, event, state, failures, answer, due_at, made_at,
    ended_at
FROM gateway.webhook_deliveries
WHERE target = $1 AND ($2::text IS NULL OR state = $2) AND ($3::bigint IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4
"""
# What was given up becomes the first of its chat again: order within a chat is that of the numbers.
_REDRIVE = """
WITH again AS (
    UPDATE gateway.webhook_deliveries
    SET state = 'pending', failures = 0, first_failed_at = NULL, due_at = NULL, ended_at = NULL
    WHERE target = $1 AND state = 'dead' AND ($2::bigint[] IS NULL OR id = ANY ($2))
    RETURNING 1
), resumed AS (
    UPDATE gateway.webhook_targets SET paused_reason = NULL, paused_at = NULL, changed_at = clock_timestamp()
    WHERE id = $1
), hurried AS (
    UPDATE gateway.webhook_deliveries SET due_at = NULL
    WHERE target = $1 AND state = 'pending' AND due_at IS NOT NULL AND $2::bigint[] IS NULL
)
SELECT count(*) FROM again
"""
_SECRETS = """
SELECT secret, CASE WHEN former_until > clock_timestamp() THEN former_secret END AS former
FROM gateway.webhook_targets WHERE id = $1
"""
_ACTIVE = """
SELECT coalesce(array_agg(id) FILTER (WHERE paused_reason IS NULL), '{}') AS ids,
    coalesce(bool_or(mode = 'raw'), false) AS has_raw
FROM gateway.webhook_targets
"""
_SOME_SESSION = """
SELECT wasender_session_id FROM public.whatsapp_sessions
WHERE api_key <> '' AND webhook_secret <> '' AND lower(coalesce(status, '')) <> 'gone'
ORDER BY wasender_session_id LIMIT 1
"""
_RAW_AFTER = """
SELECT off, uid::text AS uid, session, chat, event FROM gateway.raw_webhooks WHERE off > $1 ORDER BY off LIMIT $2
"""
_WAITING = """
SELECT count(*) FROM (
    SELECT FROM gateway.webhook_deliveries AS d WHERE d.target = $1 AND d.state = 'pending' LIMIT $2) AS waiting
"""
_PENDING = """
SELECT count(*) FROM (
    SELECT 1 FROM gateway.webhook_deliveries AS d
    WHERE d.target = $1 AND d.state = 'pending' AND NOT EXISTS (
        SELECT FROM gateway.webhook_deliveries AS held
        WHERE held.target = $1 AND held.state = 'pending' AND held.session = d.session AND held.chat = d.chat
            AND held.failures > 0 AND held.id < d.id)
    LIMIT $2) AS waiting
"""
_ADD_FOUND = "SELECT gateway.add_deliveries_v2($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
_DUE = "SELECT * FROM gateway.due_deliveries_v2($1, $2, $3, $4)"
_END = "SELECT gateway.end_deliveries_v1($1, $2, $3, $4, $5, $6, $7, $8)"
_LOCK = "SELECT FROM gateway.webhook_targets WHERE id = $1 FOR NO KEY UPDATE"


class TargetTable:
    """Targets and their deliveries. Everything raises StoreUnavailable."""

    def __init__(self, pool: asyncpg.Pool, vault: Vault) -> None:
        self._pool = pool
        self._vault = vault.sealing()  # these secrets are only ours: no code of the shop reads them

    # ------------------------------------------------------------------------------------------ targets

    async def all(self) -> list[Target]:
        """All targets, the oldest first."""
        with mapped_errors():
            rows = await self._pool.fetch(_LIST)
        return [replace(_target(row), waiting=row["waiting"], dead=row["dead"]) for row in rows]

    async def target(self, target_id: int) -> Target | None:
        """The target of that number, if there is one."""
        with mapped_errors():
            row = await self._pool.fetchrow(_ONE, target_id)
        return _target(row) if row else None

    async def add(self, new: NewTarget, secret: str) -> Target:
        """The new target, which is sent what happens from now on."""
        sessions, events = _word(new.sessions), _word(new.events)
        with mapped_errors():
            row = await self._pool.fetchrow(
                _ADD, new.url, self._vault.seal(secret), sessions, events, new.mode, new.created_by
            )
        assert row is not None
        return _target(row)

    async def change(self, target_id: int, changes: Mapping[str, Any]) -> Target | None:
        """Changes columns; what waits for sessions that are no longer chosen goes. None if there is none."""
        columns = dict(changes)
        for name in {"sessions", "events"} & columns.keys():
            columns[name] = _word(columns[name])
        if "secret" in columns:
            columns["secret"] = self._vault.seal(columns["secret"])
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                row = await connection.fetchrow(_CHANGE, target_id, columns, FORMER_HOURS)
                if row is not None and "sessions" in columns:
                    await connection.execute(_DROP_UNWANTED, target_id, changes["sessions"])
                if columns.get("mode") == "standard":
                    await connection.execute(_FORGET_RAW)
        return _target(row) if row else None

    async def delete(self, target_id: int) -> bool:
        """Deletes a target with its deliveries; False if there was none."""
        with mapped_errors():
            done: str = await self._pool.execute(
                "DELETE FROM gateway.webhook_targets WHERE id = $1", target_id
            )
            await self._pool.execute(_FORGET_RAW)
        return done != "DELETE 0"

    async def deliveries(
        self, target_id: int, state: State | None, limit: int, before: int | None
    ) -> list[DeliveryRow]:
        """Deliveries below that number, the newest first."""
        with mapped_errors():
            rows = await self._pool.fetch(_DELIVERIES, target_id, state, before, limit)
        return [_delivery(row) for row in rows]

    async def redrive(self, target_id: int, ids: Collection[int] | None) -> int:
        """Makes dead letters due again, all or those, and resumes the target; how many."""
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_LOCK, target_id)
                chosen = None if ids is None else list(ids)
                return int(await connection.fetchval(_REDRIVE, target_id, chosen))

    # ------------------------------------------------------------------------------------------ deliveries

    async def some_session(self) -> int | None:
        """A session whose key and secret are known, to test a target of all sessions with."""
        with mapped_errors():
            found: int | None = await self._pool.fetchval(_SOME_SESSION)
        return found

    async def active(self) -> tuple[list[int], bool]:
        """Numbers of the targets that are not paused, and whether any target is in raw mode."""
        with mapped_errors():
            row = await self._pool.fetchrow(_ACTIVE)
        assert row is not None  # an aggregate has one row
        return list(row["ids"]), row["has_raw"]

    async def secrets(self, target_id: int) -> list[str]:
        """What signs: the newest secret first. Raises ConfigError where GATEWAY_SECRET opens neither."""
        with mapped_errors():
            row = await self._pool.fetchrow(_SECRETS, target_id)
        opened = [self._vault.open(stored) for stored in (row["secret"], row["former"])] if row else []
        return [secret for secret in opened if secret]

    async def pending(self, target_id: int, most: int) -> int:
        """How many deliveries wait in chats that no failure holds up, counted up to `most`.

        `most` also where far more wait in chats that are held up."""
        with mapped_errors():
            waiting = int(await self._pool.fetchval(_WAITING, target_id, HELD_MOST))
            if waiting < most or waiting >= HELD_MOST:
                return min(waiting, most)
            return int(await self._pool.fetchval(_PENDING, target_id, most))

    async def raw_after(self, off: int, limit: int) -> list[Found]:
        """Kept webhooks past that place, in their order."""
        with mapped_errors():
            rows = await self._pool.fetch(_RAW_AFTER, off, limit)
        return [
            Found(row["session"], row["off"], row["uid"], row["session"], row["chat"], row["event"])
            for row in rows
        ]

    async def add_found(self, target: Target, moved: Cursor, found: Sequence[Found]) -> bool:
        """Adds deliveries and moves the cursor; False if the cursor is not the target's any more."""
        columns = zip(*((f.inbox, f.off, f.epoch, f.session_id, f.chat, f.event) for f in found), strict=True)
        lists: list[Any] = [list(column) for column in columns] or [[] for _ in range(6)]
        with mapped_errors():
            is_raw = target.mode == "raw"
            return bool(
                await self._pool.fetchval(_ADD_FOUND, target.id, target.cursor, moved, is_raw, *lists)
            )

    async def due(self, target_id: int, at: float, busy: Collection[int], most: int) -> list[Due]:
        """Deliveries that may begin at that time and are not `busy`: the first of each chat."""
        with mapped_errors():
            rows = await self._pool.fetch(_DUE, target_id, _moment(at), list(busy), most)
        return [_due(row) for row in rows]

    async def end(self, target_id: int, ended: Sequence[Ended], at: float) -> None:
        """Writes what has become of deliveries."""
        with mapped_errors():
            await self._pool.execute(
                _END,
                target_id,
                [item.id for item in ended],
                [item.state for item in ended],
                [item.tries.failures for item in ended],
                [_moment(item.tries.first_failed_at) for item in ended],
                [_moment(item.due_at) for item in ended],
                [item.answer for item in ended],
                _moment(at),
            )

    async def pause(self, target_id: int, reason: str) -> None:
        """Nothing is sent any more until an admin resumes."""
        await self.change(target_id, {"paused_reason": reason})


def _word(chosen: Sequence[Any] | None) -> Any:
    return "*" if chosen is None else list(chosen)


def _chosen(word: Any) -> tuple[Any, ...] | None:
    return None if word == "*" else tuple(word)


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _target(row: asyncpg.Record) -> Target:
    return Target(
        row["id"], row["url"], _chosen(row["sessions"]), _chosen(row["events"]), row["mode"], row["cursor"],
        row["paused_reason"], row["paused_at"], row["delivered_at"], row["created_at"], row["changed_at"],
    )  # fmt: skip


def _delivery(row: asyncpg.Record) -> DeliveryRow:
    named = message_id(row["inbox"], row["epoch"], row["off"], row["event"], is_raw=row["is_raw"])
    return DeliveryRow(
        row["id"], named, row["session"], row["chat"], row["event"], row["state"], row["failures"], row["answer"],
        row["due_at"], row["made_at"], row["ended_at"],
    )  # fmt: skip


def _due(row: asyncpg.Record) -> Due:
    first = row["first_failed_at"]
    tries = Tries(row["failures"], None if first is None else first.timestamp())
    return Due(
        row["id"], row["inbox"], row["off"], row["epoch"], row["session"], row["event"], tries, row["made_at"],
        _event(row), row["is_raw"], _raw(row),
    )  # fmt: skip


def _raw(row: asyncpg.Record) -> RawBody | None:
    return None if row["body"] is None else RawBody(row["body"], tuple(row["key_at"]))


def _event(row: asyncpg.Record) -> Event | None:
    if row["is_raw"] or row["event"] == RESET or not row["is_there"]:
        return None
    return event_of({**dict(row), "at": row["event_at"]})
