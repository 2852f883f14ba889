"""Who is let in where: every route, every role, every session list."""

import json
from typing import Any

import pytest
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from gateway.domain.access import Role
from tests.http.support import SESSIONS, Shop, key_of, received
from tests.launcher.running import DEADLINE_S, Running

OPEN = {
    # Webhooks bring a secret of their own, health is for machines, the rest is how one logs in, and the page's files.
    ("POST", "/api/whatsapp/webhook"),
    ("POST", "/api/whatsapp/webhook.php"),
    ("POST", "/api/whatsapp/webhook/{id}"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("POST", "/api/tickets/redeem"),
    ("GET", "/"),  # sends a stranger to /login, as the two below do
    ("GET", "/people"),
    ("GET", "/account"),
    ("GET", "/targets"),
    ("GET", "/admin"),
    ("GET", "/favicon.ico"),
}
DESCRIPTIONS = {"/openapi.json", "/asyncapi.json", "/docs"}
"""Say how the API is used, the same for every gateway, and hold nothing of this one."""

OPEN_MOUNTS = {"/ui", "/simulator", "/simulator/api", "/_simulator"}
SAYS_ONLY_WHERE_IT_IS_NOT = ("/rest/v1", "/realtime/v1/", "/ws")
"""Not served here at all; answers everybody with one sentence."""


def http_routes(gateway: Running) -> list[tuple[str, str]]:
    """Method and path of every route of the gateway. A kind of route that this does not know fails the test."""
    found = []
    for route in gateway.gateway.app.routes:
        if isinstance(route, WebSocketRoute):
            continue
        if isinstance(route, Mount):
            assert route.path in OPEN_MOUNTS, f"a mount that nobody has thought about: {route.path}"
            continue
        assert isinstance(route, Route), route
        found += [(method, route.path) for method in (route.methods or ()) if method != "HEAD"]
    return found


def concrete(path: str) -> str:
    known = path.replace("{id}", "12").replace("{chat}", "49151").replace("{rest:path}", "x")
    return known.replace("{number:int}", "7")


async def test_every_route_but_the_open_ones_is_401_without_a_login(shared_shop: Shop) -> None:
    routes = http_routes(shared_shop.gateway)
    closed = [
        (method, path)
        for method, path in routes
        if (method, path) not in OPEN
        and path not in DESCRIPTIONS
        and not path.startswith(SAYS_ONLY_WHERE_IT_IS_NOT)
    ]
    assert len(closed) >= 20

    for token in ("", "not-a-token", shared_shop.gateway.token(life_s=-60)):
        for method, path in closed:
            body: Any = {} if method in ("POST", "PUT") else None
            status, reply = await shared_shop.gateway.call(method, concrete(path), body, token=token)
            assert status == 401, (method, path, reply)
            assert (reply["code"], reply["success"]) == ("unauthenticated", False), (method, path)


async def test_the_open_routes_are_all_still_there(shared_shop: Shop) -> None:
    assert set(http_routes(shared_shop.gateway)) >= OPEN


async def test_a_stranger_at_the_page_is_sent_to_the_login(shared_shop: Shop) -> None:
    async with shared_shop.http.get(shared_shop.gateway.url + "/", allow_redirects=False) as reply:
        assert (reply.status, reply.headers["Location"]) == (303, "/login")


async def test_every_socket_route_refuses_who_does_not_say_who_he_is(shared_shop: Shop) -> None:
    sockets: list[BaseRoute] = [
        r for r in shared_shop.gateway.gateway.app.routes if isinstance(r, WebSocketRoute)
    ]
    assert [route.path for route in sockets if isinstance(route, WebSocketRoute)][:1] == ["/ws"]
    async with shared_shop.http.ws_connect(
        shared_shop.gateway.url + "/ws", headers={"Authorization": "Bearer x"}
    ) as socket:
        closed = await socket.receive(timeout=DEADLINE_S)
    assert (closed.data, socket.close_code) == (4501, 4501)


@pytest.mark.parametrize("scheme", ["Basic", "bearer", "Token", ""])
async def test_only_a_bearer_token_is_a_login(shared_shop: Shop, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {shared_shop.gateway.token()}".strip()}

    status, _ = await shared_shop.gateway.call("GET", SESSIONS, token="", headers=headers)

    assert status == (200 if scheme == "bearer" else 401)


# ------------------------------------------------------------------------------------------ roles

FOR_AGENTS: list[tuple[str, str, Any]] = [
    ("POST", f"{SESSIONS}/12/connect", {}),
    ("GET", f"{SESSIONS}/12/qr-code", None),
    ("GET", f"{SESSIONS}/12/qrcode", None),
    ("GET", f"{SESSIONS}/12/qr-code?format=svg", None),
    ("GET", f"{SESSIONS}/12/qr-code?format=png", None),
    ("GET", f"{SESSIONS}/12/qr-code?format=raw", None),
    ("POST", f"/api/conversations/{49151}/read?session=12", {}),
]
FOR_ADMINS: list[tuple[str, str, Any]] = [
    ("POST", SESSIONS, {"name": "x", "phone_number": "+15550001111"}),
    ("PUT", f"{SESSIONS}/12", {"name": "x"}),
    ("DELETE", f"{SESSIONS}/12", None),
    ("POST", f"{SESSIONS}/12/disconnect", None),
    ("POST", f"{SESSIONS}/12/restart", None),
    ("POST", f"{SESSIONS}/12/regenerate-key", None),
    ("POST", f"{SESSIONS}/sync", None),
    ("POST", f"{SESSIONS}/sync.php", None),
    ("GET", f"{SESSIONS}?refresh=1", None),
    ("GET", f"{SESSIONS}/12?reveal=secrets", None),
]
FOR_ALL: list[tuple[str, str, Any]] = [
    ("GET", SESSIONS, None),
    ("GET", f"{SESSIONS}/list.php", None),
    ("GET", f"{SESSIONS}/12", None),
    ("GET", f"{SESSIONS}/12/status", None),
    ("GET", f"{SESSIONS}/12/logs", None),
    ("GET", "/api/conversations", None),
    ("GET", f"/api/conversations/{49151}/messages?session=12", None),
    ("GET", "/api/me", None),
]


@pytest.mark.parametrize(
    ("role", "refused", "allowed"),
    [
        (Role.VIEWER, FOR_AGENTS + FOR_ADMINS, FOR_ALL),
        (Role.AGENT, FOR_ADMINS, FOR_ALL + FOR_AGENTS),
        (Role.ADMIN, [], FOR_ALL + FOR_AGENTS),
    ],
)
async def test_a_role_may_do_its_own_and_nothing_above(
    shop: Shop, role: Role, refused: list[Any], allowed: list[Any]
) -> None:
    token = shop.gateway.token(role)
    for call in refused:
        status, reply = await shop.gateway.call(*call, token=token)
        assert (status, reply["code"]) == (403, "forbidden"), call
    for call in allowed:
        assert (await shop.gateway.call(*call, token=token))[0] in (200, 404, 409), call

    assert await shop.db.fetchval("SELECT count(*) FROM whatsapp_sessions") == 2


async def test_a_viewer_gets_no_code_from_connect_status_or_list(shop: Shop) -> None:
    session_id = await shop.create()
    token = shop.gateway.token(Role.VIEWER)
    async with shop.gateway.socket() as socket:
        await socket.subscribe(f"session:{session_id}")
        await shop.gateway.data("POST", f"{SESSIONS}/{session_id}/connect")
        code = (await socket.state("session.qr"))["data"]["qrCode"]

    one = f"{SESSIONS}/{session_id}"
    for path in (SESSIONS, one, f"{one}/status", f"{one}/logs", f"{one}/qr-code"):
        assert code not in json.dumps(await shop.gateway.call("GET", path, token=token))


# ------------------------------------------------------------------------------------------ session lists

ABOUT_13 = [
    (method, path.replace("/12", "/13").replace("session=12", "session=13"), body)
    for method, path, body in FOR_ALL + FOR_AGENTS + FOR_ADMINS
    if "12" in path
]


@pytest.mark.parametrize("role", list(Role))
async def test_another_session_is_forbidden_by_every_route_that_names_it(
    shared_shop: Shop, role: Role
) -> None:
    token = shared_shop.gateway.token(role, {12})
    answers = [await shared_shop.gateway.call(*call, token=token) for call in ABOUT_13]

    assert [status for status, _ in answers] == [403] * len(ABOUT_13)
    assert key_of(13) not in json.dumps(answers)


async def test_guessing_ids_does_not_say_which_sessions_exist(shared_shop: Shop) -> None:
    token = shared_shop.gateway.token(Role.ADMIN, {12})
    answers = [
        await shared_shop.gateway.call("GET", f"{SESSIONS}/{guess}{tail}", token=token)
        for tail in ("", "/status", "/logs", "/qr-code")
        for guess in (13, 99)
    ]
    for _, reply in answers:
        assert reply.pop("request_id")  # of each its own

    texts = [json.dumps(reply).replace("13", "N").replace("99", "N") for _, reply in answers]
    assert texts[::2] == texts[1::2]


async def test_lists_conversations_and_threads_show_only_ones_own_sessions(shop: Shop) -> None:
    await shop.take(received("mine", key_id="a"), 12)
    await shop.take(received("not mine", key_id="b"), 13)
    await shop.db.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, from_phone, message_text, received_at)"
        " VALUES ('c', '628111222333', 'nobody''s', now())"
    )
    token = shop.gateway.token(Role.AGENT, {12})

    async def seen(path: str, name: str | None = None) -> Any:
        data = await shop.gateway.data("GET", path, token=token)
        return data[name] if name else data

    assert [item["id"] for item in await seen(SESSIONS)] == [12]
    assert [item["id"] for item in await seen(f"{SESSIONS}?search=session&include=gone")] == [12]
    conversations = await seen("/api/conversations?groups=1")
    assert [item["session_id"] for item in conversations["conversations"]] == [12]
    assert set(conversations["position"]) == {"12"}
    assert await seen("/api/conversations?search=nobody", "conversations") == []
    thread = await seen("/api/conversations/628111222333/messages")
    assert [item["message_text"] for item in thread["messages"]] == ["mine"]
    for session_id in (0, 13):
        for tail in (f"?session={session_id}", f"/628111222333/messages?session={session_id}"):
            assert (await shop.gateway.call("GET", f"/api/conversations{tail}", token=token))[0] == 403


async def test_marking_read_touches_only_ones_own_session(shop: Shop) -> None:
    await shop.take(received(key_id="a"), 12)
    await shop.take(received(key_id="b"), 13)
    token = shop.gateway.token(Role.AGENT, {12})

    await shop.gateway.data("POST", "/api/conversations/628111222333/read", token=token)

    assert {row["wa_key_id"]: row["is_read"] for row in await shop.rows()} == {"a": True, "b": False}


async def test_no_list_means_no_session_and_not_every_session(shared_shop: Shop) -> None:
    token = shared_shop.gateway.token(Role.ADMIN, set())

    assert await shared_shop.gateway.data("GET", SESSIONS, token=token) == []
    assert (await shared_shop.gateway.data("GET", "/api/conversations", token=token))["conversations"] == []
