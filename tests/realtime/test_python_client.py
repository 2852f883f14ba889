"""The Python client against the real thing: what it promises must hold over real sockets and restarts."""

import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import asyncpg
import jwt
import pytest

from gateway.client import (
    Client,
    Closed,
    Event,
    Inbox,
    Live,
    Refused,
    Reset,
    Snapshot,
    State,
    Status,
    connect,
)
from gateway.client.client import ClientLimits, socket_url
from gateway.client.login import Login
from gateway.domain.access import Role
from gateway.runtime.listen_socket import address_of, bind
from tests.launcher.running import DEADLINE_S, Running, running
from tests.launcher.settings import SECRET, settings_for
from tests.postgres.writers import insert_many, insert_message, insert_session

T = TypeVar("T")


async def soon(waited: Awaitable[T]) -> T:
    async with asyncio.timeout(DEADLINE_S):
        return await waited


async def events(inbox: Inbox, up_to: int) -> list[Event]:
    """The events of one inbox up to an offset."""
    found: list[Event] = []
    while not found or found[-1].off < up_to:
        item = await soon(anext(inbox))
        if isinstance(item, Event):
            found.append(item)
    return found


async def live(inbox: Inbox) -> Live:
    while not isinstance(item := await soon(anext(inbox)), Live):
        pass
    return item


async def test_from_where_rest_stands_nothing_is_missed_and_nothing_comes_twice(
    gateway: Running, writer: asyncpg.Connection
) -> None:
    await insert_many(writer, 12, 3)
    status = 503
    while status == 503:  # it says to come again, as after a machine stood still
        status, reply = await gateway.call("GET", "/api/conversations")
    await insert_many(writer, 12, 4)
    async with gateway.client() as client:
        inbox = client.inbox("*", after=reply["data"]["position"])
        found = await events(inbox, 7)
        top = await live(inbox)

    assert [event.off for event in found] == [4, 5, 6, 7]
    assert found[0].name == "message.created"
    assert found[0].data["session_id"] == 12
    assert top.position["12"]["off"] == 7
    assert inbox.position["12"] == top.position["12"]


async def test_a_gateway_that_restarts_in_the_middle_is_not_noticed_in_what_arrives(
    database: str, tmp_path: Path, writer: asyncpg.Connection
) -> None:
    with bind("127.0.0.1", 0) as free:
        url, port = address_of(free), free.getsockname()[1]
    claims = {"sub": "shop", "role": "admin", "sessions": "*", "exp": int(time.time()) + 600}
    token = jwt.encode(claims, SECRET)
    async with connect(url, token=token) as client:
        inbox, sessions = client.inbox("*"), client.sessions()
        async with running(settings_for(database, tmp_path, port=port)):
            await live(inbox)
            await insert_message(writer, 12)
            before = await events(inbox, 1)
        await insert_many(writer, 12, 5)
        await insert_session(writer, 12)
        async with running(settings_for(database, tmp_path, port=port)):
            await insert_message(writer, 12)
            after = await events(inbox, 7)
            states = [await soon(anext(sessions)) for _ in range(2)]

    assert [event.off for event in before + after] == [1, 2, 3, 4, 5, 6, 7]
    assert [[state.session_id for state in item.states] for item in states if isinstance(item, Snapshot)] == [
        [],
        [12],
    ]


async def test_a_reader_that_is_slow_misses_nothing_and_holds_up_nobody(
    gateway: Running, writer: asyncpg.Connection
) -> None:
    login, limits = Login(gateway.token()), ClientLimits(queue_items=50)
    async with Client(socket_url(gateway.url), login, lambda _: None, limits=limits) as client:
        slow, other = client.inbox(7), client.inbox(8)
        await live(slow)
        await live(other)
        await insert_many(writer, 7, 300)
        await insert_message(writer, 8)
        await events(other, 1)
        kept = slow.waiting
        found = await events(slow, 300)

    assert kept < 60
    assert [event.off for event in found] == list(range(1, 301))


async def test_a_position_that_is_of_no_use_is_told_as_a_reset(
    gateway: Running, writer: asyncpg.Connection
) -> None:
    await insert_many(writer, 12, 3)
    async with gateway.client() as client:
        inbox = client.inbox(12, after={"off": 2, "epoch": "00000000-0000-0000-0000-000000000000"})
        reset = await soon(anext(inbox))
        await live(inbox)
        await insert_message(writer, 12)
        (event,) = await events(inbox, 4)

    assert isinstance(reset, Reset)
    assert (reset.inbox, reset.reason, reset.position["off"]) == ("12", "epoch_changed", 3)
    assert event.epoch == reset.position["epoch"]


async def test_states_come_as_a_snapshot_and_then_one_by_one(
    gateway: Running, writer: asyncpg.Connection
) -> None:
    await insert_session(writer, 12)
    async with gateway.client() as client:
        session = client.session(12)
        first = await soon(anext(session))
        await writer.execute("UPDATE whatsapp_sessions SET status = 'connected'")
        second = await soon(anext(session))

    assert isinstance(first, Snapshot)
    assert isinstance(second, State)
    assert second.version > first.states[0].version
    assert second.data is not None
    assert second.data["status"] == "connected"


async def test_what_one_may_not_read_is_refused(gateway: Running) -> None:
    async with gateway.client(gateway.token(Role.VIEWER, {12})) as client:
        with pytest.raises(Refused, match="forbidden"):
            await soon(anext(client.inbox(13)))


async def test_a_token_nobody_knows_ends_the_client(gateway: Running) -> None:
    async with gateway.client("not.a.token") as client:
        with pytest.raises(Closed, match="4501"):
            await soon(anext(client.inbox("*")))


class LaterClock:
    """A client's clock that can be put forward."""

    ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


def renewing(gateway: Running, *tokens: str) -> tuple[Client, list[Status], LaterClock]:
    """A client that is given these tokens, one after the other, and the log of its status."""
    left, said, clock = list(tokens), list[Status](), LaterClock()

    async def token() -> str:
        return left.pop(0)

    limits = ClientLimits(check_every_s=0.02)
    client = Client(socket_url(gateway.url), Login(token, clock), said.append, limits=limits)
    return client, said, clock


async def test_a_login_is_renewed_in_place(gateway: Running) -> None:
    tokens = gateway.token(Role.VIEWER, {12}), gateway.token(life_s=1200)
    client, said, clock = renewing(gateway, *tokens)
    async with client:
        inbox = client.inbox("*")
        before = await live(inbox)
        clock.ahead_s = 550
        after = await live(inbox)

        assert "0" not in before.position
        assert "0" in after.position
        assert said == ["online"]


async def test_a_narrower_login_ends_what_it_does_not_cover(gateway: Running) -> None:
    tokens = gateway.token(), gateway.token(Role.VIEWER, {12}, life_s=1200)
    client, said, clock = renewing(gateway, *tokens)
    async with client:
        covered, other = client.inbox(12), client.inbox(13)
        await live(covered)
        await live(other)
        clock.ahead_s = 550
        with pytest.raises(Refused, match="inbox:13"):
            await soon(anext(other))

        assert said == ["online"]
