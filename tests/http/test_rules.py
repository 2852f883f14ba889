"""Every route × role × list of sessions × state of the login, generated from the routes themselves.

A route that has no rule here fails the first test. What a rule says is held against the running gateway.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import pytest
from starlette.routing import Mount, Route, WebSocketRoute

from gateway.domain.access import Principal, Role
from tests.http.support import Shop
from tests.realtime.phoenix import ALL_INCOMING, phoenix

Scope = Literal["none", "session", "everything", "open", "one"]
"""What a login must cover: nothing in particular, session 12, all sessions; `open` asks for no login at all."""

OWN, OTHER = 12, 13
LISTS: tuple[frozenset[int] | None, ...] = (None, frozenset({OWN}), frozenset({OTHER}), frozenset())


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


@dataclass(frozen=True, slots=True)
class Rule:
    role: Role
    scope: Scope = "none"
    query: str = ""
    body: Any = None

    def lets_in(self, role: Role, sessions: frozenset[int] | None) -> bool:
        if self.scope == "everything" and sessions is not None:
            return False
        if self.scope == "one" and (sessions is None or len(sessions) != 1):
            return False
        if self.scope == "session" and sessions is not None and OWN not in sessions:
            return False
        return role >= self.role


V, A, M = Role.VIEWER, Role.AGENT, Role.ADMIN
OPEN = Rule(V, "open")
ONE = "/api/whatsapp-sessions/{id}"
ALL = "/api/whatsapp-sessions"
CHAT = "/api/conversations/{chat}"
TARGETS = "/api/webhook-targets"
TEMPLATES = "/api/templates"

RULES: dict[tuple[str, str], Rule] = {
    ("GET", "/"): OPEN,
    ("GET", "/people"): OPEN,
    ("GET", "/account"): OPEN,
    ("GET", "/targets"): OPEN,
    ("GET", "/admin"): OPEN,
    ("GET", "/favicon.ico"): OPEN,
    ("GET", "/docs"): OPEN,
    ("GET", "/openapi.json"): OPEN,
    ("GET", "/asyncapi.json"): OPEN,
    ("GET", "/healthz"): OPEN,
    ("GET", "/readyz"): OPEN,
    ("GET", "/metrics"): OPEN,
    ("GET", "/login"): OPEN,
    ("POST", "/login"): OPEN,
    ("POST", "/api/tickets/redeem"): OPEN,
    ("POST", "/api/whatsapp/webhook"): OPEN,
    ("POST", "/api/whatsapp/webhook.php"): OPEN,
    ("POST", "/api/whatsapp/webhook/{id}"): OPEN,
    ("GET", "/api/me"): Rule(V),
    ("POST", "/logout"): Rule(V),
    ("POST", "/api/tickets"): Rule(V, body={"for": "ws"}),
    ("GET", "/api/account/logins"): Rule(V),
    ("DELETE", "/api/account/logins"): Rule(V),
    ("DELETE", "/api/account/logins/{login}"): Rule(V),
    # Without the fields it is refused for them; that it takes a login by password is tested beside it.
    ("POST", "/api/account/password"): Rule(V, body=[]),
    ("GET", "/api/people"): Rule(M),
    ("POST", "/api/people"): Rule(M, body={}),
    ("PUT", "/api/people/{person}"): Rule(M, body={}),
    ("DELETE", "/api/people/{person}"): Rule(M),
    ("POST", "/api/people/{person}/login-link"): Rule(M),
    ("GET", ALL): Rule(V),
    ("GET", f"{ALL}/list.php"): Rule(V),
    ("POST", ALL): Rule(M, "everything", body={}),
    ("POST", f"{ALL}/sync"): Rule(M, "everything"),
    ("POST", f"{ALL}/sync.php"): Rule(M, "everything"),
    ("GET", ONE): Rule(V, "session"),
    ("PUT", ONE): Rule(M, "session", body={"nonsense": 1}),
    ("DELETE", ONE): Rule(M, "session"),
    ("POST", f"{ONE}/refresh"): Rule(V, "session"),
    ("GET", f"{ONE}/status"): Rule(V, "session"),
    ("GET", f"{ONE}/logs"): Rule(V, "session"),
    ("POST", f"{ONE}/connect"): Rule(A, "session"),
    ("GET", f"{ONE}/qr-code"): Rule(A, "session"),
    ("GET", f"{ONE}/qrcode"): Rule(A, "session"),
    ("POST", f"{ONE}/disconnect"): Rule(M, "session"),
    ("POST", f"{ONE}/restart"): Rule(M, "session"),
    ("POST", f"{ONE}/regenerate-key"): Rule(M, "session"),
    ("POST", f"{ONE}/repair-webhook"): Rule(M, "session"),
    ("GET", "/api/conversations"): Rule(V),
    ("GET", CHAT): Rule(V, "session", "?session=12"),
    ("PUT", CHAT): Rule(A, "session", "?session=12", body={"done": True}),
    ("GET", f"{CHAT}/export"): Rule(M, "session", "?session=12"),
    ("DELETE", CHAT): Rule(M, "session", "?session=12"),
    ("GET", f"{CHAT}/messages"): Rule(V, "session", "?session=12"),
    ("POST", f"{CHAT}/messages"): Rule(
        A, "session", "?session=12", body={"client_id": "rule", "text": "Hello"}
    ),
    ("PUT", f"{CHAT}/messages/{{row}}"): Rule(A, "session", "?session=12", body={"text": "Hello"}),
    ("DELETE", f"{CHAT}/messages/{{row}}"): Rule(A, "session", "?session=12"),
    ("POST", f"{CHAT}/messages/{{row}}/retry"): Rule(A, "session", "?session=12"),
    ("POST", f"{CHAT}/messages/{{row}}/settle"): Rule(A, "session", "?session=12", body={"sent": True}),
    ("POST", f"{CHAT}/typing"): Rule(A, "session", "?session=12", body={"typing": False}),
    ("POST", f"{CHAT}/on-whatsapp"): Rule(A, "session", "?session=12"),
    ("POST", "/api/send-message"): Rule(A, "one", body={}),
    ("PUT", "/api/messages/{number}"): Rule(A, "one", body={"text": "Hello"}),
    ("DELETE", "/api/messages/{number}"): Rule(A, "one"),
    ("GET", "/api/messages/{number}/info"): Rule(V, "one"),
    ("GET", "/api/search"): Rule(V, query="?q=x"),
    ("GET", "/api/media/{media}"): Rule(V),
    ("POST", "/api/media"): Rule(A),
    ("POST", "/api/media/links"): Rule(V, body={}),
    ("POST", "/api/upload"): Rule(A, "one"),
    ("POST", "/api/decrypt-media"): Rule(V, "one", body={}),
    ("POST", f"{CHAT}/read"): Rule(A, "session", "?session=12"),
    ("GET", TEMPLATES): Rule(A),
    ("POST", TEMPLATES): Rule(M, "session", body={"session_id": OWN, "shortcut": "rule", "text": "Hello"}),
    # Of which session a template is, and what a login for another one may do with it: tests/http/test_templates.py.
    ("PUT", f"{TEMPLATES}/{{template}}"): Rule(M, body={}),
    ("DELETE", f"{TEMPLATES}/{{template}}"): Rule(M),
    ("POST", f"{TEMPLATES}/{{template}}/media"): Rule(A),
    ("GET", TARGETS): Rule(M),
    ("POST", TARGETS): Rule(M, body={}),
    ("PUT", f"{TARGETS}/{{target}}"): Rule(M, body={}),
    ("DELETE", f"{TARGETS}/{{target}}"): Rule(M),
    ("GET", f"{TARGETS}/{{target}}/deliveries"): Rule(M),
    ("POST", f"{TARGETS}/{{target}}/test"): Rule(M),
    ("POST", f"{TARGETS}/{{target}}/redrive"): Rule(M),
    ("GET", "/api/journal"): Rule(M),
    ("GET", "/api/journal/{entry}"): Rule(M),
    ("POST", "/api/journal/{entry}/retry"): Rule(M),
    ("POST", "/api/journal/retry"): Rule(M),
    ("GET", "/api/admin/overview"): Rule(M, "everything"),
    ("POST", "/api/admin/doctor"): Rule(M, "everything"),
}
"""Besides, with a query that asks for more."""
MORE: list[tuple[str, str, Rule]] = [
    ("GET", f"{ALL}?refresh=1", Rule(M, "everything")),
    ("GET", f"{ONE}?reveal=secrets", Rule(M, "session")),
    ("GET", f"{ONE}?refresh=1", Rule(V, "session")),
    ("GET", "/api/conversations?session=12", Rule(V, "session")),
    ("GET", "/api/conversations?session=0", Rule(V, "everything")),
    ("GET", "/api/search?q=x&session=12", Rule(V, "session")),
    ("GET", "/api/search?q=x&session=0", Rule(V, "everything")),
    ("GET", "/api/journal?session=12", Rule(M, "session")),
]
NOT_SERVED = ("/rest/v1", "/realtime/v1/api/", "/ws", "/realtime/v1/websocket")
"""Answered to everybody with one sentence, of what is not there or how it is reached."""
MOUNTS = {"/ui", "/simulator", "/simulator/api", "/_simulator"}


def concrete(path: str) -> str:
    names = {
        "id": OWN,
        "chat": 49151,
        "entry": 999_999,
        "person": 999_999,
        "target": 999_999,
        "template": 999_999,
        "row": 999_999,
        "number": 999_999,
        "login": "none",
        "media": "none",
    }
    for name, value in names.items():
        path = path.replace(f"{{{name}}}", str(value))
    return path


CALLS = [(method, concrete(path) + rule.query, rule) for (method, path), rule in RULES.items()] + [
    (method, concrete(path), rule) for method, path, rule in MORE
]
CLOSED = [call for call in CALLS if call[2].scope != "open"]


async def test_every_route_has_a_rule_and_every_rule_a_route(shared_shop: Shop) -> None:
    found = set()
    for route in shared_shop.gateway.gateway.app.routes:
        if isinstance(route, WebSocketRoute):
            assert route.path in ("/ws", "/realtime/v1/websocket"), f"a socket without a rule: {route.path}"
        elif isinstance(route, Mount):
            assert route.path in MOUNTS, f"a mount without a rule: {route.path}"
        else:
            assert isinstance(route, Route), route
            if not route.path.startswith(NOT_SERVED):
                path = re.sub(r":\w+}", "}", route.path)
                found |= {(method, path) for method in route.methods or () if method != "HEAD"}
    assert found == set(RULES)


class Caller:
    """Requests in some state of a login."""

    def __init__(self, shop: Shop, headers: dict[str, str]) -> None:
        self._shop = shop
        self._headers = headers

    async def status(self, call: tuple[str, str, Rule], **more: str) -> int:
        method, path, rule = call
        body = rule.body if rule.body is not None else ({} if method in ("POST", "PUT") else None)
        headers = {**self._headers, **more}
        status, _ = await self._shop.gateway.call(method, path, body, token="", headers=headers)
        return status


def bearer(shop: Shop, role: Role = Role.ADMIN, sessions: frozenset[int] | None = None, **more: Any) -> str:
    principal = Principal("tester", "Tester", role, sessions)
    return shop.gateway.gateway.access.login.issue(principal, more.pop("life_s", 600), **more)[0]


def with_token(shop: Shop, token: str) -> Caller:
    return Caller(shop, {"Authorization": f"Bearer {token}"})


async def cookie_of(shop: Shop, role: str, sessions: list[int] | str, name: str) -> str:
    """The cookie of a person who was added and has logged in."""
    person = {"name": name, "role": role, "sessions": sessions, "password": "correct horse"}
    await shop.gateway.data("POST", "/api/people", person)
    body = {"name": name, "password": "correct horse"}
    async with shop.http.post(shop.gateway.url + "/login", json=body) as reply:
        assert reply.status == 200, await reply.text()
        return reply.headers["Set-Cookie"].partition(";")[0]


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.word)
@pytest.mark.parametrize("sessions", LISTS, ids=["all", "own", "other", "none"])
@pytest.mark.parametrize("kind", ["bearer", "cookie"])
async def test_who_is_let_in_where(
    shop: Shop, role: Role, sessions: frozenset[int] | None, kind: str
) -> None:
    if kind == "bearer":
        caller = with_token(shop, bearer(shop, role, sessions))
    else:
        listed = "*" if sessions is None else sorted(sessions)
        caller = Caller(shop, {"Cookie": await cookie_of(shop, role.word, listed, "Ann")})
    wrong = []
    for call in CLOSED:
        if call[1] in ("/logout", "/api/account/logins") and call[0] != "GET" and kind == "cookie":
            continue  # they end this login; tested by themselves
        status, is_let_in = await caller.status(call), call[2].lets_in(role, sessions)
        if "refresh=1" in call[1] and kind == "cookie":  # passed over, as if it were not there
            is_let_in = Rule(V, "session").lets_in(role, sessions) if "/12" in call[1] else True
        if status >= 500 or status == 401 or (status == 403) is is_let_in:
            wrong.append((call[0], call[1], status, is_let_in))
    assert wrong == []


async def test_a_login_that_is_none_or_over_opens_nothing(shop: Shop) -> None:
    jti = "one-token"
    revoked, of_revoked = bearer(shop, jti=jti), bearer(shop)
    cookies = [await cookie_of(shop, "admin", "*", name) for name in ("Disabled", "Deleted", "Out", "Fresh")]
    people = {item["name"]: item["id"] for item in await shop.gateway.data("GET", "/api/people")}
    me = Caller(shop, {"Cookie": cookies[2]})
    await shop.gateway.data("PUT", f"/api/people/{people['Disabled']}", {"disabled": True})
    await shop.gateway.data("DELETE", f"/api/people/{people['Deleted']}")
    await shop.gateway.data("PUT", f"/api/people/{people['Fresh']}", {"password": "another horse"})
    assert await me.status(("POST", "/logout", Rule(V))) == 200
    table = shop.gateway.gateway.repositories.people
    await table.revoke(jti=jti)
    callers = {
        "nobody": Caller(shop, {}),
        "nonsense": with_token(shop, "x.y.z"),
        "expired": with_token(shop, bearer(shop, life_s=-60)),
        "revoked": with_token(shop, revoked),
        **{f"cookie {number}": Caller(shop, {"Cookie": cookie}) for number, cookie in enumerate(cookies)},
    }
    async with asyncio.timeout(2):
        for caller in callers.values():
            while await caller.status(("GET", "/api/me", Rule(V))) != 401:  # noqa: ASYNC110 - until it is heard
                await asyncio.sleep(0.02)
    for state, caller in callers.items():
        statuses = {call[:2]: await caller.status(call) for call in CLOSED}
        assert {call: status for call, status in statuses.items() if status != 401} == {}, state
    assert await with_token(shop, of_revoked).status(("GET", "/api/me", Rule(V))) == 200


FOREIGN: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://["},
    {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_foreign_page_writes_nothing_with_the_browsers_cookie(
    shop: Shop, headers: dict[str, str]
) -> None:
    caller = Caller(shop, {"Cookie": await cookie_of(shop, "admin", "*", "Ann")})

    writes = [call for call in CLOSED if call[0] != "GET"]
    statuses = {call[:2]: await caller.status(call, **headers) for call in writes}

    assert {call: status for call, status in statuses.items() if status != 403} == {}
    assert await caller.status(("GET", "/api/me", Rule(V))) == 200


# ------------------------------------------------------------------------------------------ sockets


def topics(role: Role, sessions: frozenset[int] | None) -> dict[str, bool]:
    """What may be subscribed."""
    return {
        "sessions": True,
        "inbox:*": True,
        "inbox:12": sessions is None or OWN in sessions,
        "session:12": sessions is None or OWN in sessions,
        "inbox:13": sessions is None or OTHER in sessions,
        "inbox:0": sessions is None,
    }


def answers(ref: str) -> Callable[[dict[str, Any]], bool]:
    """Whether a frame answers the one with that ref."""
    return lambda frame: frame["ref"] == ref


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.word)
@pytest.mark.parametrize("sessions", LISTS, ids=["all", "own", "other", "none"])
async def test_who_may_subscribe_to_what(
    shared_shop: Shop, role: Role, sessions: frozenset[int] | None
) -> None:
    token = bearer(shared_shop, role, sessions)
    async with shared_shop.gateway.socket(token) as socket:
        for topic, is_let_in in topics(role, sessions).items():
            await socket.send(type="subscribe", ref=topic, topic=topic)
            frame = await socket.next("subscribed" if is_let_in else "error", answers(topic))
            assert is_let_in or frame["code"] == "forbidden", topic
    async with phoenix(shared_shop.gateway, token) as client:
        await client.join("shared_shop", ALL_INCOMING)
        said = await client.system()
        assert (said["status"] == "ok") is (sessions is None or bool(sessions)), said


async def test_a_login_that_is_none_or_over_opens_no_socket(shop: Shop) -> None:
    revoked = bearer(shop, jti="one")
    cookie = await cookie_of(shop, "admin", "*", "Ann")
    person = (await shop.gateway.data("GET", "/api/people"))[0]["id"]
    await shop.gateway.data("PUT", f"/api/people/{person}", {"disabled": True})
    await shop.gateway.gateway.repositories.people.revoke(jti="one")
    own = {"Cookie": cookie, "Origin": shop.gateway.url}
    async with asyncio.timeout(2):
        for caller in (Caller(shop, own), with_token(shop, revoked)):
            while await caller.status(("GET", "/api/me", Rule(V))) != 401:  # noqa: ASYNC110 - until heard
                await asyncio.sleep(0.02)
    states: list[dict[str, str]] = [
        {"Authorization": "Bearer x.y.z"},
        {"Authorization": f"Bearer {bearer(shop, life_s=-60)}"},
        {"Authorization": f"Bearer {revoked}"},
        own,
    ]
    for headers in states:
        async with shop.http.ws_connect(shop.gateway.url + "/ws", headers=headers) as socket:
            closed = await socket.receive(timeout=10)
            assert (closed.data, socket.close_code) == (4501, 4501), headers
    for token in ("", "x.y.z", bearer(shop, life_s=-60), revoked):
        address = f"{shop.gateway.url}/realtime/v1/websocket?apikey={token}&vsn=1.0.0"
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await shop.http.ws_connect(address)
        assert caught.value.status == 401
