"""Values of every type for any column of the shop, the ways to write them, and what a client makes of them."""

import io
import json
import math
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import asyncpg
from hypothesis import strategies as st

from gateway.domain.message import INCOMING_TABLE, OUTGOING_TABLE
from gateway.realtime.supabase.tables import OF_SENDING

KEYS = {INCOMING_TABLE: "message_id", OUTGOING_TABLE: "client_id"}
PHONES = {INCOMING_TABLE: "from_phone", OUTGOING_TABLE: "to_phone"}

DEEP = '{"a":' * 2000 + "1" + "}" * 2000
NESTED = "[" * 300 + "]" * 300

PREPARE = """
CREATE TYPE public.mood AS ENUM ('sad', 'it''s "ok"');
CREATE TYPE public.pair AS (a int, "b c" text);
CREATE DOMAIN public.small AS int CHECK (value < 10);
CREATE TYPE public.refuses AS ENUM ('loud', 'quiet');
CREATE FUNCTION public.refuse(public.refuses) RETURNS json LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'this type has no JSON'; END $$;
CREATE CAST (public.refuses AS json) WITH FUNCTION public.refuse(public.refuses);
"""

TIMES = ("-infinity", "infinity", "4713-01-01 BC", "20000-01-01", "294276-12-31", "0001-01-01",
         "9999-12-31 23:59:59.999999", "2026-03-29 02:30", "1969-12-31 23:59:59")  # fmt: skip

OWN: dict[str, tuple[str, ...]] = {
    "jsonb": ('{"x":1e400}', "1e400", DEEP, NESTED, '{"": 1, "a": null}', '"\\\\u00e9"', "[1, 2]", "null",
              "123456789012345678901234567890", '{"x": -1e99999}'),
    "json": ('{"x":1e400}', '"\\u0000"', '{"a":"\\ud83d"}', "1e1000000", '{"a":1,"a":2}', DEEP, "null"),
    "timestamptz": TIMES,
    "timestamp": TIMES,
    "date": ("-infinity", "infinity", "4713-01-01 BC", "20000-01-01", "2026-01-01"),
    "time": ("24:00:00", "00:00:00.000001"),
    "interval": ("178000000 years", "-1 day 3 hours", "1 month"),
    "numeric": ("NaN", "Infinity", "-Infinity", "1" + "0" * 5000, "0." + "0" * 400 + "1", "12345678901234567890.123"),
    "float8": ("NaN", "Infinity", "-Infinity", "1.7976931348623157e308", "5e-324", "-0"),
    "float4": ("NaN", "3.4028235e38"),
    "int8": ("9223372036854775807", "-9223372036854775808"),
    "bytea": ("\\x00ff", "\\x"),
    "text": ("", "é🙂\u2028\u202e", "'\"\\", "x" * 70_000, "null", "{}", "line\nline"),
    "int4range": ("[1,5)", "empty", "(,)"),
    "tstzrange": ("[-infinity,infinity]", "[2026-01-01,)"),
    "int[]": ("{1,NULL,3}", "{}", "[0:1]={1,2}", "{{1,2},{3,4}}"),
    "jsonb[]": ('{"{\\"x\\": 1e400}"}', "{NULL}"),
    "timestamptz[]": ("{-infinity,2026-01-01}",),
    "public.pair": ('(1,"x ""y")', "(,)"),
    "public.mood": ("it's \"ok\"",),
    "public.small": ("9", "10"),
    "public.refuses": ("loud",),
    "uuid": ("00000000-0000-0000-0000-000000000000",),
    "inet": ("::1/64",),
    "xml": ("<a>&amp;</a>",),
    "bit(3)": ("101",),
    "point": ("(1,NaN)",),
    "tsvector": ("'a':1 'b'",),
    "money": ("12.34",),
    "oid": ("4294967295",),
    "\"char\"": ("a",),
    "bool": ("t",),
}  # fmt: skip

# Columns of the seed, as they stand in the shop's tables.
SEED: dict[str, tuple[str, ...]] = {
    "message_text": OWN["text"],
    "created_at": OWN["timestamp"],
    "media_url": ("x" * 70_000, "javascript:1"),
    "message_type": ("text", "", "😀"),
}
SEED_OF = {
    INCOMING_TABLE: {**SEED, "received_at": TIMES, "replied_at": TIMES, "is_read": ("t", "f"), "replied": ("t", "f"),
                     "raw_data": OWN["jsonb"], "customer_id": ("x",)},
    OUTGOING_TABLE: {**SEED, "sent_at": TIMES, "read_at": TIMES, "send_after": TIMES, "status": ("sent", "odd"),
                     "raw_data": OWN["jsonb"]},
}  # fmt: skip


def column_of(kind: str) -> str:
    return f"own {kind}"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def own_columns(table: str) -> str:
    added = ", ".join(f"ADD COLUMN {quoted(column_of(kind))} {kind}" for kind in OWN)
    return f"ALTER TABLE public.{table} {added}"


Way = Literal["insert", "update", "copy", "merge", "upsert", "delete", "move"]


@dataclass(frozen=True)
class Write:
    """One statement of the shop."""

    table: str
    way: Way
    row: int
    values: tuple[tuple[str, str], ...]
    session: int | None
    role: Literal["origin", "replica"]
    isolation: Literal["read committed", "repeatable read", "serializable"]


@st.composite
def writes(draw: st.DrawFn) -> Write:
    table = draw(st.sampled_from(list(KEYS)))
    columns = {**{column_of(kind): values for kind, values in OWN.items()}, **SEED_OF[table]}
    names = draw(st.lists(st.sampled_from(sorted(columns)), min_size=1, max_size=3, unique=True))
    return Write(
        table=table,
        way=draw(st.sampled_from(["insert", "update", "copy", "merge", "upsert", "delete", "move"])),
        row=draw(st.integers(1, 4)),
        values=tuple((name, draw(st.sampled_from(columns[name]))) for name in names),
        session=draw(st.sampled_from([12, 13, None, -5])),
        role=draw(st.sampled_from(["origin", "origin", "replica"])),
        isolation=draw(
            st.sampled_from(["read committed", "read committed", "repeatable read", "serializable"])
        ),
    )


def literal(value: object) -> str:
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"


async def perform(connection: asyncpg.Connection, write: Write) -> str:
    """Executes it in a transaction of its own; what Postgres says: the command's tag, or the state of an error."""
    key, phone = KEYS[write.table], PHONES[write.table]
    known = {
        key: f"row{write.row}",
        phone: "4915",
        "wasender_session_id": write.session,
        **dict(write.values),
    }
    names, values = ", ".join(map(quoted, known)), ", ".join(map(literal, known.values()))
    sets = ", ".join(f"{quoted(name)} = {literal(value)}" for name, value in write.values)
    table, this = f"public.{write.table}", f"{key} = 'row{write.row}'"
    statement = {
        "insert": f"INSERT INTO {table} ({names}) VALUES ({values})",
        "update": f"UPDATE {table} SET {sets} WHERE {this}",
        "delete": f"DELETE FROM {table} WHERE {this}",
        "move": f"UPDATE {table} SET wasender_session_id = {literal(write.session)}, {sets} WHERE {this}",
        "upsert": f"INSERT INTO {table} ({names}) VALUES ({values}) ON CONFLICT ({key}) DO UPDATE SET {sets}",
        "merge": f"MERGE INTO {table} AS t USING (SELECT 'row{write.row}' AS k) AS s ON t.{key} = s.k"
        f" WHEN MATCHED THEN UPDATE SET {sets} WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})",
        "copy": "",
    }[write.way]
    try:
        await connection.execute(f"BEGIN ISOLATION LEVEL {write.isolation}")
        await connection.execute(f"SET LOCAL session_replication_role = {write.role}")
        if write.way == "copy":
            said = await connection.copy_to_table(
                write.table, source=io.BytesIO(_copied(known)), columns=list(known), schema_name="public"
            )
        else:
            said = await connection.execute(statement)
        await connection.execute("COMMIT")
    except asyncpg.PostgresError as error:
        await connection.execute("ROLLBACK")
        return str(error.sqlstate)
    return str(said)


def _copied(row: dict[str, Any]) -> bytes:
    escapes = str.maketrans({"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"})
    cells = ["\\N" if value is None else str(value).translate(escapes) for value in row.values()]
    return ("\t".join(cells) + "\n").encode()


# ---------------------------------------------------------------------------------------------- a client


@dataclass
class Replica:
    """What a client holds after the events it got, by (direction, id)."""

    rows: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    untold: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    offs: dict[int, int] = field(default_factory=dict)
    resets: int = 0

    def take(self, frame: dict[str, Any]) -> None:
        if frame["type"] == "reset":
            self.resets += 1
        if frame["type"] != "event":
            return
        inbox = int(frame["topic"].partition(":")[2])
        assert frame["off"] == self.offs.get(inbox, 0) + 1, frame
        self.offs[inbox] = frame["off"]
        data = frame["data"]
        key = (data["direction"], data["id"])
        if frame["event"] == "message.deleted" and len(data) < 10:
            # Of two inboxes that had the row, only the one that has it now counts.
            if self.rows.get(key, {}).get("session_id") == data["session_id"]:
                self.rows.pop(key, None)
            return
        self.rows[key] = data
        self.untold[key] = {*frame.get("errors", ()), *frame.get("truncated", ())}


async def rows_of(connection: asyncpg.Connection) -> dict[tuple[str, str], dict[str, Any]]:
    """What SELECT says of what is told, column by column; a column that has no JSON is missing."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for table, direction in ((INCOMING_TABLE, "in"), (OUTGOING_TABLE, "out")):
        names = [
            row["attname"]
            for row in await connection.fetch(
                "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0"
                " AND NOT attisdropped AND attname <> ALL ($2)",
                f"public.{table}",
                sorted({"raw_data"} | OF_SENDING),
            )
        ]
        ids = [row["id"] for row in await connection.fetch(f"SELECT id::text AS id FROM public.{table}")]
        for number in ids:
            values: dict[str, Any] = {}
            for name in names:
                try:
                    text = await connection.fetchval(
                        f"SELECT to_jsonb(t.{quoted(name)})::text FROM public.{table} AS t WHERE id::text = $1",
                        number,
                    )
                    values[name] = None if text is None else json.loads(text)
                except (asyncpg.PostgresError, RecursionError, ValueError):
                    continue
            found[direction, number] = values
    return found


def is_same(told: Any, selected: Any) -> bool:
    """Whether a client was told what SELECT says: numbers as precise as JSON's, times as moments."""
    if isinstance(told, float | int) and isinstance(selected, float | int):
        return told == selected or math.isclose(told, selected, rel_tol=1e-15)
    if isinstance(told, list) and isinstance(selected, list):
        return len(told) == len(selected) and all(map(is_same, told, selected))
    if isinstance(told, dict) and isinstance(selected, dict):
        return told.keys() == selected.keys() and all(is_same(told[key], selected[key]) for key in told)
    if isinstance(told, str) and isinstance(selected, str) and told.endswith("Z") and told != selected:
        moments = datetime.fromisoformat(told), datetime.fromisoformat(selected)
        return moments[0].replace(tzinfo=None) == moments[1].replace(tzinfo=None)
    return bool(told == selected)
