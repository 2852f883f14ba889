"""The `link` part of a session's state: codes and ends of attempts, at once and to those who may see them."""

import asyncpg

from gateway.domain.access import Role
from tests.launcher.running import Running
from tests.realtime.live import pong, until
from tests.realtime.states import linking, made, seen_by_a_late_joiner, states_of


async def test_the_code_comes_by_push_and_a_late_joiner_has_it_at_once(live: Running) -> None:
    number = await made(live)
    async with live.socket() as socket:
        await socket.subscribe(f"session:{number}")
        pushed = await linking(live, socket, number)
        async with live.socket() as late:
            values = (await late.subscribe(f"session:{number}"))["state"]

        (link,) = [value for value in values if value["part"] == "link"]
        assert link.pop("version") >= pushed.pop("version")
        assert link == pushed
        assert set(pushed["data"]) >= {
            "qr_code", "qrCode", "seq", "issued_at", "expires_at", "attempt", "max_attempts",
        }  # fmt: skip
        assert pushed["data"]["qr_code"].startswith("data:image/svg+xml;")
        assert pushed["expires_at"] == pushed["data"]["expires_at"]
        assert (pushed["data"]["attempt"], pushed["data"]["max_attempts"]) == (1, 6)


async def test_a_new_code_replaces_the_old_one(live: Running) -> None:
    number = await made(live)
    async with live.socket() as socket:
        await socket.subscribe(f"session:{number}")
        first = await linking(live, socket, number)
        await live.data("POST", f"/_simulator/sessions/{number}/rotate-qr", token="")
        second = await socket.next(
            "state",
            lambda frame: frame["part"] == "link" and frame["data"]["qrCode"] != first["data"]["qrCode"],
        )

        assert second["data"]["seq"] == first["data"]["seq"] + 1
        assert second["version"] > first["version"]
        assert second["data"]["attempt"] == 2


async def test_viewers_get_no_code_by_any_way(live: Running) -> None:
    number = await made(live)
    viewer = live.token(Role.VIEWER)
    async with live.socket(viewer) as socket, live.socket() as agent:
        for topic in ("sessions", f"session:{number}"):
            await socket.subscribe(topic)
        await agent.subscribe(f"session:{number}")
        pushed = await linking(live, agent, number)
        late = await seen_by_a_late_joiner(live, f"session:{number}", viewer)
        await live.data("POST", f"/_simulator/sessions/{number}/scan", token="")
        await agent.state("session.link_ended")
        await pong(socket)

        assert set(late) == {"session"}
        assert {frame["part"] for frame in states_of(socket.frames)} == {"session"}
        assert pushed["data"]["qrCode"] not in str(socket.frames)


async def test_an_agent_who_becomes_a_viewer_gets_no_further_code(live: Running) -> None:
    number = await made(live)
    async with live.socket() as socket, live.socket() as agent:
        for each in (socket, agent):
            await each.subscribe(f"session:{number}")
        await linking(live, agent, number)
        await socket.state("session.qr")
        await socket.send(type="auth", token=live.token(Role.VIEWER))
        await socket.next("authenticated")
        before = len(socket.frames)
        await live.data("POST", f"/_simulator/sessions/{number}/rotate-qr", token="")
        await agent.state("session.qr")
        await pong(socket)

        assert [frame for frame in states_of(socket.frames[before:]) if frame["part"] == "link"] == []


async def test_the_list_of_sessions_has_no_codes(live: Running) -> None:
    number = await made(live)
    async with live.socket() as socket:
        for topic in ("sessions", f"session:{number}"):
            await socket.subscribe(topic)
        await linking(live, socket, number)
        await pong(socket)

        listed = [frame for frame in states_of(socket.frames) if frame["topic"] == "sessions"]
        assert {frame["part"] for frame in listed} == {"session"}
        assert await seen_by_a_late_joiner(live, "sessions") == {"session": "session.status"}


async def test_an_expired_code_is_never_sent_to_a_late_joiner(
    live: Running, writer: asyncpg.Connection
) -> None:
    number = await made(live)
    async with live.socket() as socket:
        await socket.subscribe(f"session:{number}")
        pushed = await linking(live, socket, number)
        await writer.execute(
            "UPDATE gateway.whatsapp_link_attempts SET expires_at = clock_timestamp() - interval '1 ms'"
        )
        states, values = live.gateway.live.states, live.gateway.live.state_values

        def is_expired() -> bool:
            return not [value for value in values.of_session(states.row(number)) if value.part == "link"]

        await until(is_expired, "the gateway has read it")
        assert await seen_by_a_late_joiner(live, f"session:{number}") == {"session": "session.status"}
        codes = [frame for frame in await pong(socket) if frame.get("event") == "session.qr"]
        assert codes == [], f"{pushed['data']['seq']} was sent again after its end"


async def test_the_end_of_an_attempt_stays_until_there_is_a_new_one(live: Running) -> None:
    number = await made(live)
    topic = f"session:{number}"
    async with live.socket() as socket:
        await socket.subscribe(topic)
        await linking(live, socket, number)
        await live.data("POST", f"/_simulator/sessions/{number}/scan", token="")
        ended = await socket.state("session.link_ended")
        assert ended["data"] == {"reason": "connected", "error": None}
        assert (await seen_by_a_late_joiner(live, topic))["link"] == "session.link_ended"

        await live.data("POST", f"/_simulator/sessions/{number}/unlink", token="")
        await linking(live, socket, number)
        assert (await seen_by_a_late_joiner(live, topic))["link"] == "session.qr"


async def test_the_end_of_an_attempt_is_forgotten_after_ten_minutes(
    live: Running, writer: asyncpg.Connection
) -> None:
    number = await made(live)
    async with live.socket() as socket:
        await socket.subscribe(f"session:{number}")
        await linking(live, socket, number)
        await live.data("POST", f"/api/whatsapp-sessions/{number}/disconnect")
        ended = await socket.state("session.link_ended")
        assert ended["data"]["reason"] == "cancelled"
        await writer.execute(
            "UPDATE gateway.whatsapp_link_attempts SET ended_at = ended_at - interval '10 min'"
        )
        states, values = live.gateway.live.states, live.gateway.live.state_values
        await until(lambda: len(values.of_session(states.row(number))) == 1, "the gateway has read it")

    assert await seen_by_a_late_joiner(live, f"session:{number}") == {"session": "session.status"}


async def test_a_code_that_somebody_else_brings_is_pushed(live: Running, writer: asyncpg.Connection) -> None:
    number = await made(live)
    async with live.socket() as socket:
        await socket.subscribe(f"session:{number}")
        await linking(live, socket, number)
        await writer.execute(
            "UPDATE gateway.whatsapp_link_attempts SET code = '2@theirs', seq = seq + 1, attempt = attempt + 1"
        )

        # The poller may answer with upstream's own code in the same moment: only the newest value is pushed.
        theirs = await socket.next("state", lambda frame: frame["data"].get("seq", 0) > 1)
        assert theirs["data"]["qr_code"].startswith("data:image/svg+xml;")
