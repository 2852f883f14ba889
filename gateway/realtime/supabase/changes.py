"""Events as `postgres_changes` frames: one encoder per version, channel topic and set of bindings.

Channels that asked for the same share the encoder, and with it the frames. What two encoders have in common of an
event (`data`, by far the most of a frame) is made once, too.
"""

import weakref
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import orjson

from gateway.domain.streams import Event
from gateway.realtime.supabase.bindings import Binding
from gateway.realtime.supabase.tables import HIDDEN, KEY, SESSIONS_TABLE, Table
from gateway.realtime.transport.framing import MAX_FRAME_BYTES, Frame

MAX_VALUE_BYTES = 64 * 1024
_OPERATIONS = ("INSERT", "UPDATE", "DELETE")
TOO_LARGE = "Error 413: Payload Too Large"
UNTOLD = 'Error 422: The value of "{name}" cannot be told'

_CACHE_BYTES = 8 * 1024 * 1024
_ROOM_BYTES = 8 * 1024
"""Of a frame, for everything but the row: topic, ids and columns."""


class Encoders:
    """Gives channels that ask for the same the same encoder; lives as long as the gateway."""

    def __init__(self) -> None:
        self._interned: weakref.WeakValueDictionary[Any, ChannelEncoder] = weakref.WeakValueDictionary()
        self._cache = _DataCache()

    def encoder(
        self, version: int, topic: str, bindings: tuple[Binding, ...], sessions: frozenset[int] | None = None
    ) -> "ChannelEncoder":
        """`sessions` are those whose rows of whatsapp_sessions may be seen; None = all."""
        # A table whose columns have changed is another one, with a serial of its own.
        asked = tuple((item.id, item.event, item.table.serial, item.select) for item in bindings)
        key = (version, topic, asked, sessions)
        found = self._interned.get(key)
        if found is None:
            found = self._interned[key] = ChannelEncoder(version, topic, bindings, sessions, self._cache)
        return found


class ChannelEncoder:
    """What the hub calls for each event."""

    def __init__(
        self,
        version: int,
        topic: str,
        bindings: tuple[Binding, ...],
        sessions: frozenset[int] | None,
        cache: "_DataCache",
    ) -> None:
        name = orjson.dumps(topic)
        if version == 2:
            self._head = b"[null,null," + name + b',"postgres_changes",{"ids":'
            self._end = b"}]"
        else:
            self._head = b'{"topic":' + name + b',"event":"postgres_changes","payload":{"ids":'
            self._end = b'},"ref":null}'
        self._sessions = sessions
        self._cache = cache
        # A crowd of clients with a filter each is a crowd of encoders: what can be known before is.
        self._groups: dict[tuple[str, str], dict[frozenset[str] | None, list[Binding]]] = {}
        for binding in bindings:
            for operation in filter(binding.listens_to, _OPERATIONS):
                groups = self._groups.setdefault((binding.table.name, operation), {})
                same = groups.setdefault(binding.select, [])
                if all(binding.id != other.id for other in same):  # asked for twice, it is answered once
                    same.append(binding)

    def __call__(self, event: Event) -> tuple[Frame, ...]:
        """One frame; none if no binding matches; several if bindings that match chose different columns."""
        groups = self._groups.get((event.table, event.operation))
        if groups is None:
            return ()
        row = event.record if event.record is not None else _left_of(event)
        if self._sessions is not None and not self._may_see(event.table, row):
            return ()
        before = event.row_before
        shows_old = before is None or self._sessions is None or self._may_see(event.table, before)
        frames: list[Frame] = []
        for select, bindings in groups.items():
            matching = [item.id for item in bindings if item.matches(row)]
            if matching:
                ids = sorted(set(matching))
                data = self._cache.data(event, bindings[0].table, select, with_old=shows_old)
                text = self._head + orjson.dumps(ids) + b',"data":' + data + self._end
                frames.append(Frame(text, event.comes_after))
        return tuple(frames)

    def _may_see(self, table: str, row: dict[str, Any]) -> bool:
        return table != SESSIONS_TABLE or row.get("wasender_session_id") in (self._sessions or ())


def _left_of(event: Event) -> dict[str, Any]:
    """What is still known of a deleted row, for filters to look at."""
    if event.row_before is not None:
        return event.row_before
    known = {name: value for name, value in event.old.items() if name != "changed"}
    if event.inbox >= 0:
        known["wasender_session_id"] = event.inbox or None
    return known


class _DataCache:
    """`data` of the newest events, ready as JSON."""

    def __init__(self) -> None:
        self._made: OrderedDict[Any, bytes] = OrderedDict()
        self._bytes = 0

    def data(self, event: Event, table: Table, select: frozenset[str] | None, *, with_old: bool) -> bytes:
        # The commit time tells an offset of one history from the same offset of another.
        key = (event.inbox, event.off, event.at, table.serial, select, with_old)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = data_of(event, table, select, with_old=with_old)
            self._bytes += len(found)
            while self._bytes > _CACHE_BYTES:
                self._bytes -= len(self._made.popitem(last=False)[1])
        return found


def data_of(event: Event, table: Table, select: frozenset[str] | None, *, with_old: bool = True) -> bytes:
    """`data` of a change in the original's order of keys. Values that are too long are left out, and it says so.

    Without `with_old` no more of the old row is shown than its key."""
    parts: dict[str, Any] = {
        "schema": table.schema,
        "table": event.table,
        "commit_timestamp": event.at[:23] + "Z",
        "type": event.operation,
        "columns": orjson.Fragment(table.columns_json(select)),
    }
    room = MAX_FRAME_BYTES - _ROOM_BYTES
    is_whole = is_old_whole = True
    untold: list[str] = []
    if event.record is not None:
        shown = _shown(event.record, table, select)
        record, is_whole = _fitting(shown, room)
        parts["record"] = orjson.Fragment(record)
        room -= len(record)
        # No column has an empty name: there the store lists what it could not read.
        untold = [name for name in event.record.get("") or () if name in shown]
    if event.operation != "INSERT":
        old: dict[str, Any] = {KEY: event.old.get(KEY)}
        if event.row_before is not None and with_old:
            old |= _shown(event.row_before, table, select)
        old_record, is_old_whole = _fitting(old, room)
        parts["old_record"] = orjson.Fragment(old_record)
    errors = [] if is_whole and is_old_whole else [TOO_LARGE]
    parts["errors"] = [*errors, *(UNTOLD.format(name=name) for name in untold)] or None
    return orjson.dumps(parts)


def _shown(record: dict[str, Any], table: Table, select: frozenset[str] | None) -> dict[str, Any]:
    """The row in the order of its columns; a column added a moment ago comes last."""
    names: Iterable[str] = (*table.types, *(record.keys() - table.types.keys()))
    return {
        name: record[name]
        for name in names
        if name and name in record and name not in HIDDEN and (select is None or name in select)
    }


def _fitting(record: dict[str, Any], room: int) -> tuple[bytes, bool]:
    """The row as JSON of at most so many bytes, and whether it is whole. Its key stays in any case."""
    text = orjson.dumps(record)
    if len(text) <= min(MAX_VALUE_BYTES, room):
        return text, True
    sizes = {name: len(orjson.dumps(value)) for name, value in record.items()}
    left = dict(record)
    total = len(text)
    for name in sorted(sizes, key=lambda item: sizes[item], reverse=True):
        # A text is measured without the quotes around it, and as it is, not as JSON writes it.
        value = record[name]
        size = len(value.encode()) if isinstance(value, str) else sizes[name]
        if name != KEY and (size > MAX_VALUE_BYTES or total > room):
            del left[name]
            total -= sizes[name]
    return orjson.dumps(left), len(left) == len(record)
