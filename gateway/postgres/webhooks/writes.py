"""The changes of a batch of webhooks on their way into one transaction.

Rows are written in the order of their keys, so that two gateways never wait for each other crosswise.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import asyncpg

from gateway.domain.message import (
    CallAnswered,
    CallEnded,
    CodeReported,
    DeliveryMoved,
    DeliveryState,
    MessageDeleted,
    MessageEdited,
    MessageReacted,
    MessageReceived,
    MessageSent,
    Origin,
    PeopleTold,
    PollCounted,
    Reading,
    Sealed,
    SendRefused,
    StatusReported,
)
from gateway.postgres.connection.clock import DatabaseClock
from gateway.postgres.connection.driver import Connection
from gateway.postgres.contacts.columns import contact_columns
from gateway.postgres.sending.evidence import hold_echoes, note_written, settle_chat
from gateway.postgres.sending.failures import note_failure, note_restriction
from gateway.postgres.sessions.link_attempts import write_codes
from gateway.postgres.sessions.statuses import Known, Said, known_statuses, write_statuses
from gateway.postgres.webhooks import statements as sql
from gateway.postgres.webhooks.columns import received_columns, sent_columns
from gateway.postgres.webhooks.moves import write_early_moves, write_moves
from gateway.postgres.webhooks.polls import write_polls
from gateway.services.webhooks.batch import InboundWebhook, Outcome

T = TypeVar("T")

Amendment = MessageEdited | MessageDeleted | MessageReacted

Unseal = Callable[[Sealed, Any, Sequence[str], Sequence[str]], str | None]
"""Opens an encrypted change with the webhook of its message, and the addresses of that message's author and of the
author of the change. Returns the new text, or the emoji; None where it cannot be opened."""

_SAYS_NOTHING_NEW = {
    "older": "a later one is known",
    "sealed": "only the phone can read it",
}
_REFUSED = "only the author may do this, and it came from another"
_UNLINKED = "it counts as soon as the two addresses turn out to be one person's"

FRESH = timedelta(seconds=120)
"""How old a status may be by its own time and still be news: upstream has another clock, and writes whole seconds."""

SKEW = timedelta(seconds=30)
"""How much older than an answer of upstream a status must be, by its own time, to be taken for old."""


class Batch:
    """Writes the changes, and remembers which deliveries changed anything."""

    def __init__(
        self,
        connection: Connection,
        batch: Sequence[InboundWebhook],
        clock: DatabaseClock,
        lock_timeout: str,
        unseal: Unseal,
    ) -> None:
        """`lock_timeout` is how long the writer waits for a row that another transaction holds, as Postgres
        reads it."""
        self._unseal = unseal
        self._connection = connection
        self._lock_timeout = lock_timeout
        self._clock = clock
        self._batch = batch
        self._places: dict[int, int] = {}
        self._stored: set[int] = set()
        self._refused: set[int] = set()
        self._idle: dict[int, str] = {}
        """Webhooks with a change that there was nothing to do for, and why."""
        self._notes: dict[int, str] = {}
        """What the journal says besides, also of those that were stored: their body is kept."""
        self.sealed: list[Any] = []
        """Encrypted changes that had waited for a message of this batch."""
        self.has_left_early = False
        """Whether a change waits for its message, which another process may be writing right now."""

    async def write_changes(self) -> None:
        """Writes everything the batch says, in the order in which locks are safe to take."""
        # Sessions before messages, as at commit: one order of locks everywhere.
        await self._write_session_changes()
        await self._write_contacts()
        await self._write_received()
        await self._write_sent()
        await self._write_refused()
        await self._write_amendments()
        await self._write_polls()
        await self._write_moves()

    def outcome_of(self, number: int) -> Outcome:
        """What became of the webhook at this place of the batch."""
        if number in self._stored:
            return "stored"
        if number in self._refused:
            return "refused"
        outcome = outcome_of_nothing(self._batch[number].reading)
        is_idle = number in self._idle or number in self._notes
        return "ignored" if outcome == "duplicate" and is_idle else outcome

    def reason_of(self, number: int) -> str | None:
        """Why nothing, or not all, was stored of the webhook at this place; None if there is no reason."""
        reasons = [self._batch[number].reading.reason]
        if number in self._refused:
            reasons.append(_REFUSED)
        reasons.append(self._notes.get(number))
        if number not in self._stored:
            reasons.append(self._idle.get(number))
        return "; ".join(filter(None, reasons)) or None

    def _each(self, kind: type[T]) -> list[tuple[int, int, T]]:
        return each(self._batch, kind)

    # ------------------------------------------------------------------------------------------ sessions

    async def _write_session_changes(self) -> None:
        # One statement for all sessions. What the same session says twice is written twice, in its order.
        for reports in _rounds(self._each(StatusReported)):
            known = await known_statuses(self._connection, [session_id for _, session_id, _ in reports])
            said = []
            for number, session_id, report in reports:
                came = await self._came(number)
                if doubt := _doubt(report, known.get(session_id)):
                    self._idle[number] = doubt
                else:
                    said.append((number, _said(session_id, report, came)))
            heard = await write_statuses(self._connection, [item for _, item in said], "webhook")
            for number, item in said:
                self._note_age(number, heard[item.session_id].is_old)
        for brought in _rounds(self._each(CodeReported)):
            codes = {
                session_id: (report.code, await self._came(number)) for number, session_id, report in brought
            }
            await write_codes(self._connection, codes)
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

    async def _write_contacts(self) -> None:
        found = self._each(PeopleTold)
        if found:
            told = [(session_id, item.facts) for _, session_id, item in found]
            await self._connection.execute(sql.TELL_PEOPLE, *contact_columns(told))
            # What a change names besides its message is no answer to what became of the change.
            self._stored.update(number for number, _, _ in found if self._is_of_people(number))

    def _is_of_people(self, number: int) -> bool:
        return all(isinstance(change, PeopleTold) for change in self._batch[number].reading.changes)

    async def _write_received(self) -> None:
        found = [*self._each(MessageReceived), *await self._missed_calls()]
        if found:
            columns = received_columns(found, self._turns)
            (written,) = await self._connection.fetch(sql.RECEIVE, self._lock_timeout, *columns)
            self._note_written(written)

    async def _missed_calls(self) -> list[tuple[int, int, MessageReceived]]:
        """Of the calls that are over, those that were not answered."""
        answered = self._each(CallAnswered)
        if answered:
            keys = [session_id for _, session_id, _ in answered], [call.key_id for _, _, call in answered]
            await self._connection.execute(sql.ANSWERED, *keys, [call.at for _, _, call in answered])
            self._idle.update((number, "a call that was answered") for number, _, _ in answered)
        ended = self._each(CallEnded)
        if not ended:
            return []
        keys = [session_id for _, session_id, _ in ended], [call.key_id for _, _, call in ended]
        rows = await self._connection.fetch(sql.WAS_ANSWERED, *keys)
        done = {(row["session"], row["key"]) for row in rows}
        self._idle.update(
            (number, "a call that was answered")
            for number, session_id, call in ended
            if (session_id, call.key_id) in done
        )
        return [
            (number, session_id, call.missed)
            for number, session_id, call in ended
            if (session_id, call.key_id) not in done
        ]

    async def _write_sent(self) -> None:
        """Own messages: what may be one that the gateway has sent is held until it is clear whose it is."""
        said = self._each(MessageSent)
        if not said:
            return
        came = [await self._came(number) for number, _, _ in said]
        others, chats = await hold_echoes(self._connection, said, came)
        self._stored.update(said[place][0] for place in set(range(len(said))) - set(others))
        await self._write_as_rows([said[place] for place in others])
        for session_id, chat in sorted(chats):
            await settle_chat(self._connection, session_id, chat)

    async def _write_as_rows(self, found: Sequence[tuple[int, int, MessageSent]]) -> None:
        if not found:
            return
        (written,) = await self._connection.fetch(
            sql.SEND, self._lock_timeout, *sent_columns(found, self._turns)
        )
        self._note_written(written)
        for place in {place for place, item in enumerate(found) if item[2].is_named} | {
            place - 1 for place in written["fresh"]
        }:
            _, session_id, item = found[place]
            await note_written(self._connection, session_id, item.key_id, is_named=item.is_named)
        fresh = [found[place - 1] for place in written["fresh"]]
        if not fresh:
            return
        early = await self._connection.fetch(
            sql.TAKE_EARLY, [session_id for _, session_id, _ in fresh], [item.key_id for _, _, item in fresh]
        )
        await write_early_moves(self._connection, early)

    async def _write_refused(self) -> None:
        for number, session_id, refused in self._each(SendRefused):
            if await note_failure(self._connection, session_id, refused):
                self._stored.add(number)
            else:
                self._idle[number] = f"not sent: {refused.error}"

    def _note_written(self, written: asyncpg.Record) -> None:
        self._stored.update(written["stored"])
        for number in written["other"]:
            self._notes[number] = OTHER_CONTENT
        self.sealed += written["sealed"] or []

    async def _write_amendments(self) -> None:
        found = [
            (number, item.session_id, change)
            for number, item in enumerate(self._batch)
            for change in item.reading.changes
            if isinstance(change, MessageEdited | MessageDeleted | MessageReacted)
        ]
        if not found:
            return
        items = [(session_id, change) for _, session_id, change in found]
        opened = await open_sealed(self._connection, items, self._unseal)
        verdicts = await write_amendments(self._connection, self._lock_timeout, opened)
        for (number, _, _), verdict in zip(found, verdicts, strict=True):
            if verdict in ("stored", "early"):
                self._stored.add(number)
                if verdict == "early":  # it may never come, and what waits is forgotten after a week
                    self.has_left_early = True
                    self._notes[number] = "it waits for the message it is about"
            elif verdict in ("refused", "unlinked"):
                self._refuse(number, verdict)
            elif verdict in _SAYS_NOTHING_NEW:
                self._idle[number] = _SAYS_NOTHING_NEW[verdict]

    async def _write_polls(self) -> None:
        counted = sorted(self._each(PollCounted), key=lambda item: (item[1], item[2].key_id, item[2].at))
        items = [(session_id, count) for _, session_id, count in counted]
        for (number, _, _), is_there in zip(counted, await write_polls(self._connection, items), strict=True):
            if is_there:
                self._stored.add(number)
            else:
                self._idle[number] = "its poll is not known"

    async def _write_moves(self) -> None:
        moves = sorted(self._each(DeliveryMoved), key=lambda item: (item[1], item[2].key_id, item[2].state))
        for number, _, move in moves:
            if move.state is DeliveryState.QUEUED:
                # Upstream's "pending". Our `queued` means "to be sent by us": written here, it would send twice.
                self._idle[number] = "it waits to be sent"
        told = [item for item in moves if item[2].state is not DeliveryState.QUEUED]
        items = [(session_id, move) for _, session_id, move in told]
        verdicts = await write_moves(self._connection, items, may_wait=True)
        for (number, session_id, move), verdict in zip(told, verdicts, strict=True):
            if verdict in ("moved", "early"):
                self._stored.add(number)
                self.has_left_early |= verdict == "early"
                if move.is_restriction:
                    await note_restriction(self._connection, session_id, move.at)
            elif verdict in ("elsewhere", "unlinked"):
                self._refuse(number, verdict)
            elif verdict == "theirs":
                self._idle[number] = "the state of an incoming message"

    def _refuse(self, number: int, verdict: str) -> None:
        self._refused.add(number)
        if verdict == "unlinked":
            self._notes[number] = _UNLINKED

    @property
    def _turns(self) -> dict[int, int]:
        """The place of each change of the batch in the order of arrival, by its identity."""
        if not self._places:
            changes = [change for item in self._batch for change in item.reading.changes]
            said = [change.missed if isinstance(change, CallEnded) else change for change in changes]
            self._places = {id(change): place for place, change in enumerate(said)}
        return self._places


OTHER_CONTENT = "a message with this id is here already, and this is another content"


async def open_sealed(
    connection: Connection, items: Sequence[tuple[int, Amendment]], unseal: Unseal
) -> list[tuple[int, Amendment]]:
    """The changes with those opened that the stored messages have the secrets for."""
    places = [place for place, (_, change) in enumerate(items) if getattr(change, "sealed", None) is not None]
    if not places:
        return list(items)
    keys = [items[place][0] for place in places], [items[place][1].key_id for place in places]
    authors = [items[place][1].by.address for place in places]
    opened = list(items)
    for row in await connection.fetch(sql.ORIGINALS, *keys, authors):
        place = places[row["place"] - 1]
        session_id, change = opened[place]
        if isinstance(change, MessageDeleted) or change.sealed is None:
            continue
        own = row["own"] or []
        author = own if row["is_mine"] else row["author"] or []
        changer = own if change.by.is_me else [*(row["changer"] or []), *filter(None, [change.by.lid])]
        text = unseal(change.sealed, row["raw"], author, changer)
        if text is not None:
            opened[place] = session_id, _opened(change, text)
    return opened


def _opened(change: MessageEdited | MessageReacted, text: str) -> MessageEdited | MessageReacted:
    if isinstance(change, MessageEdited):
        return replace(change, text=text, sealed=None)
    return replace(change, emoji=text, sealed=None)


async def write_amendments(
    connection: Connection, lock_timeout: str, items: Sequence[tuple[int, Amendment]]
) -> list[str]:
    """What became of each: stored, early, unlinked, same, older, sealed or refused."""
    verdicts: list[str] = await connection.fetchval(
        sql.AMEND,
        lock_timeout,
        [session_id for session_id, _ in items],
        [change.key_id for _, change in items],
        [change.at for _, change in items],
        [amendment_data(change) for _, change in items],
    )
    return verdicts


async def forget_sealed(connection: Connection, items: Sequence[tuple[int, Amendment]]) -> None:
    """Ends the wait of sealed changes that were opened, or cannot be."""
    await connection.execute(
        sql.FORGET_SEALED,
        [session_id for session_id, _ in items],
        [change.key_id for _, change in items],
        ["edit" if isinstance(change, MessageEdited) else "reaction" for _, change in items],
        [change.at for _, change in items],
    )


def amendment_data(change: Amendment) -> dict[str, Any]:
    """As `gateway.amend_one_v1` takes it, and as it waits for its message."""
    data = _author_data(change.by)
    match change:
        case MessageEdited():
            data |= {"kind": "edit", "text": change.text, "is_content": change.is_content}
            return data | _sealed_data(change.sealed)
        case MessageReacted():
            data |= {"kind": "reaction", "text": change.emoji, "name": change.name}
            return data | _sealed_data(change.sealed)
        case MessageDeleted():
            return data | {"kind": "delete"}


def _author_data(by: Origin) -> dict[str, Any]:
    return {"chat": by.chat, "address": by.address, "lid": by.lid, "is_me": by.is_me, "is_named": by.is_named}


def _sealed_data(sealed: Sealed | None) -> dict[str, Any]:
    return {} if sealed is None else {"is_sealed": True, "element": sealed.element}


def amendment_of(waited: dict[str, Any]) -> tuple[int, MessageEdited | MessageReacted]:
    """A sealed change as `gateway.take_early_v1` returns it."""
    data = waited["change"]
    by = Origin(data["chat"], data["address"], data["lid"], data["is_me"], data["is_named"])
    at = datetime.fromisoformat(waited["at"])
    if data["kind"] == "edit":
        return waited["session"], MessageEdited(waited["key"], None, at, by, Sealed(data["element"], "edit"))
    return waited["session"], MessageReacted(
        waited["key"], "", at, by, data.get("name"), Sealed(data["element"], "reaction")
    )


def _said(session_id: int, report: StatusReported, came: datetime) -> Said:
    if not report.has_time:
        return Said(session_id, report.status, came, report.reason)
    is_fresh = abs(came - report.at) <= FRESH
    # A clock that is far ahead of ours would keep out everything that follows.
    own = min(report.at, came + FRESH)
    return Said(session_id, report.status, came if is_fresh else min(came, report.at), report.reason, own)


def _doubt(report: StatusReported, known: Known | None) -> str | None:
    """Why a status that contradicts what is known does not count by itself; None where it does."""
    if known is None or known.status == report.status:
        return None
    if not report.has_time:
        return "it does not say when that was: upstream is asked"
    is_answer = known.checked_at is not None and known.source in ("poll", "probe", "api")
    if is_answer and known.checked_at is not None and report.at < known.checked_at - SKEW:
        return "something newer was known"
    return None


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
