"""The changes of a batch of webhooks on their way into one transaction.

Rows are written in the order of their keys, so that two gateways never wait for each other crosswise.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import asyncpg

from gateway.domain.linking import CODE_LIFE_S
from gateway.domain.message import (
    OUTGOING_TABLE,
    CodeReported,
    DeliveryMoved,
    DeliveryState,
    MessageDeleted,
    MessageEdited,
    MessageReceived,
    MessageSent,
    Reading,
    StatusReported,
    is_lid,
    overwritten_by,
)
from gateway.postgres.connection.clock import DatabaseClock
from gateway.postgres.delivery_addresses import sent_to
from gateway.postgres.sessions.link_attempts import write_codes
from gateway.postgres.sessions.statuses import Said, write_statuses
from gateway.postgres.webhooks import statements as sql
from gateway.services.webhooks.batch import InboundWebhook, Outcome

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy

T = TypeVar("T")


class Batch:
    """Writes the changes, and remembers which deliveries changed anything."""

    def __init__(
        self, connection: Connection, batch: Sequence[InboundWebhook], clock: DatabaseClock, lock_timeout: str
    ) -> None:
        """`lock_timeout` is how long a row may be waited for that somebody else holds, as Postgres reads it."""
        self._connection = connection
        self._lock_timeout = lock_timeout
        self._clock = clock
        self._batch = batch
        self._stored: set[int] = set()
        self._idle: dict[int, str] = {}
        """Deliveries with a change that there was nothing to do for, and why."""

    async def write_changes(self) -> None:
        """Writes everything the batch says, in the order in which locks are safe to take."""
        # Sessions before messages, as at commit: one order of locks everywhere.
        await self._write_session_changes()
        await self._write_received()
        await self._write_sent()
        await self._write_edits()
        await self._write_moves()

    def outcome_of(self, number: int) -> Outcome:
        """What became of the webhook at this place of the batch."""
        if number in self._stored:
            return "stored"
        outcome = outcome_of_nothing(self._batch[number].reading)
        return "ignored" if outcome == "duplicate" and number in self._idle else outcome

    def reason_of(self, number: int) -> str | None:
        """Why nothing, or not all, was stored of the webhook at this place; None if there is no reason."""
        reason = self._batch[number].reading.reason
        if number in self._stored:
            return reason
        return "; ".join(filter(None, [reason, self._idle.get(number)])) or None

    def _each(self, kind: type[T]) -> list[tuple[int, int, T]]:
        return each(self._batch, kind)

    # ------------------------------------------------------------------------------------------ sessions

    async def _write_session_changes(self) -> None:
        # One statement for all sessions. What the same session says twice is written twice, in its order.
        for reports in _rounds(self._each(StatusReported)):
            said = [
                Said(session_id, report.status, await self._came(number), report.reason)
                for number, session_id, report in reports
            ]
            heard = await write_statuses(self._connection, said, "webhook")
            for number, session_id, _ in reports:
                self._note_age(number, heard[session_id].is_old)
        for brought in _rounds(self._each(CodeReported)):
            codes = {
                session_id: (report.code, await self._came(number)) for number, session_id, report in brought
            }
            await write_codes(self._connection, codes, CODE_LIFE_S)
            self._stored.update(number for number, _, _ in brought)

    async def _came(self, number: int) -> datetime:
        """When the webhook came, by Postgres' clock: it may have waited since, for a row or for Postgres."""
        return await self._clock.when(self._connection, self._batch[number].received_at.timestamp())

    def _note_age(self, number: int, is_old: bool) -> None:
        if is_old:
            self._idle[number] = "something newer was known"
        else:
            self._stored.add(number)

    # ------------------------------------------------------------------------------------------ messages

    async def _phones_behind(self, addresses: Iterable[str]) -> dict[str, str]:
        """The numbers behind those of the addresses that are LIDs we know."""
        lids = sorted({address for address in addresses if is_lid(address)})
        if not lids:
            return {}
        return {row["lid"]: row["phone"] for row in await self._connection.fetch(sql.KNOWN_LIDS, lids)}

    async def _sent(self) -> list[tuple[int, int, MessageSent]]:
        found = self._each(MessageSent)
        known = await self._phones_behind(item.to_phone for _, _, item in found)
        return [
            (number, session_id, sent_to(item, known.get(item.to_phone)))
            for number, session_id, item in found
        ]

    async def _write_received(self) -> None:
        found = self._each(MessageReceived)
        if found:
            written = await self._connection.fetchval(
                sql.RECEIVE, self._lock_timeout, *received_columns(found)
            )
            self._stored.update(written)

    async def _write_sent(self) -> None:
        sent = {(session_id, item.key_id): (number, item) for number, session_id, item in await self._sent()}
        if not sent:
            return
        items = [item for _, item in sent.values()]
        written = await self._connection.fetch(
            sql.SENT,
            [item.key_id for item in items],
            [session_id for session_id, _ in sent],
            [item.chat for item in items],
            [item.to_phone for item in items],
            [item.text for item in items],
            [item.type for item in items],
            [item.media_url for item in items],
            [item.sent_at for item in items],
            [item.raw for item in items],
        )
        new = {(row["wasender_session_id"], row["wa_key_id"]) for row in written}
        if not new:
            return
        self._stored.update(sent[key][0] for key in new)
        keys = [f"wa:{session_id}:{key}" for session_id, key in sent if (session_id, key) in new]
        if len(keys) > 1:
            await self._connection.execute(sql.IN_ARRIVAL, OUTGOING_TABLE, "client_id", keys)
        await self._connection.execute(
            sql.MARK_REPLIED,
            [session_id for session_id, _ in new],
            [sent[key][1].chat for key in new],
            [sent[key][1].sent_at for key in new],
        )
        early = await self._connection.fetch(
            sql.TAKE_EARLY, [session_id for session_id, _ in new], [key for _, key in new]
        )
        for row in early:
            state = DeliveryState(row["state"])
            await self._move(row["wasender_session_id"], row["wa_key_id"], state, row["at"], row["error"])

    async def _write_edits(self) -> None:
        for number, session_id, edit in self._each(MessageEdited):
            arguments = (edit.key_id, session_id, edit.text, edit.at)
            await self._first_match(number, (sql.EDIT_INCOMING, sql.EDIT_OUTGOING), arguments)
        for number, session_id, deletion in self._each(MessageDeleted):
            gone = (deletion.key_id, session_id, deletion.at)
            await self._first_match(number, (sql.DELETE_INCOMING, sql.DELETE_OUTGOING), gone)

    async def _first_match(self, number: int, statements: Sequence[str], arguments: Sequence[object]) -> None:
        for statement in statements:
            if _count(await self._connection.execute(statement, *arguments)):
                self._stored.add(number)
                return
        if not await self._connection.fetchval(sql.IS_KNOWN, *arguments[:2]):
            self._idle[number] = "about a message that is not here"

    async def _write_moves(self) -> None:
        moves = sorted(self._each(DeliveryMoved), key=lambda item: (item[1], item[2].key_id, item[2].state))
        for number, session_id, move in moves:
            if move.state is DeliveryState.QUEUED:
                # Upstream's "pending". Our `queued` means "to be sent by us": written here, it would send twice.
                self._idle[number] = "it waits to be sent"
                continue
            if await self._move(session_id, move.key_id, move.state, move.at, move.error):
                self._stored.add(number)
                continue
            weaker = [int(DeliveryState[word.upper()]) for word in overwritten_by(move.state)]
            failed = int(DeliveryState.FAILED)
            early = (move.key_id, session_id, int(move.state), move.at, move.error, weaker, failed)
            if _count(await self._connection.execute(sql.EARLY, *early)):
                self._stored.add(number)

    async def _move(
        self, session_id: int, key_id: str, state: DeliveryState, at: datetime, error: str | None
    ) -> bool:
        done = await self._connection.execute(
            sql.MOVE, key_id, session_id, state.word, at, error, overwritten_by(state)
        )
        return _count(done) > 0


def each(batch: Sequence[InboundWebhook], kind: type[T]) -> list[tuple[int, int, T]]:
    """Number of the delivery, session and change, for all changes of a kind."""
    return [
        (number, item.session_id, change)
        for number, item in enumerate(batch)
        for change in item.reading.changes
        if isinstance(change, kind)
    ]


def is_all_messages(batch: Sequence[InboundWebhook]) -> bool:
    """Whether there is nothing to write but messages from customers."""
    return all(isinstance(change, MessageReceived) for item in batch for change in item.reading.changes)


def received_columns(found: Sequence[tuple[int, int, MessageReceived]]) -> list[list[Any]]:
    """What `gateway.receive_v1` takes, behind its patience."""
    messages = [message for _, _, message in found]
    return [
        [number for number, _, _ in found],
        [item.key_id for item in messages],
        [session_id for _, session_id, _ in found],
        [item.chat for item in messages],
        [item.from_phone for item in messages],
        [item.sender_lid for item in messages],
        [item.push_name for item in messages],
        [item.text for item in messages],
        [item.type for item in messages],
        [item.media_url for item in messages],
        [item.received_at for item in messages],
        [item.raw for item in messages],
    ]


def outcome_of_nothing(reading: Reading) -> Outcome:
    """What became of a webhook that has changed nothing."""
    if not reading.known:
        return "unknown"
    return "duplicate" if reading.changes else "ignored"


def _rounds(changes: list[tuple[int, int, T]]) -> list[list[tuple[int, int, T]]]:
    """The first change of each session, the second of each, and so on; each round in the order of the sessions."""
    rounds: list[list[tuple[int, int, T]]] = []
    taken: dict[int, int] = {}
    for change in sorted(changes, key=lambda item: (item[1], item[0])):
        turn = taken[change[1]] = taken.get(change[1], -1) + 1
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(change)
    return rounds


def _count(status: str) -> int:
    """Rows touched, from Postgres' command tag ("UPDATE 3", "INSERT 0 1")."""
    return int(status.rpartition(" ")[2])
