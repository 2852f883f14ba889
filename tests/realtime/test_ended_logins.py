"""What ends or changes a login ends or changes its open sockets, of both dialects, on every gateway, within 2 s."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
import pytest_asyncio

from gateway.domain.access import Principal, Role
from tests.launcher.running import Running, Socket, running
from tests.launcher.settings import settings_for
from tests.realtime.phoenix import ALL_INCOMING, phoenix

WITHIN_S = 2.0
PASSWORD = "correct horse"


@pytest_asyncio.fixture
async def two(database: str, tmp_path: Path) -> AsyncIterator[list[Running]]:
    """Two gateways on one database."""
    async with (
        running(settings_for(database, tmp_path / "a")) as first,
        running(settings_for(database, tmp_path / "b")) as second,
    ):
        yield [first, second]


@pytest_asyncio.fixture
async def db(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def log_in(gateway: Running, name: str = "Ann", password: str = PASSWORD) -> str:
    """The cookie of a new login."""
    body = {"name": name, "password": password}
    async with aiohttp.ClientSession() as http, http.post(gateway.url + "/login", json=body) as reply:
        assert reply.status == 200, await reply.text()
        return reply.headers["Set-Cookie"].partition(";")[0]


async def add(gateway: Running, name: str = "Ann", **fields: Any) -> int:
    person = {"name": name, "role": "agent", "password": PASSWORD, **fields}
    return int((await gateway.data("POST", "/api/people", person))["id"])


async def with_cookie(
    gateway: Running, cookie: str, method: str, path: str, body: Any = None
) -> tuple[int, Any]:
    return await gateway.call(method, path, body, token="", headers={"Cookie": cookie})


@contextlib.asynccontextmanager
async def opened(gateways: list[Running], headers: dict[str, str]) -> AsyncIterator[list[Any]]:
    """A socket of our own dialect on each gateway, by cookie or token, subscribed."""
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        sockets = []
        for gateway in gateways:
            socket = await stack.enter_async_context(http.ws_connect(gateway.url + "/ws", headers=headers))
            assert (await socket.receive_json(timeout=10))["type"] == "welcome"
            await socket.send_json({"type": "subscribe", "ref": "1", "topic": "inbox:*"})
            assert (await socket.receive_json(timeout=10))["type"] == "subscribed"
            sockets.append(socket)
        yield sockets


async def closed_with(socket: Any) -> int:
    while (await socket.receive(timeout=WITHIN_S)).type is not aiohttp.WSMsgType.CLOSE:
        pass
    assert socket.close_code is not None
    return int(socket.close_code)


async def cookie_is_over(gateway: Running, cookie: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        while (await with_cookie(gateway, cookie, "GET", "/api/me"))[0] != 401:  # noqa: ASYNC110 - until it is heard
            await asyncio.sleep(0.02)


End = Callable[[Running, int, str, asyncpg.Connection], Awaitable[Any]]


async def log_out(gateway: Running, person: int, cookie: str, db: asyncpg.Connection) -> None:
    assert (await with_cookie(gateway, cookie, "POST", "/logout"))[0] == 200


async def disable(gateway: Running, person: int, cookie: str, db: asyncpg.Connection) -> None:
    await gateway.data("PUT", f"/api/people/{person}", {"disabled": True})


async def delete(gateway: Running, person: int, cookie: str, db: asyncpg.Connection) -> None:
    await gateway.data("DELETE", f"/api/people/{person}")


async def new_password(gateway: Running, person: int, cookie: str, db: asyncpg.Connection) -> None:
    await gateway.data("PUT", f"/api/people/{person}", {"password": "another horse"})


async def own_new_password(gateway: Running, person: int, cookie: str, db: asyncpg.Connection) -> None:
    other = await log_in(gateway)
    body = {"current_password": PASSWORD, "new_password": "another horse"}
    assert (await with_cookie(gateway, other, "POST", "/api/account/password", body))[0] == 200
    assert (await with_cookie(gateway, other, "GET", "/api/me"))[0] == 200  # the one that asked stays


async def log_out_elsewhere(gateway: Running, person: int, cookie: str, db: asyncpg.Connection) -> None:
    other = await log_in(gateway)
    assert (await with_cookie(gateway, other, "DELETE", "/api/account/logins"))[0] == 200


async def end_that_one(gateway: Running, person: int, cookie: str, db: asyncpg.Connection) -> None:
    other = await log_in(gateway)
    _, found = await with_cookie(gateway, other, "GET", "/api/account/logins")
    (there,) = [item["id"] for item in found["data"] if not item["is_current"]]
    assert (await with_cookie(gateway, other, "DELETE", f"/api/account/logins/{there}"))[0] == 200


async def revoke_by_sub(gateway: Running, person: int, cookie: str, db: asyncpg.Connection) -> None:
    await gateway.gateway.repositories.people.revoke(sub=f"user:{person}")


async def by_sql(gateway: Running, person: int, cookie: str, db: asyncpg.Connection) -> None:
    await db.execute("UPDATE gateway.users SET disabled_at = now() WHERE id = $1", person)


async def row_by_sql(gateway: Running, person: int, cookie: str, db: asyncpg.Connection) -> None:
    await db.execute("DELETE FROM gateway.logins")


ENDS: list[End] = [
    log_out, disable, delete, new_password, own_new_password, log_out_elsewhere, end_that_one, revoke_by_sub, by_sql,
    row_by_sql,
]  # fmt: skip


@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
async def test_what_ends_a_login_ends_its_sockets_everywhere(
    two: list[Running], db: asyncpg.Connection, end: End
) -> None:
    person = await add(two[0])
    cookie = await log_in(two[0])
    async with opened(two, {"Cookie": cookie}) as sockets:
        await end(two[0], person, cookie, db)
        assert [await closed_with(socket) for socket in sockets] == [4501, 4501]
    for gateway in two:
        await cookie_is_over(gateway, cookie)


def token(gateway: Running, sub: str = "ann", jti: str | None = None) -> str:
    return gateway.gateway.access.login.issue(Principal(sub, sub, Role.AGENT, None), 600, jti=jti)[0]


@pytest.mark.parametrize("by", ["sub", "jti", "sql"])
async def test_a_revoked_token_ends_its_sockets_and_channels_everywhere(
    two: list[Running], db: asyncpg.Connection, by: str
) -> None:
    mine, others = token(two[0], jti="j-1"), token(two[0], "bob")
    async with (
        opened(two, {"Authorization": f"Bearer {mine}"}) as sockets,
        opened(two[1:], {"Authorization": f"Bearer {others}"}) as (kept,),
        phoenix(two[1], mine) as client,
    ):
        await client.join("shop", ALL_INCOMING)
        await client.system()
        table = two[0].gateway.repositories.people
        if by == "sql":
            await db.execute("INSERT INTO gateway.revoked (sub) VALUES ('ann')")
        else:
            await table.revoke(**{by: "ann" if by == "sub" else "j-1"})
        async with asyncio.timeout(WITHIN_S):
            said = await client.system()
            assert (said["status"], said["extension"]) == ("error", "system")
            assert (await client.next("phx_error")).topic == "realtime:shop"
        assert [await closed_with(socket) for socket in sockets] == [4501, 4501]
        refused = await client.join("shop", ALL_INCOMING)
        assert refused["status"] == "error"
        await kept.send_json({"type": "ping", "ref": "still"})
        assert (await kept.receive_json(timeout=10))["type"] == "pong"


async def test_a_ticket_and_its_token_end_with_the_login_that_made_them(two: list[Running]) -> None:
    await add(two[0])
    cookie = await log_in(two[0])
    _, made = await with_cookie(two[0], cookie, "POST", "/api/tickets", {"for": "embed"})
    redeemed = await two[1].data("POST", "/api/tickets/redeem", {"ticket": made["data"]["ticket"]}, token="")
    _, unused = await with_cookie(two[0], cookie, "POST", "/api/tickets", {"for": "ws"})
    async with opened(two, {"Authorization": f"Bearer {redeemed['token']}"}) as sockets:
        assert (await with_cookie(two[0], cookie, "POST", "/logout"))[0] == 200
        assert [await closed_with(socket) for socket in sockets] == [4501, 4501]
    status, _ = await two[1].call(
        "POST", "/api/tickets/redeem", {"ticket": unused["data"]["ticket"]}, token=""
    )
    assert status == 401


async def test_a_ticket_made_for_another_ends_with_the_revocation_of_that_person(two: list[Running]) -> None:
    made = await two[0].data("POST", "/api/tickets", {"for": "embed", "sub": "shop-17"})
    unused = await two[0].data("POST", "/api/tickets", {"for": "ws", "sub": "shop-17"})
    async with aiohttp.ClientSession() as http:
        socket = await http.ws_connect(f"{two[1].url}/ws?ticket={made['ticket']}")
        assert (await socket.receive_json(timeout=10))["type"] == "welcome"
        await two[0].gateway.repositories.people.revoke(sub="shop-17")
        assert await closed_with(socket) == 4501
    status, _ = await two[1].call("POST", "/api/tickets/redeem", {"ticket": unused["ticket"]}, token="")
    assert status == 401
    assert (await two[0].call("GET", "/api/me"))[0] == 200  # the maker's login goes on


async def test_a_supabase_socket_without_channels_ends_with_its_key(two: list[Running]) -> None:
    async with phoenix(two[1], token(two[0])) as client:
        await two[0].gateway.repositories.people.revoke(sub="ann")
        async with asyncio.timeout(WITHIN_S):
            await client.raw.wait_closed()
        assert client.raw.close_code == 4501


async def ended_while_feed_is_seen(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on ann is revoked while a join or a renewal waits for Postgres."""
    feed = gateway.gateway.live.feed
    see = feed.see

    async def slow_see(*args: Any) -> Any:
        await gateway.gateway.repositories.people.revoke(sub="ann")
        await gateway.gateway.access.revocations.open()
        return await see(*args)

    monkeypatch.setattr(feed, "see", slow_see)


async def test_a_token_that_is_revoked_during_its_join_or_renewal_streams_nothing(
    two: list[Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = two[0]
    async with phoenix(gateway, token(gateway, "bob")) as client:
        await client.join("renewed", ALL_INCOMING, token=token(gateway, "carl"))
        await client.system()
        mine = token(gateway)
        await ended_while_feed_is_seen(gateway, monkeypatch)
        refused = await client.join("joined", ALL_INCOMING, token=mine)
        assert (refused["status"], refused["response"]["reason"][:15]) == ("error", "InvalidJWTToken")

    monkeypatch.undo()
    async with phoenix(gateway, token(gateway, "bob")) as client:
        await client.join("renewed", ALL_INCOMING, token=token(gateway, "carl"))
        await client.system()
        later = token(gateway)
        await ended_while_feed_is_seen(gateway, monkeypatch)
        await client.send("realtime:renewed", "access_token", {"access_token": later}, join_ref="1")
        assert (await client.next("phx_error")).topic == "realtime:renewed"


async def test_fewer_sessions_and_a_lower_role_hold_on_open_sockets_and_more_do_too(
    two: list[Running],
) -> None:
    person = await add(two[0], role="admin", sessions=[7, 12])
    cookie = await log_in(two[0])
    async with contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        raw = await stack.enter_async_context(http.ws_connect(two[1].url + "/ws", headers={"Cookie": cookie}))
        socket = Socket(_Plain(raw))  # type: ignore[arg-type]
        await socket.next("welcome")
        await socket.subscribe("inbox:7")
        await two[0].data("PUT", f"/api/people/{person}", {"role": "viewer", "sessions": [12]})
        async with asyncio.timeout(WITHIN_S):
            assert (await socket.next("unsubscribed"))["topic"] == "inbox:7"
        _, me = await with_cookie(two[1], cookie, "GET", "/api/me")
        assert (me["data"]["role"], me["data"]["sessions"]) == ("viewer", [12])
        await two[0].data("PUT", f"/api/people/{person}", {"sessions": [12, 7]})
        async with asyncio.timeout(WITHIN_S):
            while (await with_cookie(two[1], cookie, "GET", "/api/me"))[1]["data"]["sessions"] != [7, 12]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await socket.subscribe("inbox:7")


class _Plain:
    """aiohttp's socket with the two methods that the tests' own client calls."""

    def __init__(self, raw: aiohttp.ClientWebSocketResponse) -> None:
        self._raw = raw

    async def send(self, text: str) -> None:
        await self._raw.send_str(text)

    async def recv(self) -> str:
        return await self._raw.receive_str()


async def test_a_gateway_that_missed_the_notification_reads_the_tables_before_it_answers(
    database: str, tmp_path: Path, db: asyncpg.Connection
) -> None:
    async with running(settings_for(database, tmp_path, probe_s=0)) as gateway:
        cookie_token = token(gateway)
        assert (await gateway.call("GET", "/api/me", token=cookie_token))[0] == 200
        await gateway.gateway.live.listener.sleep()
        await db.execute("INSERT INTO gateway.revoked (sub) VALUES ('ann')")
        async with asyncio.timeout(WITHIN_S):
            while (await gateway.call("GET", "/api/me", token=cookie_token))[0] != 401:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
