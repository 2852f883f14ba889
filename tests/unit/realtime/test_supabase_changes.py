"""Events as frames of Supabase's dialect: who shares them, what is in them, and what never is."""

import gc
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import StoreUnavailable
from gateway.domain.streams import Event, Inbox
from gateway.realtime.supabase.bindings import Binding, read_wish
from gateway.realtime.supabase.changes import TOO_LARGE, Encoders, data_of
from gateway.realtime.supabase.frames import Malformed, parse_bytes, parse_text
from gateway.realtime.supabase.joins import asked_changes, wants_presence
from gateway.realtime.supabase.tables import Column, Table, Tables
from gateway.realtime.transport.framing import MAX_FRAME_BYTES

OUTGOING = "whatsapp_outgoing_messages"
INCOMING = "whatsapp_incoming_messages"
SESSIONS = "whatsapp_sessions"
COLUMNS = ("id", "message_text", "wasender_session_id")
KNOWN: Mapping[str, Table] = {
    name: Table(
        name, [Column("id", "int4"), Column("message_text", "text"), Column("wasender_session_id", "int8")]
    )
    for name in (INCOMING, SESSIONS)
}


def event(off: Any = 1, table: Any = INCOMING, operation: Any = "INSERT", **record: Any) -> Event:
    row = None if operation == "DELETE" else {"id": 7, "wasender_session_id": 12, **record}
    old = {"id": 7, "wasender_session_id": 12} if table == SESSIONS else {"id": 7, "chat": "x"}
    inbox = Inbox(-1 if table == SESSIONS else 12)
    return Event(inbox, off, table, operation, f"2026-11-22T13:14:22.{off:06}Z", row, old)


def bindings(*requests: dict[str, Any]) -> tuple[Binding, ...]:
    found = [read_wish(request, KNOWN) for request in requests or ({"event": "*", "table": INCOMING},)]
    assert [wish.refusal for wish in found] == [None] * len(found)
    return tuple(item for wish in found for item in wish.bindings)


def told(frames: Sequence[Any]) -> list[Any]:
    return [orjson.loads(frame.text) for frame in frames]


def test_whoever_asks_for_the_same_shares_an_encoder_and_nobody_else_does() -> None:
    encoders = Encoders()
    everything, filtered = bindings(), bindings({"table": INCOMING, "filter": "id=gt.3"})
    same = encoders.encoder(2, "realtime:a", everything)

    assert encoders.encoder(2, "realtime:a", bindings()) is same
    others = [
        encoders.encoder(1, "realtime:a", everything),
        encoders.encoder(2, "realtime:b", everything),
        encoders.encoder(2, "realtime:a", filtered),
        encoders.encoder(2, "realtime:a", everything, frozenset({12})),
        encoders.encoder(2, "realtime:a", everything + filtered),
    ]
    assert len({id(item) for item in (same, *others)}) == 6


def test_an_encoder_that_nobody_uses_is_forgotten() -> None:
    encoders = Encoders()
    encoders.encoder(2, "realtime:a", bindings())
    gc.collect()

    assert not encoders._interned


def test_a_binding_has_the_same_id_everywhere_and_another_binding_another() -> None:
    request = {"event": "*", "schema": "public", "table": INCOMING}
    same = dict(reversed(request.items()))
    others = [{**request, "filter": "id=eq.1"}, {**request, "event": "INSERT"}]
    numbers = [read_wish(item, KNOWN).reply["id"] for item in (request, same, *others)]

    assert numbers[0] == numbers[1]
    assert len(set(numbers)) == 3
    assert all(0 < number < 2**27 for number in numbers)


def test_the_two_versions_differ_in_their_envelope_alone() -> None:
    encoders = Encoders()
    (one,) = told(encoders.encoder(1, "realtime:ä", bindings())(event()))
    (two,) = told(encoders.encoder(2, "realtime:ä", bindings())(event()))

    assert one == {"topic": "realtime:ä", "event": "postgres_changes", "payload": two[4], "ref": None}
    assert two[:4] == [None, None, "realtime:ä", "postgres_changes"]
    assert two[4]["data"]["commit_timestamp"] == "2026-11-22T13:14:22.000Z"


def test_an_event_that_nobody_of_them_asked_for_makes_no_frame() -> None:
    encode = Encoders().encoder(2, "realtime:a", bindings({"event": "DELETE", "table": INCOMING}))

    assert encode(event()) == ()
    assert encode(event(table=SESSIONS)) == ()
    assert len(encode(event(operation="DELETE"))) == 1


def test_rows_of_sessions_are_for_those_who_may_see_them() -> None:
    wish = bindings({"event": "*", "table": SESSIONS})
    mine, others = (Encoders().encoder(2, "realtime:a", wish, frozenset({number})) for number in (12, 13))
    for operation in ("INSERT", "UPDATE", "DELETE"):
        assert len(mine(event(table=SESSIONS, operation=operation))) == 1
        assert others(event(table=SESSIONS, operation=operation)) == ()


def test_a_value_of_the_wrong_type_in_a_row_fits_no_filter() -> None:
    encode = Encoders().encoder(2, "realtime:a", bindings({"table": INCOMING, "filter": "id=gt.3"}))

    assert encode(event(id="a uuid by now")) == ()
    assert encode(event(id=[])) == ()


def test_hidden_columns_are_in_no_frame_even_if_they_were_in_the_stream() -> None:
    hidden = dict.fromkeys(("raw_data", "session_data", "api_key", "webhook_secret"), "hidden-value")
    data = data_of(event(**hidden, brand_new="shown"), KNOWN[INCOMING], None)

    assert b"hidden-value" not in data
    assert list(orjson.loads(data)["record"]) == ["id", "wasender_session_id", "brand_new"]


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        ([65_536], 1),
        ([65_537], 0),
        (["ä" * 32_768], 1),
        (["ä" * 32_769], 0),
        (["\x01" * 40_000], 1),
        ([60_000] * 4, 4),
        ([60_000] * 20, 4),
    ],
    ids=["at the limit", "over it", "bytes at it", "bytes over it", "escapes", "some", "many"],
)
def test_what_is_too_long_is_left_out_and_no_frame_is_longer_than_promised(
    texts: list[Any], kept: int
) -> None:
    values = {
        f"c{number}": "x" * item if isinstance(item, int) else item for number, item in enumerate(texts)
    }
    (frame,) = Encoders().encoder(2, "realtime:a", bindings())(event(**values))
    data = orjson.loads(frame.text)[4]["data"]

    assert len(frame.text) <= MAX_FRAME_BYTES
    assert len(values.keys() & data["record"].keys()) == kept
    assert data["errors"] == (None if kept == len(texts) else [TOO_LARGE])
    assert data["record"]["id"] == 7


def test_data_that_two_encoders_share_is_made_once() -> None:
    encoders = Encoders()
    first, second = (encoders.encoder(2, f"realtime:{name}", bindings()) for name in "ab")
    change = event()
    first(change)
    made = dict(encoders._cache._made)
    second(change)

    assert encoders._cache._made == made
    assert encoders._cache._bytes == sum(map(len, made.values()))


# ------------------------------------------------------------------------------------------ tables


class Store:
    def __init__(self) -> None:
        self.columns_of = {INCOMING: [("id", "int4"), ("raw_data", "jsonb")]}
        self.is_away = False
        self.asked = 0

    async def columns(self, tables: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
        self.asked += 1
        if self.is_away:
            raise StoreUnavailable("away")
        return {name: list(columns) for name, columns in self.columns_of.items()}


async def test_tables_are_looked_at_once_a_minute_and_stay_the_same_until_they_change() -> None:
    store = Store()
    tables = Tables(store)
    first = (await tables.look())[INCOMING]
    assert (await tables.look())[INCOMING] is first
    assert (store.asked, list(first.types)) == (1, ["id"])

    assert (await tables.look(0.0))[INCOMING] is first
    store.columns_of[INCOMING].append(("note", "text"))
    changed = (await tables.look(0.0))[INCOMING]
    assert list(changed.types) == ["id", "note"]
    assert changed.serial != first.serial

    store.is_away = True
    assert (await tables.look(0.0))[INCOMING] is changed


async def test_what_only_the_sender_needs_is_no_column_for_clients() -> None:
    store = Store()
    store.columns_of[OUTGOING] = [("id", "int8"), ("holder", "text"), ("payload", "jsonb")]

    assert list((await Tables(store).look())[OUTGOING].types) == ["id"]


async def test_tables_that_have_never_been_seen_cannot_be_served() -> None:
    store = Store()
    store.is_away = True
    with pytest.raises(StoreUnavailable):
        await Tables(store).look()


# ------------------------------------------------------------------------------------------ strangers

patient = settings(max_examples=60)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
filters = st.from_regex(
    r"(id|message_text|x)=(not\.)?(eq|in|is|like|match|isdistinct|gt)\..{0,20}", fullmatch=True
)


@patient
@given(
    request=st.fixed_dictionaries(
        {},
        optional={
            "event": json_values,
            "schema": st.just("public") | json_values,
            "table": st.sampled_from([INCOMING, SESSIONS, "*"]) | json_values,
            "filter": filters | json_values,
            "select": st.lists(st.sampled_from(COLUMNS)) | json_values,
        },
    )
)
def test_whatever_is_wished_for_is_served_or_refused_with_a_sentence(request: dict[str, Any]) -> None:
    wish = read_wish(request, KNOWN)
    assert (wish.refusal is None) == bool(wish.bindings)
    encode = Encoders().encoder(2, "realtime:a", wish.bindings)
    for operation in ("INSERT", "UPDATE", "DELETE"):
        encode(event(operation=operation, message_text="hello"))


@patient
@given(raw=st.text() | st.lists(json_values, min_size=5, max_size=5).map(str) | json_values.map(str))
def test_no_text_breaks_the_reader(raw: str) -> None:
    try:
        message = parse_text(raw)
    except Malformed:
        return
    asked_changes(message)
    wants_presence(message)


@patient
@given(raw=st.binary(max_size=80) | st.binary(max_size=80).map(lambda data: b"\x03" + data))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    try:
        parse_bytes(raw)
    except Malformed:
        pass
