"""What a channel listens to: each `postgres_changes` of its join, read, checked and given an id.

A binding that cannot be served does not fail the join, as in the original; it says why in a `system` frame.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from gateway.realtime.supabase.filters import Condition, FilterRefused, parse_filter
from gateway.realtime.supabase.frames import dumps
from gateway.realtime.supabase.patterns import PATTERNS, Predicate
from gateway.realtime.supabase.tables import KEY, SCHEMA, Table
from gateway.realtime.supabase.values import ValueRefused, predicate_of

_EVENTS = frozenset({"INSERT", "UPDATE", "DELETE"})
_CASTING = (ValueError, TypeError, ArithmeticError)
"""What a record's value may raise that is not of its column's type."""


class SharedTest:
    """A predicate that looks once at each value, however many bindings ask."""

    __slots__ = ("__weakref__", "_answer", "_predicate", "_value")

    def __init__(self, predicate: Predicate) -> None:
        self._predicate = predicate
        self._value: Any = self
        self._answer: bool | None = None

    def __call__(self, value: Any) -> bool | None:
        # Bindings are asked about one row after the other, so that its value is the same object.
        if value is not self._value:
            self._answer = self._predicate(value)
            self._value = value
        return self._answer


_shared: WeakValueDictionary[tuple[int, Condition], SharedTest] = WeakValueDictionary()
"""By table and condition: what many clients ask is one object."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One of them, for one table."""

    id: int
    event: str
    """INSERT, UPDATE, DELETE or *."""
    table: Table
    tests: tuple[tuple[str, Predicate], ...]
    select: frozenset[str] | None

    def listens_to(self, operation: str) -> bool:
        """Whether the binding wants events of that operation."""
        return self.event in ("*", operation)

    def matches(self, row: Mapping[str, Any]) -> bool:
        """Whether its filter lets a row pass: the new one; of a DELETE what is left of the old."""
        try:
            for name, test in self.tests:
                if name not in row or test(row[name]) is not True:
                    return False
        except _CASTING:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Wish:
    """A request for changes: what the client is told of it, and what it comes to."""

    reply: dict[str, Any]
    """The request itself with its id: clients compare it with their own, key by key."""
    bindings: tuple[Binding, ...]
    refusal: str | None
    conditions: int = 0
    patterns: int = 0


def read_wish(
    request: Mapping[str, Any],
    tables: Mapping[str, Table],
    count: Callable[[int, int], None] = lambda conditions, patterns: None,
) -> Wish:
    """One entry of a join's `postgres_changes`, read; what is wrong with it stands in the wish.

    `count` is told of its conditions, and of the patterns among them, before they cost anything; it may raise.
    """
    number = _id_of(request)
    reply = {**request, "id": number}
    filtered = request.get("filter")
    try:
        conditions = () if filtered is None else parse_filter(str(filtered))
    except FilterRefused as error:
        return Wish(reply, (), str(error))
    load = len(conditions), sum(item.op in PATTERNS for item in conditions)
    count(*load)
    try:
        return Wish(reply, _bindings(number, request, conditions, tables), None, *load)
    except (FilterRefused, ValueRefused) as error:
        return Wish(reply, (), str(error), *load)


def _bindings(
    number: int, request: Mapping[str, Any], conditions: tuple[Condition, ...], tables: Mapping[str, Table]
) -> tuple[Binding, ...]:
    if request.get("schema") is None and request.get("table") is None:
        raise FilterRefused(
            "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: "
            + dumps(dict(request)).decode()[:200]
        )
    event = str(request.get("event") or "*").upper()
    schema, name = str(request.get("schema") or SCHEMA), str(request.get("table") or "*")
    selected = request.get("select")
    select = frozenset(map(str, selected)) if isinstance(selected, list) and selected else None
    given = _given(event, schema, name, conditions, select)
    named = tables.values() if name == "*" else [tables[name]] if name in tables else []
    meant = [table for table in named if schema in ("*", table.schema)]
    if not meant:
        raise FilterRefused(
            "Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the "
            f"given connect parameters: {given}"
        )
    if select is not None and (name == "*" or schema == "*"):
        raise FilterRefused(f"`select` needs a schema and a table: {given}")
    # On a whole schema a condition can only hold in tables that have its column.
    if name == "*":
        wanted = {condition.column for condition in conditions}
        having = [table for table in meant if wanted <= table.types.keys()]
        meant = having or meant  # none has: the first of them says so
    return tuple(
        Binding(
            number,
            event if event in _EVENTS else "*",
            table,
            tuple((item.column, _test(item, table, given)) for item in conditions),
            None if select is None else _checked(select, table, given) | {KEY},
        )
        for table in meant
    )


def _test(condition: Condition, table: Table, given: str) -> Predicate:
    type_name = table.types.get(condition.column)
    if type_name is None:
        raise _exception(given, f"ERROR P0001 (raise_exception) invalid column for filter {condition.column}")
    shared = _shared.get(key := (table.serial, condition))
    if shared is not None:
        return shared
    try:
        made = _shared[key] = SharedTest(predicate_of(condition, type_name))
        return made
    except ValueRefused as error:
        raise _exception(given, str(error)) from None


def _checked(select: frozenset[str], table: Table, given: str) -> frozenset[str]:
    for name in sorted(select):
        if name not in table.types:
            raise _exception(given, f"ERROR P0001 (raise_exception) invalid column for select {name}")
    return select


def _exception(given: str, error: str) -> FilterRefused:
    return FilterRefused(
        "Unable to subscribe to changes with given parameters. An exception happened so please check your "
        f"connect parameters: {given}. Exception: {error}"
    )


def _given(
    event: str, schema: str, table: str, conditions: tuple[Condition, ...], select: frozenset[str] | None
) -> str:
    filters = ", ".join(
        "{" + ", ".join((*(dumps(text).decode() for text in (item.column, item.op, item.raw)),
                         "true" if item.is_negated else "false")) + "}"
        for item in conditions
    )  # fmt: skip
    chosen = "nil" if select is None else dumps(sorted(select)).decode()
    return f"[event: {event}, schema: {schema}, table: {table}, filters: [{filters}], select: {chosen}]"


def _id_of(request: Mapping[str, Any]) -> int:
    """The same number for the same request, on every gateway; never 0, which clients take for none."""
    asked = [request.get(key) for key in ("event", "schema", "table", "filter", "select")]
    digest = hashlib.blake2b(dumps(asked, sort_keys=True), digest_size=4).digest()
    return (int.from_bytes(digest, "big") & 0x7FFFFFF) or 1
