"""REPLICA IDENTITY FULL: `old` of an UPDATE or DELETE is the whole row, without secrets; otherwise its key."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from gateway.domain.access import Role
from tests.launcher.running import Running
from tests.postgres.writers import insert_message
from tests.realtime.live import heard
from tests.realtime.phoenix import ALL_INCOMING, INCOMING, OUTGOING, SESSIONS, phoenix

TABLES = (INCOMING, OUTGOING, SESSIONS)
EVERYTHING = [{"event": "*", "schema": "public", "table": table} for table in TABLES]


@pytest_asyncio.fixture
async def full(writer: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
    """A shop whose tables have REPLICA IDENTITY FULL."""
    for table in TABLES:
        await writer.execute(f"ALTER TABLE {table} REPLICA IDENTITY FULL")
    yield writer


async def add_session(db: asyncpg.Connection, number: int) -> None:
    await db.execute(
        f"""INSERT INTO {SESSIONS} (wasender_session_id, name, phone_number, api_key, webhook_secret, session_data)
        VALUES ($1, 'old name', '+1', 'a secret key', 'a secret', '{{"key": "a secret key"}}')""",
        number,
    )


async def test_a_messages_old_row_is_whole(live: Running, full: asyncpg.Connection) -> None:
    async with phoenix(live) as client:
        await client.join("shop", *EVERYTHING)
        row = await insert_message(full, 12, message_text="first", raw_data='{"apiKey": "a secret"}')
        inserted = await client.change()
        await full.execute(
            f"UPDATE {INCOMING} SET message_text = 'second', is_read = true WHERE id = $1", row
        )
        changed = await client.change()
        await full.execute(f"DELETE FROM {INCOMING} WHERE id = $1", row)
        deleted = await client.change()

    assert "old_record" not in inserted
    assert changed["old_record"] == inserted["record"]
    assert changed["record"]["message_text"] == "second"
    assert deleted["old_record"] == changed["record"]
    assert "record" not in deleted
    assert all("raw_data" not in str(item) for item in (changed, deleted))
    assert list(changed["old_record"]) == [item["name"] for item in changed["columns"]]


async def test_an_answers_and_a_sessions_old_row_is_whole_but_for_secrets(
    live: Running, full: asyncpg.Connection
) -> None:
    async with phoenix(live) as client:
        await client.join("shop", *EVERYTHING)
        await full.execute(
            f"INSERT INTO {OUTGOING} (client_id, wasender_session_id, message_text) VALUES ('c', 12, 'x')"
        )
        sent = await client.change()
        await full.execute(f"UPDATE {OUTGOING} SET status = 'sent'")
        assert (await client.change())["old_record"] == sent["record"]
        await full.execute(f"DELETE FROM {OUTGOING}")
        assert (await client.change())["old_record"]["status"] == "sent"

        await add_session(full, 12)
        made = await client.change()
        await full.execute(f"UPDATE {SESSIONS} SET name = 'new name'")
        renamed = await client.change()
        await full.execute(f"DELETE FROM {SESSIONS}")
        gone = await client.change()

    assert renamed["old_record"]["name"] == "old name"
    assert renamed["old_record"].keys() == made["record"].keys()
    assert gone["old_record"]["name"] == "new name"
    assert "secret" not in str([made, renamed, gone])


async def test_without_it_old_is_the_key(live: Running, writer: asyncpg.Connection) -> None:
    async with phoenix(live) as client:
        await client.join("shop", *EVERYTHING)
        row = await insert_message(writer, 12)
        await add_session(writer, 12)
        await writer.execute(f"UPDATE {INCOMING} SET is_read = true")
        await writer.execute(f"DELETE FROM {INCOMING}")
        await writer.execute(f"UPDATE {SESSIONS} SET name = 'new'")
        changes = [await client.change() for _ in range(5)]

    old = {change["type"] + change["table"]: change.get("old_record") for change in changes}
    assert old["UPDATE" + INCOMING] == old["DELETE" + INCOMING] == {"id": row}
    assert list(old["UPDATE" + SESSIONS] or ()) == ["id"]


@pytest.mark.parametrize(
    "identity", ["DEFAULT", "NOTHING", "USING INDEX whatsapp_incoming_messages_message_id_key"]
)
async def test_other_identities_keep_to_the_key(
    live: Running, writer: asyncpg.Connection, identity: str
) -> None:
    await writer.execute(f"ALTER TABLE {INCOMING} REPLICA IDENTITY FULL")
    await writer.execute(f"ALTER TABLE {INCOMING} REPLICA IDENTITY {identity}")
    async with phoenix(live) as client:
        await client.join("shop", ALL_INCOMING)
        row = await insert_message(writer, 12)
        await writer.execute(f"UPDATE {INCOMING} SET is_read = true")
        await client.change()

        assert (await client.change())["old_record"] == {"id": row}


async def test_a_filter_of_a_deletion_looks_at_the_whole_old_row(
    live: Running, full: asyncpg.Connection
) -> None:
    async with phoenix(live) as client:
        await client.join("shop", {**ALL_INCOMING, "event": "DELETE", "filter": "message_type=eq.image"})
        await insert_message(full, 12, message_type="text")
        image = await insert_message(full, 12, message_type="image")
        await full.execute(f"DELETE FROM {INCOMING}")

        assert (await client.change())["old_record"]["id"] == image
        assert await client.changes_until_now() == []


async def test_chosen_columns_are_chosen_of_the_old_row_too(live: Running, full: asyncpg.Connection) -> None:
    async with phoenix(live) as client:
        await client.join("shop", {**ALL_INCOMING, "select": ["message_text"]})
        row = await insert_message(full, 12, message_text="first")
        await client.change()
        await full.execute(f"UPDATE {INCOMING} SET message_text = 'second'")

        assert (await client.change())["old_record"] == {"id": row, "message_text": "first"}


async def test_a_moved_row_shows_what_it_was_to_those_who_could_read_it(
    live: Running, full: asyncpg.Connection
) -> None:
    row = await insert_message(full, 12, message_text="moves")
    await add_session(full, 12)
    for inbox in (12, -1):
        await heard(live, inbox, 1)
    keys = {number: live.token(Role.VIEWER, sessions={number}) for number in (12, 13)}
    async with phoenix(live, keys[12]) as twelve, phoenix(live, keys[13]) as thirteen:
        for client in (twelve, thirteen):
            await client.join("shop", *EVERYTHING)
        await full.execute(
            f"UPDATE {INCOMING} SET wasender_session_id = 13, message_text = 'has moved' WHERE id = $1", row
        )
        gone, come = await twelve.change(), await thirteen.change()
        await full.execute(f"UPDATE {SESSIONS} SET wasender_session_id = 13, name = 'has moved'")
        session = await thirteen.change()

    assert (gone["type"], gone["old_record"]["message_text"]) == ("DELETE", "moves")
    assert (come["type"], "old_record" in come) == ("INSERT", False)
    assert (session["type"], list(session["old_record"])) == ("UPDATE", ["id"])


async def test_long_old_values_are_left_out_and_the_frame_says_so(
    live: Running, full: asyncpg.Connection
) -> None:
    async with phoenix(live) as client:
        await client.join("shop", ALL_INCOMING)
        await insert_message(
            full, 12, message_text="x" * 70_000, push_name="y" * 60_000, media_url="z" * 60_000
        )
        await client.change()
        await full.execute(f"UPDATE {INCOMING} SET message_text = 'short'")
        change = await client.change()

    assert "message_text" not in change["old_record"]
    assert change["old_record"]["push_name"] == "y" * 60_000
    assert change["errors"] == ["Error 413: Payload Too Large"]


async def test_our_own_dialect_says_no_more_than_before(live: Running, full: asyncpg.Connection) -> None:
    async with live.socket() as socket:
        await socket.subscribe("inbox:12")
        row = await insert_message(full, 12, message_text="a secret of the shop")
        await socket.event("message.created")
        await full.execute(f"DELETE FROM {INCOMING}")
        data: dict[str, Any] = (await socket.event("message.deleted"))["data"]

    assert data["id"] == str(row)
    assert "secret" not in str(data)
