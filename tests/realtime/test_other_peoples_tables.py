"""What a shop does with its tables while gateways and clients are live."""

import asyncpg

from gateway.domain.streams import Inbox
from gateway.postgres.migrations.runner import migrate
from tests.launcher.running import Running
from tests.postgres.writers import INCOMING, insert_message, insert_session
from tests.realtime.live import until

LARGEST = 2**63 - 1


async def test_a_repeatable_read_writer_is_told_at_once(live: Running, writer: asyncpg.Connection) -> None:
    async with live.socket() as socket:
        await socket.subscribe("inbox:12")
        async with writer.transaction(isolation="repeatable_read"):
            await insert_message(writer, 12, message_text="from a snapshot")
        event = await socket.event("message.created")
        assert (event["off"], event["data"]["message_text"]) == (1, "from a snapshot")


async def test_a_value_that_cannot_be_told_is_null_and_named(
    live: Running, writer: asyncpg.Connection
) -> None:
    await writer.execute(f"ALTER TABLE {INCOMING} ADD COLUMN info jsonb, ADD COLUMN fine jsonb")
    async with live.socket() as socket:
        await socket.subscribe("inbox:12")
        await writer.execute(
            f"INSERT INTO {INCOMING} (message_id, from_phone, wasender_session_id, received_at, info, fine)"
            """ VALUES ('m', '491', 12, '-infinity', '{"x":1e400}', '{"y": 1}')"""
        )
        event = await socket.event("message.created")
        assert event["errors"] == ["info", "received_at"]
        assert (event["data"]["info"], event["data"]["received_at"]) == (None, None)
        assert event["data"]["fine"] == {"y": 1}
        assert "" not in event["data"]
        await insert_message(writer, 12)
        assert "errors" not in await socket.event("message.created")

    thread = await live.data("GET", "/api/conversations/491/messages?session=12")
    assert [message["at"] for message in thread["messages"]] == [None]


async def test_poison_in_a_session_ends_nothing(live: Running, writer: asyncpg.Connection) -> None:
    await insert_session(writer, 12)
    await writer.execute("ALTER TABLE whatsapp_sessions ADD COLUMN own timestamptz, ADD COLUMN deep jsonb")
    deep = '{"a":' * 2000 + "1" + "}" * 2000
    async with live.socket() as socket:
        await socket.subscribe("session:12")
        await writer.execute(
            """UPDATE whatsapp_sessions SET name = 'poisoned', user_info = '{"x":1e400}', own = '20000-01-01',"""
            " deep = $1::text::jsonb, created_at = '4713-01-01 BC', updated_at = 'infinity',"
            " last_connected_at = '-infinity'",
            deep,
        )
        state = await socket.next("state", lambda frame: frame["data"].get("name") == "poisoned")
        assert (state["data"]["user_info"], state["data"]["created_at"]) == (None, None)
    (session,) = await live.data("GET", "/api/whatsapp-sessions")
    assert session["name"] == "poisoned"
    for sort in ("created_at", "-updated_at", "last_connected_at"):
        await live.data("GET", f"/api/whatsapp-sessions?sort={sort}&limit=1")
    await live.data("GET", "/api/whatsapp-sessions/12")


async def test_logs_with_odd_times_and_facts_are_all_listed_page_by_page(
    live: Running, writer: asyncpg.Connection
) -> None:
    await insert_session(writer, 12)
    for number, time in enumerate(
        ("infinity", "20000-01-01", "2026-01-01", "-infinity", "0044-03-15 BC", "2025-01-01")
    ):
        await writer.execute(
            "INSERT INTO whatsapp_session_logs (session_id, event_type, metadata, created_at)"
            " SELECT id, $1, '{\"x\": 1e400}', $2::text::timestamptz FROM whatsapp_sessions",
            f"event {number}",
            time,
        )
    found: list[str] = []
    cursor = ""
    while len(found) < 20:
        _, page = await live.call("GET", f"/api/whatsapp-sessions/12/logs?limit=2{cursor}")
        found += [row["event_type"] for row in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert sorted(found) == [f"event {number}" for number in range(6)]
    status, _ = await live.call("GET", "/api/whatsapp-sessions/12/logs?format=csv")
    assert status == 200


async def test_an_id_of_nineteen_digits_locks_nobody_out(live: Running, writer: asyncpg.Connection) -> None:
    async with live.socket() as socket:
        await insert_message(writer, LARGEST, message_text="first")
        await until(
            lambda: live.gateway.live.hub.position(Inbox(LARGEST)) is not None,
            "the gateway knows the inbox",
        )
        all_of = await socket.subscribe("inbox:*", after={})
        tops = all_of["tops"]
        assert tops[str(LARGEST)]["off"] == 1
    async with live.socket() as socket:
        await insert_message(writer, LARGEST, message_text="missed")
        await socket.send(type="subscribe", ref="all", topic="inbox:*", after=tops)
        event = await socket.event("message.created")
        assert (event["off"], event["data"]["message_text"]) == (2, "missed")
        await socket.subscribe(f"inbox:{LARGEST}")
    listed = await live.data("GET", f"/api/conversations?session={LARGEST}")
    assert str(LARGEST) in listed["position"]
    assert await live.gateway.live.listener.acquire(LARGEST)
    await live.gateway.live.listener.release(LARGEST)


async def test_triggers_that_are_off_are_said_and_repaired(
    live: Running, writer: asyncpg.Connection, database: str
) -> None:
    check = live.gateway.live.triggers

    async def readiness() -> dict[str, str]:
        return dict((await live.call("GET", "/readyz", token=""))[1])

    async with live.socket() as socket:
        await insert_message(writer, 12)
        after = await socket.subscribe("inbox:12")
        await writer.execute(f"ALTER TABLE {INCOMING} DISABLE TRIGGER USER")
        await check.check()
        assert (await readiness())["status"] == "degraded"
        assert "`gateway migrate`" in (await readiness())["why"]

        await insert_message(writer, 12, message_text="untold")
        await migrate(database, report=lambda _: None)
        reset = await socket.next("reset", lambda frame: frame["topic"] == "inbox:12")
        assert (reset["reason"], reset["epoch"] != after["epoch"]) == ("epoch_changed", True)
        await insert_message(writer, 12, message_text="told")
        assert (await socket.event("message.created"))["data"]["message_text"] == "told"
        await check.check()
        assert (await readiness())["status"] == "ready"


async def test_a_mark_of_another_history_is_seen_while_the_gateway_runs(
    live: Running, writer: asyncpg.Connection
) -> None:
    """As when a dump is restored over the tables: no connection breaks."""
    async with live.socket() as socket:
        await insert_message(writer, 12)
        await socket.subscribe("inbox:12")
        await writer.execute("UPDATE gateway.settings SET value = value WHERE key = 'history'")
        live.gateway.live.feed.notify("*")
        assert (await socket.next("reset"))["reason"] == "epoch_changed"
        await until(lambda: live.gateway.stale_since is None, "all is well")
