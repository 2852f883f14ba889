"""Ways to log in: the one-time link, its cookie, and tickets."""

import re
from typing import Any

import pytest

from gateway.domain.access import Role
from tests.http.support import SESSIONS, Shop
from tests.launcher.running import DEADLINE_S, running
from tests.launcher.settings import settings_for


async def cookie_of(shop: Shop) -> str:
    ticket = (await shop.gateway.gateway.login_link()).partition("ticket=")[2]
    async with shop.http.post(shop.gateway.url + "/login", json={"ticket": ticket}) as reply:
        assert reply.status == 200
        return reply.headers["Set-Cookie"]


async def test_a_login_link_works_once_and_looking_at_it_does_not_use_it_up(shop: Shop) -> None:
    link = await shop.gateway.gateway.login_link()
    for _ in range(3):
        async with shop.http.get(link, allow_redirects=False) as page:
            assert page.status == 200
            assert "Set-Cookie" not in page.headers
    async with shop.http.head(link, allow_redirects=False) as page:
        assert page.status in (200, 405)

    async with shop.http.post(link, allow_redirects=False) as first:
        assert first.status == 200
        assert "gateway_login" in first.headers["Set-Cookie"]
    async with shop.http.post(link, allow_redirects=False) as second:
        assert (second.status, (await second.json())["code"]) == (401, "unauthenticated")


async def test_a_browser_that_posts_the_form_is_sent_to_the_page_and_a_used_link_back_to_the_login(
    shop: Shop,
) -> None:
    link = await shop.gateway.gateway.login_link()
    for place in ("/", "/login?used=1"):
        async with shop.http.post(link, headers={"Accept": "text/html"}, allow_redirects=False) as reply:
            assert (reply.status, reply.headers["Location"]) == (303, place)


async def test_the_cookie_is_out_of_reach_for_scripts_and_other_sites(shop: Shop) -> None:
    cookie = (await cookie_of(shop)).lower()

    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "path=/" in cookie


async def test_the_cookie_opens_the_page_and_the_api(shop: Shop) -> None:
    headers = {"Cookie": (await cookie_of(shop)).partition(";")[0]}

    me = await shop.gateway.data("GET", "/api/me", token="", headers=headers)
    assert (me["role"], me["sessions"]) == ("admin", "*")
    async with shop.http.get(shop.gateway.url + "/", headers=headers, allow_redirects=False) as page:
        assert page.status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_foreign_page_may_not_use_the_browsers_cookie(shop: Shop, method: str) -> None:
    headers = {"Cookie": (await cookie_of(shop)).partition(";")[0]}
    path = SESSIONS if method == "GET" else f"{SESSIONS}/12/disconnect"
    for origin in ("https://evil.example", "null", f"{shop.gateway.url}.evil.example"):
        asked = {**headers, "Origin": origin}
        status, reply = await shop.gateway.call(method, path, token="", headers=asked)
        assert (status, reply["code"]) == (403, "forbidden"), origin
    own = {**headers, "Origin": shop.gateway.url}
    assert (await shop.gateway.call("GET", SESSIONS, token="", headers=own))[0] == 200


async def test_a_foreign_page_with_a_token_of_its_own_is_let_in(shop: Shop) -> None:
    assert (await shop.gateway.call("GET", SESSIONS, headers={"Origin": "https://shop.example"}))[0] == 200


async def test_logging_out_takes_the_cookie_away(shop: Shop) -> None:
    headers = {"Cookie": (await cookie_of(shop)).partition(";")[0]}
    async with shop.http.post(shop.gateway.url + "/logout", headers=headers) as reply:
        assert reply.status == 200
        assert re.match(r'gateway_login_[0-9a-f]{8}="";', reply.headers["Set-Cookie"])


# ------------------------------------------------------------------------------------------ tickets


async def ticket(shop: Shop, wish: dict[str, Any], token: str | None = None) -> str:
    return str((await shop.gateway.data("POST", "/api/tickets", wish, token=token))["ticket"])


async def test_a_ticket_works_once_in_the_whole_cluster(shop: Shop, database: str, tmp_path: Any) -> None:
    async with running(settings_for(database, tmp_path / "second")) as other:
        made = await ticket(shop, {"for": "embed", "role": "viewer", "sessions": [12]})

        redeemed = await other.data("POST", "/api/tickets/redeem", {"ticket": made}, token="")
        for gateway in (shop.gateway, other):
            status, _ = await gateway.call("POST", "/api/tickets/redeem", {"ticket": made}, token="")
            assert status == 401
        me = await shop.gateway.data("GET", "/api/me", token=redeemed["token"])

    assert (me["role"], me["sessions"]) == ("viewer", [12])


async def test_a_ticket_opens_one_socket(shop: Shop) -> None:
    made = await ticket(shop, {"for": "ws"})
    address = f"{shop.gateway.url}/ws?ticket={made}"

    async with shop.http.ws_connect(address) as socket:
        assert (await socket.receive_json(timeout=DEADLINE_S))["type"] == "welcome"
    async with shop.http.ws_connect(address) as socket:
        assert (await socket.receive(timeout=DEADLINE_S)).data == 4501


async def test_a_ticket_is_worth_nothing_after_thirty_seconds(shop: Shop) -> None:
    made = await ticket(shop, {"for": "ws"})
    left = await shop.db.fetchval("SELECT extract(epoch FROM expires_at - now()) FROM gateway.tickets")
    await shop.db.execute("UPDATE gateway.tickets SET expires_at = expires_at - interval '30 seconds'")

    assert 25 < left <= 30
    assert (await shop.gateway.call("POST", "/api/tickets/redeem", {"ticket": made}, token=""))[0] == 401


@pytest.mark.parametrize(
    "wish",
    [{"role": "admin"}, {"sessions": [13]}, {"sessions": [12, 13]}, {"role": "admin", "sessions": [12]}],
)
async def test_a_ticket_cannot_do_more_than_who_asks_for_it(shop: Shop, wish: dict[str, Any]) -> None:
    token = shop.gateway.token(Role.AGENT, {12})

    status, reply = await shop.gateway.call("POST", "/api/tickets", {"for": "ws", **wish}, token=token)

    assert (status, reply["code"]) == (403, "forbidden")


async def test_a_star_in_a_ticket_means_ones_own_sessions(shop: Shop) -> None:
    made = await ticket(shop, {"for": "embed", "sessions": "*"}, shop.gateway.token(Role.AGENT, {12}))
    redeemed = await shop.gateway.data("POST", "/api/tickets/redeem", {"ticket": made}, token="")

    assert (await shop.gateway.data("GET", "/api/me", token=redeemed["token"]))["sessions"] == [12]


@pytest.mark.parametrize(
    "wish",
    [
        {"for": "login"},
        {"for": 1},
        {"for": "ws", "role": "owner"},
        {"for": "ws", "sessions": "12"},
        {"for": "ws", "sessions": [True]},
        {"for": "ws", "sessions": ["12"]},
    ],
)
async def test_a_wish_that_makes_no_sense_is_invalid(shop: Shop, wish: dict[str, Any]) -> None:
    status, reply = await shop.gateway.call("POST", "/api/tickets", wish)

    assert (status, reply["code"]) == (422, "invalid")


async def test_a_ticket_for_a_socket_is_no_login_and_is_not_used_up_by_trying(shop: Shop) -> None:
    made = await ticket(shop, {"for": "ws"})
    async with shop.http.post(f"{shop.gateway.url}/login", json={"ticket": made}) as reply:
        assert reply.status == 401

    async with shop.http.ws_connect(f"{shop.gateway.url}/ws?ticket={made}") as socket:
        assert (await socket.receive_json(timeout=DEADLINE_S))["type"] == "welcome"
