"""What is true in the end: the tables. What browsers show must be exactly that."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from tests.faults.browser import Browser, RowKey
from tests.faults.ledger import Ledger

_STREAM = """
SELECT inbox, off,
    CASE
        WHEN op <> 'UPDATE' THEN op
        WHEN old -> 'changed' ? 'deleted_at' AND record ->> 'deleted_at' IS NOT NULL THEN 'DELETE'
        WHEN tbl = 'whatsapp_outgoing_messages' AND old -> 'changed' ? 'status' AND (old -> 'changed') <@ $1::jsonb
            THEN 'STATUS'
        ELSE op
    END AS op,
    coalesce(record ->> 'message_id', old ->> 'message_id', record ->> 'wa_key_id') AS key
FROM gateway.stream
WHERE inbox >= 0
ORDER BY inbox, off
"""
_ROWS = """
SELECT 'in' AS direction, id::text, message_id, wa_key_id, from_phone AS author, message_text, message_type, is_read,
    gateway.chat_of(chat, from_phone) AS chat, reactions, edited_at IS NOT NULL AS is_edited,
    deleted_at IS NOT NULL AS is_deleted, NULL AS status, gateway.inbox_of(wasender_session_id) AS inbox
FROM whatsapp_incoming_messages
UNION ALL
SELECT 'out', id::text, NULL, wa_key_id, NULL, message_text, message_type, NULL,
    gateway.chat_of(chat, to_phone), reactions, edited_at IS NOT NULL,
    deleted_at IS NOT NULL, status, gateway.inbox_of(wasender_session_id)
FROM whatsapp_outgoing_messages
"""
_TOPS = "SELECT inbox, off, epoch::text FROM gateway.inboxes WHERE inbox >= 0"
_EVENTS = {
    "INSERT": "message.created",
    "DELETE": "message.deleted",
    "UPDATE": "message.updated",
    "STATUS": "message.status",
}
_OF_STATUS = (
    '["status", "status_at", "sent_at", "delivered_at", "read_at", "error", "msg_id", "wa_key_id", "error_code",'
    ' "attempt", "queued_at", "sending_at", "accepted_at", "played_at"]'
)
_COMPARED = ("message_id", "message_text", "message_type", "chat", "reactions", "status", "is_read")


class Staleness:
    """The tables at one moment."""

    def __init__(
        self,
        tops: dict[int, int],
        stream: dict[int, list[tuple[int, str, str]]],
        rows: dict[RowKey, dict[str, Any]],
        statuses: dict[int, str],
        facts: Sequence[Mapping[str, Any]] = (),
        epochs: Mapping[int, str] | None = None,
    ) -> None:
        self.tops = tops
        self.stream = stream
        self.rows = rows
        self.statuses = statuses
        self.facts = facts
        """Rows of both tables, as stories are judged by them."""
        self.epochs = epochs or {}

    def stored(self) -> set[str]:
        """The ids of the messages from customers."""
        return {row["message_id"] for row in self.rows.values() if row["message_id"] is not None}

    def complaints(self, ledger: Ledger) -> list[str]:
        """About the database alone: what is missing, too much, or not in its order."""
        found = ledger.complaints(self.stored())
        for inbox, top in self.tops.items():
            offs = [off for off, _, _ in self.stream.get(inbox, [])]
            if offs != list(range(1, top + 1)):
                found.append(f"the stream of inbox {inbox} has gaps: top {top}, {len(offs)} events")
        created = {
            key: (inbox, off)
            for inbox, events in self.stream.items()
            for off, event, key in events
            if event == "message.created"
        }
        for chain in ledger.chains:
            places = [created[key] for key in chain if key in created]
            for inbox in {inbox for inbox, _ in places}:
                offs = [off for where, off in places if where == inbox]
                if offs != sorted(offs):
                    found.append(f"inbox {inbox}: not in the order in which they were acknowledged: {chain}")
        return found

    def complaints_about(
        self, browser: Browser, inboxes: Sequence[int], *, rows: bool, restores: int = 0
    ) -> list[str]:
        """What a browser shows that is not so. `rows`: it has followed from the beginning, or loaded anew.

        `restores` is how often each inbox may be reset, each time into another history.
        """
        found = [*browser.complaints]
        found += [
            f"{browser.name}: an unexpected reset {frame}" for frame in _unexpected(browser.resets, restores)
        ]
        found += [
            f"{browser.name}: inbox {inbox} is of the history {epoch}, and it is {self.epochs[inbox]}"
            for inbox, epoch in browser.epochs.items()
            if self.epochs.get(inbox, epoch) != epoch
        ]
        for inbox in inboxes:
            start = browser.starts.get(inbox, 0)
            true = [event for event in self.stream.get(inbox, []) if event[0] > start]
            shown = [(item.off, item.event, item.key) for item in browser.shown.get(inbox, [])]
            if shown != true:
                found.append(f"{browser.name}: inbox {inbox} shows {_difference(shown, true)}")
        if rows:
            expected = {key: row for key, row in self.rows.items() if key[0] in inboxes}
            shown_rows = {
                key: {name: row.get(name) for name in _COMPARED} for key, row in browser.rows.items()
            }
            if shown_rows != expected:
                wrong = sorted(
                    key
                    for key in expected.keys() | shown_rows.keys()
                    if expected.get(key) != shown_rows.get(key)
                )
                found.append(f"{browser.name}: {len(wrong)} rows differ from the table's: {wrong[:5]}")
                found.append(f"{shown_rows.get(wrong[0])} where {expected.get(wrong[0])} is right")
        return found

    def complaints_about_states(self, browser: Browser) -> list[str]:
        shown = {number: frame["data"]["status"] for number, frame in browser.sessions.items()}
        return [] if shown == self.statuses else [f"{browser.name}: shows {shown}, and it is {self.statuses}"]

    def is_shown_by(self, browser: Browser, inboxes: Sequence[int]) -> bool:
        """Whether the browser has come as far as there is something, and has loaded what was reset."""
        return (
            browser.is_subscribed
            and not browser.unloaded
            and all(browser.offs.get(inbox, 0) >= self.tops.get(inbox, 0) for inbox in inboxes)
        )


async def look(connection: asyncpg.Connection) -> Staleness:
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        return await read(connection)


async def read(connection: asyncpg.Connection) -> Staleness:
    """The same within a transaction of the caller's."""
    extents = await connection.fetch(_TOPS)
    stream: dict[int, list[tuple[int, str, str]]] = {}
    for row in await connection.fetch(_STREAM, _OF_STATUS):
        stream.setdefault(row["inbox"], []).append((row["off"], _EVENTS[row["op"]], str(row["key"])))
    found = [_plain(row) for row in await connection.fetch(_ROWS)]
    rows = {
        (row["inbox"], row["direction"], row["id"]): {name: row[name] for name in _COMPARED} for row in found
    }
    statuses = {
        row["wasender_session_id"]: row["status"]
        for row in await connection.fetch("SELECT wasender_session_id, status FROM whatsapp_sessions")
    }
    tops = {row["inbox"]: row["off"] for row in extents}
    return Staleness(tops, stream, rows, statuses, found, {row["inbox"]: row["epoch"] for row in extents})


def _unexpected(resets: Sequence[Mapping[str, Any]], restores: int) -> list[Mapping[str, Any]]:
    """Those that no restore explains.

    The Python client says `epoch_unknown` by itself, where it was cut off before it was told the epoch.
    """
    counted: Counter[str] = Counter()
    found, seen = [], set()
    for frame in resets:
        if frame["reason"] == "epoch_unknown":
            continue
        counted[frame["topic"]] += 1
        again = (frame["topic"], frame["epoch"]) in seen
        seen.add((frame["topic"], frame["epoch"]))
        if again or counted[frame["topic"]] > restores or frame["reason"] != "epoch_changed":
            found.append(frame)
    return found


def _plain(row: asyncpg.Record) -> dict[str, Any]:
    reactions = row["reactions"]
    return {**row, "reactions": None if reactions is None else json.loads(reactions)}


def _difference(shown: list[Any], true: list[Any]) -> str:
    for number, (one, other) in enumerate(zip(shown, true, strict=False)):
        if one != other:
            return f"{one} where {other} is right (place {number} of {len(true)})"
    return f"{len(shown)} events of {len(true)}"
