"""States over a socket: the newest value at once, then each change of it, to whom it may concern."""

import time

import asyncpg

from gateway.domain.access import Role
from tests.launcher.running import Running
from tests.postgres.writers import insert_session
from tests.realtime.live import pong, until
from tests.realtime.states import made, seen_by_a_late_joiner, states_of


async def test_a_subscription_starts_with_the_value_of_now(live: Running) -> None:
    number = await made(live)
    async with live.socket() as socket:
        subscribed = await socket.subscribe(f"session:{number}")

        (value,) = subscribed["state"]
        assert set(value) == {
            "type", "topic", "session_id", "part", "version", "event", "at", "expires_at", "data",
        }  # fmt: skip
        assert (value["topic"], value["session_id"], value["part"]) == (
            f"session:{number}",
            number,
            "session",
        )
        assert value["event"] == "session.status"
        data = value["data"]
        assert (data["id"], data["name"], data["status"]) == (number, "Shop", "disconnected")
        assert (data["api_key"], data["webhook_secret"]) == ("", "")
        assert {"checked_at", "source", "stale"} <= set(data)


async def test_a_session_that_is_not_there_has_no_value_yet(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as socket:
        assert (await socket.subscribe("session:12"))["state"] == []
        await insert_session(writer, 12)

        assert (await socket.state("session.created"))["session_id"] == 12


async def test_sessions_has_one_frame_for_each_that_one_may_see(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as socket:
        await socket.subscribe("sessions")
        for number in (7, 8, 9):
            await insert_session(writer, number)
        await writer.execute("UPDATE whatsapp_sessions SET status = 'gone' WHERE wasender_session_id = 9")
        await socket.next("state", lambda frame: frame["data"]["status"] == "gone")
    async with live.socket() as socket:
        values = (await socket.subscribe("sessions"))["state"]

        assert [(value["session_id"], value["part"]) for value in values] == [(7, "session"), (8, "session")]
        assert {value["topic"] for value in values} == {"sessions"}
    async with live.socket(live.token(Role.VIEWER, {8})) as socket:
        values = (await socket.subscribe("sessions"))["state"]

        assert [value["session_id"] for value in values] == [8]


async def test_each_change_made_here_has_its_name(live: Running) -> None:
    async with live.socket() as socket:
        await socket.subscribe("sessions")
        number = await made(live)
        created = await socket.state("session.created")
        await live.data("PUT", f"/api/whatsapp-sessions/{number}", {"name": "Other"})
        updated = await socket.state("session.updated")
        await live.data("POST", f"/api/whatsapp-sessions/{number}/connect")
        status = await socket.state("session.status")
        await live.data("DELETE", f"/api/whatsapp-sessions/{number}")
        deleted = await socket.state("session.deleted")

        changes = [created, updated, status, deleted]
        assert [change["data"]["id"] for change in changes] == [number] * 4
        assert [change["part"] for change in changes] == ["session"] * 4
        assert (created["data"]["name"], updated["data"]["name"]) == ("Shop", "Other")
        assert status["data"]["status"] in ("connecting", "need_scan")
        versions = [frame["version"] for frame in states_of(socket.frames)]
        assert versions == sorted(set(versions)), "versions grow"
    assert await seen_by_a_late_joiner(live, f"session:{number}") == {}
    assert await seen_by_a_late_joiner(live, "sessions") == {}


async def test_each_change_made_by_somebody_else_has_its_name(
    live: Running, writer: asyncpg.Connection
) -> None:
    async with live.socket() as socket:
        await socket.subscribe("sessions")
        await socket.subscribe("session:12")
        for statement in (
            "INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number) VALUES (12, 'A', '+49')",
            "UPDATE whatsapp_sessions SET name = 'B'",
            "UPDATE whatsapp_sessions SET status = 'CONNECTED'",
            "DELETE FROM whatsapp_sessions",
        ):
            await writer.execute(statement)
            for _ in ("sessions", "session:12"):
                await socket.next("state")

        for topic in ("sessions", "session:12"):
            mine = [frame for frame in states_of(socket.frames) if frame["topic"] == topic]
            assert [frame["event"] for frame in mine] == [
                "session.created",
                "session.updated",
                "session.status",
                "session.deleted",
            ]
            assert mine[2]["data"]["status"] == "connected"
            versions = [frame["version"] for frame in mine]
            assert versions == sorted(set(versions))


async def test_having_been_checked_is_no_news(live: Running, writer: asyncpg.Connection) -> None:
    await insert_session(writer, 12, status="connected")
    async with live.socket() as socket:
        await socket.subscribe("sessions")
        await until(lambda: live.gateway.live.states.session(12) is not None, "the session is known")
        await pong(socket)
        before = len(states_of(socket.frames))
        await live.gateway.repositories.sessions.record_status(12, "connected", "probe", time.time())
        await writer.execute("UPDATE whatsapp_sessions SET status = 'CONNECTED', updated_at = now()")
        await writer.execute("UPDATE whatsapp_sessions SET api_key = 'another', webhook_secret = 'another'")
        await insert_session(writer, 13)
        await socket.next("state", lambda frame: frame["session_id"] == 13)

        after = states_of(socket.frames)[before:-1]
        assert [frame for frame in after if frame["event"] != "session.created"] == []


async def test_a_session_of_others_is_not_to_be_had(live: Running, writer: asyncpg.Connection) -> None:
    viewer = live.token(Role.VIEWER, {7})
    async with live.socket(viewer) as socket, live.socket() as witness:
        await witness.subscribe("sessions")
        await socket.subscribe("sessions")
        await socket.send(type="subscribe", ref="8", topic="session:8")
        assert (await socket.next("error"))["code"] == "forbidden"
        for number in (8, 7):
            await insert_session(writer, number)
        await witness.next("state", lambda frame: frame["session_id"] == 7)
        await pong(socket)

        assert {frame["session_id"] for frame in states_of(socket.frames)} == {7}


async def test_after_unsubscribed_no_state_comes(live: Running, writer: asyncpg.Connection) -> None:
    async with live.socket() as socket, live.socket() as witness:
        for topic in ("sessions", "session:7"):
            await witness.subscribe(topic)
            await socket.subscribe(topic)
            await socket.send(type="unsubscribe", ref="3", topic=topic)
            assert (await socket.next("unsubscribed"))["topic"] == topic
        await insert_session(writer, 7)
        await witness.state("session.created")

        assert states_of(await pong(socket)) == []


async def test_more_sessions_than_one_frame_holds_still_come(
    live: Running, writer: asyncpg.Connection
) -> None:
    await writer.execute(
        "INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number, webhook_url) "
        "SELECT i, 'S' || i, '+49', repeat('u', 1000) FROM generate_series(1, 400) AS i"
    )
    await until(lambda: len(live.gateway.live.states.rows()) == 400, "all are known")
    async with live.socket(max_size=256 * 1024) as socket:
        values = (await socket.subscribe("sessions"))["state"]
        await pong(socket)

        values += states_of(socket.frames)
        assert [value["session_id"] for value in values] == list(range(1, 401))
