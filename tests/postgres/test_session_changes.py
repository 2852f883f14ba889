"""Changes of sessions and linking attempts: versions, bells, and the stream of sessions."""

import asyncio

import asyncpg
import pytest

from gateway.domain.streams import SESSIONS_INBOX
from gateway.postgres.streams import StreamStore
from tests.postgres.writers import (
    INBOX_CHANNEL,
    SESSIONS_CHANNEL,
    Bells,
    insert_message,
    insert_session,
    is_empty,
    version_of,
)

ATTEMPTS = "gateway.whatsapp_link_attempts"


async def test_every_visible_change_of_a_session_grows_its_version_and_rings(
    connection: asyncpg.Connection, bells: Bells
) -> None:
    await insert_session(connection, 12)
    created = await version_of(connection, 12)
    await connection.execute("UPDATE whatsapp_sessions SET status = 'connected'")
    moved = await version_of(connection, 12)
    await connection.execute("DELETE FROM whatsapp_sessions")

    assert (created, moved, await version_of(connection, 12)) == (1, 2, 3)
    assert [bell for bell in await bells.heard() if bell[0] == SESSIONS_CHANNEL] == [
        (SESSIONS_CHANNEL, "12")
    ] * 3


@pytest.mark.parametrize(
    "change",
    [
        "updated_at = now()",
        "api_key = 'other'",
        "webhook_secret = 'other'",
        """session_data = '{"a": 1}'""",
        "name = name",
    ],
)
async def test_change_nobody_may_see_rings_nothing(
    connection: asyncpg.Connection, bells: Bells, change: str
) -> None:
    await insert_session(connection, 12)
    await bells.heard()
    await connection.execute(f"UPDATE whatsapp_sessions SET {change}")

    assert await version_of(connection, 12) == 1
    assert await bells.heard() == []
    assert await is_empty(connection)


async def test_last_look_rings_nothing(connection: asyncpg.Connection, bells: Bells) -> None:
    await insert_session(connection, 12)
    await bells.heard()
    await connection.execute("UPDATE gateway.session_state SET checked_at = now(), source = 'poll'")

    assert await bells.heard() == []


async def test_new_session_has_an_inbox_and_a_placeholder_has_none(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_session(connection, 12)
    await insert_session(connection, -5)

    assert set(await store.extents()) == {-1, 0, 12}
    assert await version_of(connection, -5) == 1


async def test_stream_of_sessions_never_holds_a_secret(
    connection: asyncpg.Connection, store: StreamStore
) -> None:
    await insert_session(
        connection,
        12,
        api_key="KEY",
        webhook_secret="SECRET",
        session_data={"api_key": "KEY"},
        status="connected",
    )
    await connection.execute("UPDATE whatsapp_sessions SET status = 'expired', api_key = 'KEY2'")
    await connection.execute("DELETE FROM whatsapp_sessions")

    events = await store.read_after({SESSIONS_INBOX: 0}, 10)
    assert [event.operation for event in events] == ["INSERT", "UPDATE", "DELETE"]
    assert "status" in events[1].old["changed"]
    assert events[2].old["wasender_session_id"] == 12
    for event in events:
        assert not {"api_key", "webhook_secret", "session_data"} & (event.record or {}).keys()
        assert "KEY" not in repr(event)
        assert "SECRET" not in repr(event)


async def test_change_of_upstreams_id_moves_both_sessions(
    connection: asyncpg.Connection, bells: Bells
) -> None:
    await insert_session(connection, 12)
    await bells.heard()
    await connection.execute("UPDATE whatsapp_sessions SET wasender_session_id = 13")

    assert (SESSIONS_CHANNEL, "12,13") in await bells.heard()
    assert (await version_of(connection, 12), await version_of(connection, 13)) == (2, 1)


async def test_linking_attempt_shares_the_version_of_its_session(
    connection: asyncpg.Connection, bells: Bells
) -> None:
    await connection.execute(f"INSERT INTO {ATTEMPTS} (wasender_session_id) VALUES (12)")
    await connection.execute(f"UPDATE {ATTEMPTS} SET code = '2@x', seq = 1")
    await connection.execute(f"UPDATE {ATTEMPTS} SET ended_at = now(), reason = 'connected'")
    await connection.execute(f"DELETE FROM {ATTEMPTS}")

    assert await version_of(connection, 12) == 4
    assert await bells.heard() == [(SESSIONS_CHANNEL, "12")] * 4


async def test_one_transaction_is_one_version_and_one_bell_per_channel(
    connection: asyncpg.Connection, bells: Bells
) -> None:
    async with connection.transaction():
        await insert_session(connection, 15)
        await insert_session(connection, 12)
        await connection.execute("UPDATE whatsapp_sessions SET status = 'need_scan'")
        await connection.execute(f"INSERT INTO {ATTEMPTS} (wasender_session_id) VALUES (12)")
        await insert_message(connection, 12)

    assert await bells.heard() == [(SESSIONS_CHANNEL, "12,15"), (INBOX_CHANNEL, "-1,12")]
    assert (await version_of(connection, 12), await version_of(connection, 15)) == (1, 1)


async def test_second_running_attempt_of_a_session_is_refused(connection: asyncpg.Connection) -> None:
    await connection.execute(f"INSERT INTO {ATTEMPTS} (wasender_session_id) VALUES (12)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await connection.execute(f"INSERT INTO {ATTEMPTS} (wasender_session_id) VALUES (12)")
    await connection.execute(f"UPDATE {ATTEMPTS} SET ended_at = now()")
    await connection.execute(f"INSERT INTO {ATTEMPTS} (wasender_session_id) VALUES (12)")


async def test_truncate_of_sessions_moves_every_session(
    connection: asyncpg.Connection, store: StreamStore, bells: Bells
) -> None:
    await insert_session(connection, 12)
    epoch = (await store.extents([-1]))[-1].epoch
    await bells.heard()
    await connection.execute("TRUNCATE whatsapp_sessions CASCADE")

    assert await version_of(connection, 12) == 2
    assert (await store.extents([-1]))[-1].epoch != epoch
    assert await bells.heard() == [(SESSIONS_CHANNEL, "12"), (INBOX_CHANNEL, "-1")]


async def test_versions_grow_by_one_under_many_writers(database: str, connection: asyncpg.Connection) -> None:
    await insert_session(connection, 1)
    await insert_session(connection, 2)

    async def write(number: int) -> None:
        writer = await asyncpg.connect(database)
        order = (1, 2) if number % 2 else (2, 1)
        try:
            for turn in range(10):
                async with writer.transaction():
                    for session_id in order:
                        await writer.execute(
                            f"INSERT INTO {ATTEMPTS} (wasender_session_id, ended_at, reason) VALUES ($1, now(), $2)",
                            session_id,
                            str(turn),
                        )
        finally:
            await writer.close()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(write(number), name=f"writer-{number}")

    assert (await version_of(connection, 1), await version_of(connection, 2)) == (81, 81)


async def test_deleting_a_session_deletes_its_logs_and_keeps_its_messages(
    connection: asyncpg.Connection,
) -> None:
    await insert_session(connection, 12)
    await insert_message(connection, 12)
    await connection.execute(
        "INSERT INTO whatsapp_session_logs (session_id, event_type) "
        "SELECT id, 'created' FROM whatsapp_sessions UNION ALL SELECT NULL, 'session_deleted'"
    )
    await connection.execute("DELETE FROM whatsapp_sessions")

    assert [row["event_type"] for row in await connection.fetch("SELECT * FROM whatsapp_session_logs")] == [
        "session_deleted"
    ]
    assert await connection.fetchval("SELECT count(*) FROM whatsapp_incoming_messages") == 1


async def test_the_bell_of_the_keys_rings_for_keys_alone_and_names_their_sessions(
    connection: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    rung: list[str] = []
    await other.add_listener("whatsapp_session_keys", lambda *heard: rung.append(str(heard[3])))
    await insert_session(connection, 12)
    await insert_session(connection, 13)
    for nothing in ("status = 'need_scan'", "name = 'x'", "api_key = api_key", "updated_at = now()"):
        await connection.execute(f"UPDATE whatsapp_sessions SET {nothing}")
    await connection.execute("UPDATE whatsapp_sessions SET api_key = 'k' WHERE wasender_session_id = 13")
    await connection.execute("UPDATE whatsapp_sessions SET webhook_secret = 's'")
    await connection.execute("UPDATE whatsapp_sessions SET wasender_session_id = 14 WHERE api_key = 'k'")
    await connection.execute("DELETE FROM whatsapp_sessions WHERE wasender_session_id = 14")
    await connection.execute("TRUNCATE whatsapp_sessions CASCADE")
    async with asyncio.timeout(20):
        while "*" not in rung:
            await other.execute("SELECT 1")

    assert rung == ["12", "13", "13", "12,13", "13,14", "14", "*"]
