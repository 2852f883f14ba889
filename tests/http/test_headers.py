"""What every answer says, which names we answer to, who may read the metrics, and how the cookie is bound."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict

from tests.http.support import HOOK, Shop, opened, received, secret_of
from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for

PATHS = ["/", "/login", "/docs", "/openapi.json", "/ui/app.js", "/ui/none.js", "/none", "/api/me", "/api/none",
         "/healthz", "/readyz", "/metrics", "/favicon.ico", "/rest/v1/x", "/simulator"]  # fmt: skip
SAID = ("content-security-policy", "x-content-type-options", "referrer-policy")


async def answer(shop: Shop, method: str, path: str, **more: Any) -> tuple[int, CIMultiDict[str]]:
    async with shop.http.request(method, shop.gateway.url + path, allow_redirects=False, **more) as reply:
        await reply.read()
        return reply.status, CIMultiDict(reply.headers)


async def test_every_answer_keeps_foreign_scripts_out(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = [("GET", path) for path in PATHS] + [
        ("POST", "/login"),
        ("DELETE", "/"),
        ("POST", HOOK),
        ("OPTIONS", "/api/me"),
    ]
    for method, path in calls:
        _, headers = await answer(shop, method, path)
        assert [name for name in SAID if name not in headers] == [], (method, path)
        assert "strict-transport-security" not in headers

    async def broken(*_: Any) -> Any:
        raise RuntimeError("broken")

    monkeypatch.setattr(shop.gateway.gateway.access.logins, "mine", broken)
    headers_of_admin = {"Authorization": f"Bearer {shop.gateway.token()}"}
    status, headers = await answer(shop, "GET", "/api/account/logins", headers=headers_of_admin)
    assert status == 500
    assert [name for name in SAID if name not in headers] == []


async def test_a_webhook_with_its_secret_twice_is_refused(shop: Shop) -> None:
    headers = CIMultiDict([("X-Webhook-Signature", secret_of(12))] * 2)
    for path in (HOOK, f"{HOOK}/12"):
        status, _ = await answer(shop, "POST", path, json=received(), headers=headers)
        assert status == 401
    assert await shop.rows() == []


@pytest.mark.parametrize(
    ("host", "status"),
    [("evil.example", 421), ("127.0.0.1.evil.example", 421), ("a b", 400), ("", 400), ("x/y", 400)],
)
async def test_a_host_that_we_are_not_is_answered_with_one_sentence(
    shop: Shop, host: str, status: int
) -> None:
    for path in ("/", "/api/me", "/login", "/ui/app.js"):
        async with shop.http.get(
            shop.gateway.url + path, headers={"Host": host}, allow_redirects=False
        ) as reply:
            assert reply.status == status, path
            body = await reply.json()
            assert body["success"] is False
            assert body["error"].count(". ") <= 1
    for path in ("/healthz", "/readyz"):
        assert (await answer(shop, "GET", path, headers={"Host": host}))[0] == 200
    status_of_hook, _ = await answer(
        shop, "POST", HOOK, json=received(), headers={"Host": host, "X-Webhook-Signature": secret_of(12)}
    )
    assert status_of_hook == 200


async def test_a_socket_under_another_name_is_refused(shop: Shop) -> None:
    headers = {"Host": "evil.example", "Authorization": f"Bearer {shop.gateway.token()}"}
    async with shop.http.ws_connect(shop.gateway.url + "/ws", headers=headers) as socket:
        await socket.receive(timeout=10)
        assert socket.close_code == 4503
    address = f"{shop.gateway.url}/realtime/v1/websocket?apikey={shop.gateway.token()}&vsn=1.0.0"
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await shop.http.ws_connect(address, headers={"Host": "evil.example"})
    assert caught.value.status == 403


# ------------------------------------------------------------------------------------------ metrics

FORWARDED = [
    {"X-Forwarded-For": "192.0.2.1"},
    {"Forwarded": "for=192.0.2.1"},
    {"X-Real-IP": "192.0.2.1"},
    {"Via": "1.1 x"},
]


@pytest.mark.parametrize("forwarded", FORWARDED, ids=str)
async def test_metrics_are_for_this_machine_and_for_those_with_the_token(
    database: str, tmp_path: Path, forwarded: dict[str, str]
) -> None:
    token = "a-token-for-metrics"
    async with (
        running(settings_for(database, tmp_path, metrics_token=token)) as gateway,
        opened(gateway, database) as shop,
    ):
        assert (await answer(shop, "GET", "/metrics"))[0] == 200
        assert (await answer(shop, "GET", "/metrics", headers=forwarded))[0] == 401
        for wrong in ("x", token + "x", gateway.token()):
            bearer = {**forwarded, "Authorization": f"Bearer {wrong}"}
            assert (await answer(shop, "GET", "/metrics", headers=bearer))[0] == 401
        bearer = {**forwarded, "Authorization": f"Bearer {token}"}
        assert (await answer(shop, "GET", "/metrics", headers=bearer))[0] == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [("evil.example", 401), ("localhost.evil.example", 401), ("10.0.0.5", 401), ("", 401), ("a b", 401),
     ("LOCALHOST:8080", 200), ("[::1]:8080", 200), ("127.0.0.9", 200)],
)  # fmt: skip
async def test_a_page_whose_name_was_made_to_point_here_reads_no_metrics(
    shop: Shop, host: str, status: int
) -> None:
    assert (await answer(shop, "GET", "/metrics", headers={"Host": host}))[0] == status


# ------------------------------------------------------------------------------------------ cookies


@contextlib.asynccontextmanager
async def served(dsn: str, folder: Path, **more: Any) -> AsyncIterator[Shop]:
    async with running(settings_for(dsn, folder, **more)) as gateway, opened(gateway, dsn) as shop:
        yield shop


async def cookie_of(shop: Shop) -> str:
    link = await shop.gateway.gateway.login_link()
    ticket = link.partition("ticket=")[2]
    async with shop.http.post(shop.gateway.url + "/login", json={"ticket": ticket}) as reply:
        assert reply.status == 200
        return reply.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("url", "begins", "path"),
    [
        ("https://127.0.0.1", "__Host-gateway_login_", "/"),
        ("https://127.0.0.1/gw", "__Secure-gateway_login_", "/gw"),
        ("http://127.0.0.1", "gateway_login_", "/"),
    ],
)
async def test_the_cookie_is_bound_to_host_or_path_where_https_is(
    database: str, tmp_path: Path, url: str, begins: str, path: str
) -> None:
    async with served(database, tmp_path, public_url=url) as shop:
        cookie = await cookie_of(shop)
        name, _, rest = cookie.partition("=")
        is_https = url.startswith("https")
        assert name.startswith(begins)
        assert f"Path={path};" in rest + ";"
        assert ("Secure" in rest) is is_https
        assert "HttpOnly" in rest
        assert "SameSite=lax" in rest
        status, headers = await answer(shop, "GET", "/api/me", headers={"Cookie": cookie.partition(";")[0]})
        assert status == 200
        assert ("strict-transport-security" in headers) is is_https
        prefix = path.rstrip("/")
        assert (await answer(shop, "GET", "/"))[1]["Location"] == f"{prefix}/login"


async def test_two_gateways_on_one_host_do_not_share_a_cookie(
    database: str, shop_database: str, tmp_path: Path
) -> None:
    async with served(database, tmp_path / "a") as one, served(shop_database, tmp_path / "b") as two:
        first, second = [(await cookie_of(shop)).partition(";")[0] for shop in (one, two)]
        assert first.partition("=")[0] != second.partition("=")[0]
        both = {"Cookie": f"{first}; {second}"}
        for gateway in (one, two):
            assert (await answer(gateway, "GET", "/api/me", headers=both))[0] == 200


async def test_gateways_with_different_secrets_say_so(
    gateway: Running, database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = "another-secret-of-at-least-32-characters-too"
    async with running(settings_for(database, tmp_path / "other", secret=other)):
        assert "is not the one of the gateways that run on this database" in caplog.text
    caplog.clear()
    previous = gateway.gateway.settings.secret
    async with running(
        settings_for(database, tmp_path / "new", secret=other, secret_previous=previous)
    ) as new:
        assert "secret.differs" not in caplog.text
        assert (await new.call("GET", "/api/me", token=gateway.token()))[0] == 200
    kept = await _setting(database)
    assert str(previous) not in kept
    assert other not in kept


async def _setting(database: str) -> str:
    import asyncpg

    connection = await asyncpg.connect(database)
    try:
        return str(
            await connection.fetchval("SELECT value::text FROM gateway.settings WHERE key = 'secret_check'")
        )
    finally:
        await connection.close()
