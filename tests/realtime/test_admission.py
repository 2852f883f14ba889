"""Who may open a socket, and with which words the others are sent away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from websockets.asyncio.client import connect

from gateway.domain.access import Principal, Role
from gateway.domain.errors import RateLimited
from gateway.realtime.pace import SocketPace
from gateway.realtime.transport.socket_transport import AsgiTransport
from gateway.realtime.transport.uvicorn_protocol import ReadyFrameTransport
from tests.launcher.running import UNWATCHED, Running, Socket, running
from tests.launcher.settings import settings_for
from tests.realtime.live import close_code, connection_of, roster_of, until


@contextlib.asynccontextmanager
async def knocking(gateway: Running, query: str = "", **headers: str) -> AsyncIterator[Socket]:
    """A socket that has been accepted; whether it stays is another matter."""
    address = gateway.url.replace("http", "ws", 1) + "/ws" + query
    async with connect(address, additional_headers=headers, compression=None) as raw:
        yield Socket(raw)


def expired(gateway: Running) -> str:
    return gateway.token(life_s=-60)


async def test_the_two_ways_of_writing_are_the_ones_that_are_tested(live: Running, way: str) -> None:
    async with live.socket():
        outlet = connection_of(live).transport

        assert isinstance(outlet, ReadyFrameTransport if way == "ready frames" else AsgiTransport)


async def test_a_bearer_token_is_welcomed(shared_live: Running) -> None:
    async with knocking(shared_live, Authorization=f"Bearer {shared_live.token()}") as socket:
        welcome = await socket.receive()

        assert welcome["type"] == "welcome"
        assert (welcome["heartbeat_s"], welcome["protocol"]) == (25, 1)
        assert welcome["connection"]
        assert welcome["version"]


def cookie_of(live: Running, token: str | None = None) -> str:
    """The page's cookie, as a login sets it."""
    return f"{live.gateway.access.cookie.name('http')}={token or live.token()}"


async def test_the_page_gets_in_with_its_cookie(shared_live: Running) -> None:
    origin = shared_live.url
    async with knocking(shared_live, Cookie=cookie_of(shared_live), Origin=origin) as socket:
        assert (await socket.receive())["type"] == "welcome"


async def test_a_ticket_opens_one_socket_and_no_second(shared_live: Running) -> None:
    ticket = (await shared_live.data("POST", "/api/tickets", {"for": "ws"}))["ticket"]
    async with knocking(shared_live, f"?ticket={ticket}") as socket:
        assert (await socket.receive())["type"] == "welcome"

    async with knocking(shared_live, f"?ticket={ticket}") as socket:
        assert await close_code(socket) == 4501


async def test_guessed_tickets_are_held_to_the_rate_of_an_address(live: Running) -> None:
    rates = roster_of(live).rates
    try:
        while True:
            rates.request(None, "127.0.0.1")
    except RateLimited:
        pass
    async with knocking(live, "?ticket=guessed") as socket:
        assert await close_code(socket) == 1013


async def test_a_ticket_for_fewer_sessions_gives_a_socket_for_fewer_sessions(shared_live: Running) -> None:
    wish = {"for": "ws", "role": "viewer", "sessions": [7]}
    ticket = (await shared_live.data("POST", "/api/tickets", wish))["ticket"]
    async with knocking(shared_live, f"?ticket={ticket}") as socket:
        await socket.next("welcome")
        await socket.send(type="subscribe", ref="1", topic="inbox:8")

        assert (await socket.next("error"))["code"] == "forbidden"


async def test_a_first_frame_may_say_who_is_calling(shared_live: Running) -> None:
    async with knocking(shared_live) as socket:
        await socket.send(type="auth", token=shared_live.token())

        assert (await socket.receive())["type"] == "welcome"


@pytest.mark.usefixtures("way")
async def test_whoever_says_nothing_is_sent_away(database: str, tmp_path: Path) -> None:
    hasty = replace(UNWATCHED, sockets=SocketPace(first_frame_s=0.05))
    async with running(settings_for(database, tmp_path), timings=hasty) as live, knocking(live) as socket:
        assert await close_code(socket) == 4501


async def test_a_first_frame_that_says_something_else_is_refused(shared_live: Running) -> None:
    for frame in ('{"type":"subscribe","topic":"sessions"}', '{"type":"auth"}', "{}"):
        async with knocking(shared_live) as socket:
            await socket.raw.send(frame)

            assert await close_code(socket) == 4501, frame


async def test_a_first_frame_that_is_no_frame_of_ours_is_a_bad_frame(shared_live: Running) -> None:
    frames: tuple[str | bytes, ...] = ("hello", "[]", b"\x00")
    for frame in frames:
        async with knocking(shared_live) as socket:
            await socket.raw.send(frame)

            assert await close_code(socket) == 4500, frame


async def test_an_expired_login_is_refused_in_every_way_it_can_come(shared_live: Running) -> None:
    token = expired(shared_live)
    async with knocking(shared_live, Authorization=f"Bearer {token}") as socket:
        assert await close_code(socket) == 4501
    async with knocking(shared_live, Cookie=cookie_of(shared_live, token)) as socket:
        assert await close_code(socket) == 4501
    async with knocking(shared_live) as socket:
        await socket.send(type="auth", token=token)
        assert await close_code(socket) == 4501


async def test_a_token_that_is_none_is_refused(shared_live: Running) -> None:
    for token in ("", "nonsense", "a.b.c"):
        async with knocking(shared_live, Authorization=f"Bearer {token}") as socket:
            assert await close_code(socket) == 4501, token


async def test_a_refused_socket_has_been_accepted_before(shared_live: Running) -> None:
    # A browser sees nothing of a refused handshake but "failed"; of a close it sees code and reason.
    async with knocking(shared_live, Authorization="Bearer nonsense") as socket:
        assert socket.raw.response is not None
        assert socket.raw.response.status_code == 101
        assert await close_code(socket) == 4501
        assert socket.raw.close_reason


async def test_a_foreign_page_is_refused_whatever_it_brings(shared_live: Running) -> None:
    ticket = (await shared_live.data("POST", "/api/tickets", {"for": "ws"}))["ticket"]
    foreign = "https://elsewhere.example"
    async with knocking(shared_live, Cookie=cookie_of(shared_live), Origin=foreign) as socket:
        assert await close_code(socket) == 4503
    async with knocking(shared_live, f"?ticket={ticket}", Origin=foreign) as socket:
        assert await close_code(socket) == 4503
    async with knocking(shared_live, Origin=foreign) as socket:
        assert await close_code(socket) == 4503

    async with knocking(shared_live, f"?ticket={ticket}", Origin=shared_live.url) as socket:
        assert (await socket.receive())["type"] == "welcome", "the foreign page used the ticket up"


async def test_a_page_that_the_operator_named_gets_in(way: str, database: str, tmp_path: Path) -> None:
    settings = settings_for(database, tmp_path, allowed_origins="https://shop.example")
    async with running(settings) as gateway:
        token = f"Bearer {gateway.token()}"
        async with knocking(gateway, Authorization=token, Origin="https://shop.example") as socket:
            assert (await socket.receive())["type"] == "welcome"


async def test_one_socket_too_many_is_refused(way: str, database: str, tmp_path: Path) -> None:
    async with (
        running(settings_for(database, tmp_path, max_connections=1)) as gateway,
        gateway.socket(),
        knocking(gateway, Authorization=f"Bearer {gateway.token()}") as socket,
    ):
        assert await close_code(socket) == 4529


async def test_a_login_that_expires_while_connected_ends_the_connection(shared_live: Running) -> None:
    async with shared_live.socket(shared_live.token(life_s=2)) as socket:
        assert await close_code(socket) == 4501


async def test_a_renewed_login_outlives_the_first_one(live: Running) -> None:
    async with live.socket(live.token(life_s=60)) as socket:
        await socket.send(type="auth", ref="5", token=live.token(life_s=6000))
        renewed = await socket.next("authenticated")
        assert renewed["ref"] == "5"

        assert (connection_of(live).principal.expires_at or 0) > time.time() + 3000


async def test_a_bad_renewal_is_an_error_and_changes_nothing(shared_live: Running) -> None:
    async with shared_live.socket() as socket:
        await socket.send(type="auth", ref="5", token=expired(shared_live))
        error = await socket.next("error")
        assert (error["ref"], error["code"]) == ("5", "unauthenticated")

        assert (await socket.subscribe("sessions"))["state"] == []


async def test_an_ended_socket_leaves_nothing_behind(live: Running) -> None:
    before = {task.get_name() for task in asyncio.all_tasks()}
    async with live.socket() as socket:
        await socket.subscribe("inbox:*")
        await socket.subscribe("sessions")
    async with knocking(live, Authorization="Bearer nonsense") as socket:
        await close_code(socket)

    names = {"connection-writer"}
    await until(
        lambda: not names & {task.get_name() for task in asyncio.all_tasks()} - before, "no task is left"
    )
    hub = live.gateway.live.hub
    assert not hub.connections
    assert not roster_of(live).open
    assert not hub.is_watched("sessions")
    assert not hub.is_followed(0)


async def test_a_login_past_its_end_is_noticed_by_the_next_tick(live: Running) -> None:
    async with live.socket() as socket:
        connection = connection_of(live)
        over = Principal("tester", "Tester", Role.ADMIN, None)
        connection.principal = replace(over, expires_at=time.time() - 1)
        roster_of(live).tick()

        assert await close_code(socket) == 4501
