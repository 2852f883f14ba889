"""The code to scan, as every program wants it."""

import json

import pytest

from tests.http.support import SESSIONS, Shop


async def test_there_is_no_code_while_nothing_is_linked(empty_shop: Shop) -> None:
    session_id = await empty_shop.create()

    for query in ("", "?format=svg", "?format=png", "?format=raw"):
        status, reply = await empty_shop.gateway.call("GET", f"{SESSIONS}/{session_id}/qr-code{query}")
        assert (status, reply["code"]) == (409, "not_linking")


async def test_a_code_comes_as_json_svg_png_and_text_and_is_never_cached(empty_shop: Shop) -> None:
    shop = empty_shop
    session_id = await shop.create()
    one = f"{SESSIONS}/{session_id}"
    async with shop.gateway.socket() as socket:
        await socket.subscribe(f"session:{session_id}")
        await shop.gateway.data("POST", f"{one}/connect")
        pushed = (await socket.state("session.qr"))["data"]

    headers = {"Authorization": f"Bearer {shop.gateway.token()}"}
    found: dict[str, tuple[str, bytes]] = {}
    for query in ("", "?format=json", "?format=svg", "?format=png", "?format=raw"):
        for path in ("qr-code", "qrcode"):
            url = f"{shop.gateway.url}{one}/{path}{query}"
            async with shop.http.get(url, headers=headers) as reply:
                assert (reply.status, reply.headers["Cache-Control"]) == (200, "no-store")
                found[query] = reply.content_type, await reply.read()
    assert found["?format=svg"][0] == "image/svg+xml"
    assert found["?format=png"][0] == "image/png"
    assert found["?format=png"][1].startswith(b"\x89PNG")
    assert found["?format=raw"] == ("text/plain", pushed["qrCode"].encode())
    shown = json.loads(found[""][1])
    assert shown["data"] == pushed
    assert shown["qr_code"] == pushed["qr_code"]
    assert (pushed["attempt"], pushed["max_attempts"], pushed["seq"]) == (1, 6, 1)
    assert (await shop.gateway.call("GET", f"{one}/qr-code?format=gif"))[0] == 422


async def test_connecting_twice_is_one_attempt(empty_shop: Shop) -> None:
    session_id = await empty_shop.create()

    for _ in range(3):
        status, reply = await empty_shop.gateway.call("POST", f"{SESSIONS}/{session_id}/connect")
        assert (status, reply["data"]["session_id"]) == (200, session_id)
    count = await empty_shop.db.fetchval("SELECT count(*) FROM gateway.whatsapp_link_attempts")
    assert count == 1


@pytest.mark.parametrize("action", ["disconnect", "delete"])
async def test_the_code_is_gone_when_the_attempt_was_ended(empty_shop: Shop, action: str) -> None:
    shop = empty_shop
    session_id = await shop.create()
    one = f"{SESSIONS}/{session_id}"
    await shop.gateway.data("POST", f"{one}/connect")
    call = ("DELETE", one) if action == "delete" else ("POST", f"{one}/disconnect")
    await shop.gateway.call(*call)

    status, reply = await shop.gateway.call("GET", f"{one}/qr-code")
    assert (status, reply["code"]) == (409, "not_linking")
    assert await shop.db.fetchval("SELECT reason FROM gateway.whatsapp_link_attempts") == "cancelled"
