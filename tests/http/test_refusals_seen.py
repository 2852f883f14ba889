"""What is refused is seen: by kind in the metrics, once a minute in the log, and at the session it is about."""

import logging
from typing import Any

import aiohttp
import pytest

from gateway.domain.access import Role
from gateway.realtime import close_codes
from gateway.services.log_context import LogContext, log_context
from tests.http.support import HOOK, Shop, eventually, received

ONE = "/api/whatsapp-sessions/{}"

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def counted(shop: Shop, name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels."""
    _, said = await shop.gateway.call("GET", "/metrics", token="")
    wanted = [f'{key}="{value}"' for key, value in labels.items()]
    return sum(
        float(line.rpartition(" ")[2])
        for line in said.splitlines()
        if line.startswith(name) and line[len(name)] in "{ " and all(item in line for item in wanted)
    )


async def test_a_request_has_an_id_in_the_header_in_the_error_and_in_the_log(
    shared_empty_shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shop = shared_empty_shop
    seen: list[tuple[str, LogContext]] = []

    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(shop.gateway.gateway.repositories.sessions, "list_sessions", broken)

    def note(record: logging.LogRecord) -> bool:
        seen.append((record.getMessage(), log_context()))
        return True

    caplog.handler.addFilter(note)
    async with shop.http.get(
        f"{shop.gateway.url}/api/whatsapp-sessions",
        headers={"Authorization": f"Bearer {shop.gateway.token()}", "X-Request-Id": "from-the-proxy-7"},
    ) as reply:
        body = await reply.json()

    assert reply.status == 500
    assert reply.headers["X-Request-Id"] == body["request_id"] == "from-the-proxy-7"
    told = [about for line, about in seen if line.startswith("http.failed")]
    assert [(item.request, item.address) for item in told] == [("from-the-proxy-7", "127.0.0.1")]
    async with shop.http.get(f"{shop.gateway.url}/healthz", headers={"X-Request-Id": "not one"}) as reply:
        assert reply.headers["X-Request-Id"] not in ("", "not one")


async def test_requests_are_counted_under_their_route_and_never_under_what_a_client_wrote(
    shared_empty_shop: Shop,
) -> None:
    shop, name = shared_empty_shop, "gateway_http_requests_total"
    route = {"route": "/api/whatsapp-sessions/{id}", "method": "GET", "status": "404"}
    before = await counted(shop, name, **route), await counted(shop, name, route="other", status="404")

    for number in (701, 702):
        assert (await shop.gateway.call("GET", ONE.format(number)))[0] == 404
    await shop.gateway.call("GET", "/made/up/address")
    await shop.gateway.call("PURGE", "/another")

    after = await counted(shop, name, **route), await counted(shop, name, route="other", status="404")
    assert after[0] - before[0] == 2
    assert after[1] - before[1] >= 1
    _, said = await shop.gateway.call("GET", "/metrics", token="")
    assert "made/up" not in said
    assert "PURGE" not in said


async def test_a_bad_token_and_a_socket_that_is_not_let_in_are_counted_by_kind(
    shared_empty_shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop, name = shared_empty_shop, "gateway_refused_total"
    kinds = ("token", "socket_login", "socket_origin")
    before = {kind: await counted(shop, name, kind=kind) for kind in kinds}
    caplog.set_level(logging.WARNING)

    assert (await shop.gateway.call("GET", "/api/me", token="not-a-token"))[0] == 401
    for headers, code in (
        ({"Authorization": "Bearer no"}, close_codes.UNAUTHORISED),
        ({"Authorization": "Bearer no"}, close_codes.UNAUTHORISED),
        ({"Origin": "https://elsewhere.example"}, close_codes.FORBIDDEN),
    ):
        async with shop.http.ws_connect(f"{shop.gateway.url}/ws", headers=headers) as socket:
            ended = await socket.receive()
            assert (ended.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, code)

    after = {kind: await counted(shop, name, kind=kind) for kind in kinds}
    assert {kind: after[kind] - before[kind] for kind in kinds} == {
        "token": 1, "socket_login": 2, "socket_origin": 1,
    }  # fmt: skip
    lines = [line for line in caplog.messages if line.startswith("connection.refused kind=socket_login")]
    assert len(lines) == 1  # the second comes with the next minute's
    assert "address=127.0.0.1" in lines[0]


async def test_a_session_whose_webhooks_are_all_refused_is_shown_and_repaired_by_one_call(
    shared_empty_shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop = shared_empty_shop
    caplog.set_level(logging.WARNING)
    number = await shop.create(name="Refused")
    path, hook = ONE.format(number), f"{HOOK}/{number}"
    refused = await counted(shop, "gateway_refused_total", kind="webhook_secret")
    answered = await counted(shop, "gateway_webhooks_total", answer="401")
    await shop.db.execute(
        "UPDATE gateway.session_state SET webhook_state = NULL WHERE wasender_session_id = $1", number
    )

    async with shop.gateway.socket() as socket:
        await socket.subscribe(f"session:{number}")
        for _ in range(2):
            assert (await shop.post(received(), secret="another-secret-than-ours", path=hook))[0] == 401
        state = await socket.next(
            "state", lambda frame: (frame["data"] or {}).get("webhook_state") == "refused"
        )
        assert "secret changed upstream" in state["data"]["webhook_note"]

        status, _ = await shop.gateway.call(
            "POST", f"{path}/repair-webhook", token=shop.gateway.token(Role.AGENT)
        )
        assert status == 403
        await shop.gateway.data("POST", f"{path}/repair-webhook")
        await socket.next("state", lambda frame: (frame["data"] or {}).get("webhook_state") == "ok")

    assert await counted(shop, "gateway_refused_total", kind="webhook_secret") - refused == 2
    assert await counted(shop, "gateway_webhooks_total", answer="401") - answered == 2
    lines = [line for line in caplog.messages if f"session={number} " in line and "webhooks.refused " in line]
    assert len(lines) == 1
    assert "address=127.0.0.1" in lines[0]


async def test_one_wrong_secret_between_right_ones_is_no_news_of_a_session(shared_empty_shop: Shop) -> None:
    shop = shared_empty_shop
    number = await shop.create(name="Quiet")
    secrets = await shop.gateway.gateway.repositories.sessions.secrets(number)
    assert secrets is not None
    hook, right = f"{HOOK}/{number}", secrets.webhook_secret
    for secret in ("wrong-1-0123456789", right, "wrong-2-0123456789"):
        await shop.post(received(), secret=secret, path=hook)

    async def count() -> Any:
        return await shop.db.fetchval(
            "SELECT webhooks_refused FROM gateway.session_state WHERE wasender_session_id = $1", number
        )

    async def is_counted_once() -> bool:
        return bool(await count() == 1)

    await eventually(is_counted_once)
    shown = await shop.gateway.data("GET", ONE.format(number))
    assert shown["webhook_state"] != "refused"
