"""What a change of a table looks like to Supabase's clients, and who is told of which."""

import json
import re
from typing import Any

import asyncpg
import pytest

from gateway.domain.access import Role
from gateway.domain.streams import SESSIONS_INBOX
from tests.launcher.running import Running
from tests.postgres.writers import insert_message, insert_session
from tests.realtime.live import heard
from tests.realtime.phoenix import ALL_INCOMING, INCOMING, OUTGOING, SESSIONS, phoenix

SECRET_COLUMNS = {"raw_data", "session_data", "api_key", "webhook_secret"}


@pytest.mark.parametrize("vsn", ["1.0.0", "2.0.0"])
async def test_insert_update_and_delete_have_the_originals_shape(
    live: Running, writer: asyncpg.Connection, vsn: str
) -> None:
    async with phoenix(live, vsn=vsn) as client:
        reply = await client.join("shop", ALL_INCOMING)
        number = reply["response"]["postgres_changes"][0]["id"]
        key = await insert_message(writer, 12, message_id="K1", message_text="oi", raw_data='{"a": 1}')
        await writer.execute(f"UPDATE {INCOMING} SET is_read = true")
        await writer.execute(f"DELETE FROM {INCOMING}")
        inserted, updated, deleted = [await client.next("postgres_changes") for _ in range(3)]

    assert (inserted.join_ref, inserted.ref, inserted.topic) == (None, None, "realtime:shop")
    assert inserted.payload["ids"] == [number]
    data = inserted.payload["data"]
    assert list(data) == ["schema", "table", "commit_timestamp", "type", "columns", "record", "errors"]
    assert (data["schema"], data["table"], data["type"], data["errors"]) == (
        "public",
        INCOMING,
        "INSERT",
        None,
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", data["commit_timestamp"])
    assert data["record"].items() >= {"id": key, "message_id": "K1", "message_text": "oi"}.items()
    assert "raw_data" not in data["record"]

    data = updated.payload["data"]
    assert (data["type"], data["record"]["is_read"], data["old_record"]) == ("UPDATE", True, {"id": key})
    data = deleted.payload["data"]
    assert (data["type"], data["old_record"]) == ("DELETE", {"id": key})
    assert "record" not in data


async def test_columns_are_those_of_the_table_in_its_order_with_their_types(
    live: Running, writer: asyncpg.Connection
) -> None:
    rows = await writer.fetch(
        "SELECT column_name AS name, udt_name AS type FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = $1 ORDER BY ordinal_position",
        INCOMING,
    )
    async with phoenix(live) as client:
        await client.join("shop", ALL_INCOMING)
        await insert_message(writer, 12)
        data = await client.change()

    expected = [dict(row) for row in rows if row["name"] not in SECRET_COLUMNS]
    assert data["columns"] == expected
    assert list(data["record"]) == [column["name"] for column in expected]
    assert {"name": "message_text", "type": "text"} in data["columns"]


async def test_one_frame_per_channel_names_every_binding_that_fits(
    live: Running, writer: asyncpg.Connection
) -> None:
    inserts, updates = ({**ALL_INCOMING, "event": event} for event in ("INSERT", "UPDATE"))
    async with phoenix(live) as client:
        reply = await client.join("one", ALL_INCOMING, inserts, updates)
        await client.join("two", inserts)
        everything, insert, _ = (item["id"] for item in reply["response"]["postgres_changes"])
        await insert_message(writer, 12)
        frames = [await client.next("postgres_changes") for _ in range(2)]

        assert await client.changes_until_now() == []
    assert {said.topic: set(said.payload["ids"]) for said in frames} == {
        "realtime:one": {everything, insert},
        "realtime:two": {insert},
    }


WIDER: list[dict[str, Any]] = [
    {"event": "*", "schema": "public"},
    {"event": "*", "schema": "public", "table": "*"},
    {"event": "*", "schema": "*"},
    {"event": "whatever", "table": INCOMING},
    {"event": "insert", "table": INCOMING},
]


async def test_wider_wishes_are_understood(gateway: Running, writer: asyncpg.Connection) -> None:
    async with phoenix(gateway) as client:
        for number, asked in enumerate(WIDER):
            await client.join(str(number), asked)
            assert (await client.system())["status"] == "ok", asked
        await insert_message(writer, 12)
        told = [await client.next("postgres_changes") for _ in WIDER]

    assert {said.topic for said in told} == {f"realtime:{number}" for number in range(len(WIDER))}


async def test_outgoing_messages_and_sessions_are_served_and_secrets_are_not(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with phoenix(live) as client:
        await client.join("shop", {"event": "*", "schema": "public"})
        await writer.execute(
            f"INSERT INTO {OUTGOING} (client_id, wasender_session_id, raw_data) VALUES ('c', 12, '{{}}')"
        )
        outgoing = await client.change()
        await insert_session(
            writer, 12, api_key="key-of-12", webhook_secret="secret-of-12", session_data='{"auth": "x"}'
        )
        await writer.execute(f"UPDATE {SESSIONS} SET name = 'North', api_key = 'other-key'")
        await writer.execute(f"DELETE FROM {SESSIONS}")
        created, renamed, gone = [await client.change() for _ in range(3)]

    assert (outgoing["table"], outgoing["record"]["client_id"]) == (OUTGOING, "c")
    assert [item["type"] for item in (created, renamed, gone)] == ["INSERT", "UPDATE", "DELETE"]
    assert created["record"].items() >= {"wasender_session_id": 12, "name": "Shop"}.items()
    assert renamed["record"]["name"] == "North"
    assert renamed["old_record"] == gone["old_record"] == {"id": created["record"]["id"]}
    for data in (outgoing, created, renamed, gone):
        shown = {column["name"] for column in data["columns"]} | data.get("record", {}).keys()
        assert not shown & SECRET_COLUMNS
        assert not re.search("key-of-12|other-key|secret-of-12", json.dumps(data))


async def test_a_login_sees_the_rows_of_its_sessions_alone(live: Running, writer: asyncpg.Connection) -> None:
    for number in (7, 12):
        await insert_session(writer, number)
    await heard(live, SESSIONS_INBOX, 2)
    everything = {"event": "*", "schema": "public"}
    seven, twelve = (live.token(Role.VIEWER, sessions={number}) for number in (7, 12))
    async with phoenix(live, seven) as first, phoenix(live, twelve) as second, phoenix(live) as third:
        for client in (first, second, third):
            await client.join("shop", everything)
        for number in (0, 7, 12):
            await insert_message(writer, number or None, message_text=f"to {number}")
        await writer.execute(f"UPDATE {SESSIONS} SET name = 'renamed'")
        await writer.execute(f"DELETE FROM {SESSIONS} WHERE wasender_session_id = 7")

        async def seen(client: Any, count: int) -> list[str]:
            found = [await client.change() for _ in range(count)]
            assert await client.changes_until_now() == []
            return sorted(
                item["record"].get("message_text") or str(item["record"]["wasender_session_id"])
                if "record" in item
                else "gone"
                for item in found
            )

        assert await seen(first, 3) == ["7", "gone", "to 7"]
        assert await seen(second, 2) == ["12", "to 12"]
        assert await seen(third, 6) == ["12", "7", "gone", "to 0", "to 12", "to 7"]


async def test_a_session_that_comes_later_is_covered_too(live: Running, writer: asyncpg.Connection) -> None:
    async with phoenix(live) as client:
        await client.join("shop", ALL_INCOMING)
        await insert_message(writer, 4711, message_text="first of its session")

        assert (await client.change())["record"]["wasender_session_id"] == 4711


async def test_long_values_are_left_out_and_the_frame_says_so(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with phoenix(live) as client:
        await client.join("shop", ALL_INCOMING)
        await insert_message(writer, 12, message_text="x" * 65_537, push_name="Ann")
        cut = await client.change()
        await insert_message(writer, 12, message_text="x" * 65_536)
        whole = await client.change()

    assert cut["errors"] == ["Error 413: Payload Too Large"]
    assert "message_text" not in cut["record"]
    assert cut["record"]["push_name"] == "Ann"
    assert (whole["errors"], len(whole["record"]["message_text"])) == (None, 65_536)


async def test_chosen_columns_come_with_the_key(live: Running, writer: asyncpg.Connection) -> None:
    chosen = {**ALL_INCOMING, "select": ["message_text", "from_phone"]}
    async with phoenix(live) as client:
        reply = await client.join("shop", chosen, {**ALL_INCOMING, "event": "INSERT"})
        narrow, wide = (item["id"] for item in reply["response"]["postgres_changes"])
        await insert_message(writer, 12, message_text="hi")
        frames = [await client.next("postgres_changes") for _ in range(2)]

    by_id = {said.payload["ids"][0]: said.payload["data"] for said in frames}
    assert set(by_id[narrow]["record"]) == {"id", "message_text", "from_phone"}
    assert {column["name"] for column in by_id[narrow]["columns"]} == {"id", "message_text", "from_phone"}
    assert len(by_id[wide]["record"]) > 10


async def test_a_filter_is_asked_of_the_new_row_and_of_what_is_left_of_a_deleted_one(
    live: Running, writer: asyncpg.Connection
) -> None:
    unread = {**ALL_INCOMING, "filter": "is_read=is.false,wasender_session_id=eq.12"}
    mine = {**ALL_INCOMING, "event": "DELETE", "filter": "wasender_session_id=eq.12"}
    async with phoenix(live) as client:
        await client.join("shop", unread, mine)
        assert (await client.system())["status"] == "ok"
        await insert_message(writer, 7, is_read=False, message_text="of another session")
        await insert_message(writer, 12, is_read=True, message_text="read already")
        await insert_message(writer, 12, is_read=False, message_text="new")
        await writer.execute(f"UPDATE {INCOMING} SET message_text = 'edited' WHERE message_text = 'new'")
        await writer.execute(f"UPDATE {INCOMING} SET is_read = true WHERE message_text = 'edited'")
        await writer.execute(f"DELETE FROM {INCOMING} WHERE message_text = 'edited'")
        await writer.execute(f"DELETE FROM {INCOMING} WHERE wasender_session_id = 7")
        changes = [await client.change() for _ in range(3)]

        assert await client.changes_until_now() == []
    told = [(item["type"], item.get("record", {}).get("message_text")) for item in changes]
    assert told == [("INSERT", "new"), ("UPDATE", "edited"), ("DELETE", None)]


GIVEN = "Unable to subscribe to changes with given parameters."


EXCEPTION = f"{GIVEN} An exception happened so please check your connect parameters: "
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"table": "customers"},
        f"{GIVEN} Please check Realtime is enabled for the given connect parameters: "
        "[event: *, schema: public, table: customers, filters: [], select: nil]",
    ),
    ({"schema": "private"}, f"{GIVEN} Please check Realtime is enabled"),
    ({"filter": "wrong"}, 'Error parsing `filter` params: ["wrong"]'),
    ({"filter": "message_text=foo.hey"}, 'Error parsing `filter` params: ["foo", "hey"]'),
    (
        {"filter": "notacolumn=eq.123"},
        f'{EXCEPTION}[event: *, schema: public, table: {INCOMING}, filters: [{{"notacolumn", "eq", "123", false}}], '
        "select: nil]. Exception: ERROR P0001 (raise_exception) invalid column for filter notacolumn",
    ),
    ({"filter": "raw_data=is.null"}, EXCEPTION),
    ({"filter": "wasender_session_id=eq.x"}, EXCEPTION),
    ({"select": ["raw_data"]}, EXCEPTION),
    ({"schema": None, "table": None}, "No subscription params provided."),
]


async def test_a_wish_that_cannot_be_served_is_joined_and_says_why(
    gateway: Running, writer: asyncpg.Connection
) -> None:
    async with phoenix(gateway) as client:
        for number, (asked, sentence) in enumerate(REFUSED):
            reply = await client.join(str(number), {**ALL_INCOMING, **asked})
            system = await client.system()

            assert reply["status"] == "ok", asked
            assert (system["status"], system["extension"]) == ("error", "postgres_changes")
            assert system["message"].startswith(sentence)
        await client.join("right", ALL_INCOMING)
        await insert_message(writer, 12)
        await client.next("postgres_changes", lambda said: said.topic == "realtime:right")

        assert await client.changes_until_now() == []
    topics = {said.topic for said in client.said if said.event == "postgres_changes"}
    assert topics == {"realtime:right"}


async def test_beside_a_wrong_wish_a_right_one_is_served(live: Running, writer: asyncpg.Connection) -> None:
    async with phoenix(live) as client:
        await client.join("shop", {**ALL_INCOMING, "table": "customers"}, ALL_INCOMING)
        said = [await client.system(), await client.system()]
        await insert_message(writer, 12)

        assert (await client.change())["table"] == INCOMING
    assert [item["status"] for item in said] == ["ok", "error"]
