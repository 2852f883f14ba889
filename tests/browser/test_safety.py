"""What a hostile customer writes, and what a browser may see of secrets and of others (`pytest -k SE_01`)."""

import json
from typing import Any, cast

from playwright.async_api import Browser, Page, expect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from gateway.domain.access import Role
from tests.browser.desk import window
from tests.browser.numbers import SESSIONS, Numbers, login_of, numbers_window
from tests.launcher.running import Running

HOSTILE = [
    '<img src=x onerror="window.hacked=1">',
    "<script>window.hacked=1</script>",
    "javascript:window.hacked=1 and [x](javascript:window.hacked=1)",
    "\u202egnp.exe\u2066 \u200f reversed",
    "<svg/onload=window.hacked=1> &lt;b&gt; \u0000".replace("\u0000", ""),
    "long " * 20_000,
]


async def test_SE_01_what_a_customer_writes_is_text_wherever_it_stands(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    async with window(shared_browser, storage_state=shared_login) as page:
        numbers = Numbers(shared_gateway, page)
        number = await numbers.create('<b onclick="hacked=1">Shop</b>')
        await numbers.link(number)
        foreign: list[str] = []
        page.on("request", lambda request: foreign.append(request.url))
        await page.goto(shared_gateway.url)
        picture = {"kind": "document", "name": '<img src=x onerror="hacked=1">.pdf'}
        for text in HOSTILE:
            message = {"from": "+255711000731", "push_name": "<i>Eve</i>\u202e", "text": text}
            await numbers.simulate(f"/sessions/{number}/inbound", message)
        await numbers.simulate(
            f"/sessions/{number}/inbound",
            {"from": "+255711000731", "push_name": "<i>Eve</i>", "media": picture},
        )
        row = page.get_by_test_id("conversation-row").filter(has_text="<i>Eve</i>")
        await expect(row.get_by_test_id("unread-badge")).to_have_text(str(len(HOSTILE) + 1))
        await page.evaluate("document.querySelector('wa-inbox').openConversation('255711000731')")
        thread = page.get_by_test_id("thread")
        for text in HOSTILE[:5]:
            await expect(thread.get_by_text(text.split("\u202e")[-1][:12], exact=False).first).to_be_visible()
        await expect(thread).to_contain_text('<img src=x onerror="hacked=1">.pdf')
        assert await page.evaluate("window.hacked") is None
        inside = """() => [...document.querySelectorAll("main script, main iframe, main a")]
            .filter((one) => !/^(https?:|tel:|blob:)/.test(one.href)).length"""
        assert await page.evaluate(inside) == 0
        assert [url for url in foreign if not url.startswith((shared_gateway.url, "data:", "blob:"))] == []
        answer = await page.request.get(shared_gateway.url)
        assert "unsafe-inline" not in answer.headers["content-security-policy"]
        await numbers.open()
        await expect(numbers.row(number)).to_contain_text('<b onclick="hacked=1">Shop</b>')


async def test_SE_02_no_secret_reaches_the_browser_unasked(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    async with window(shared_browser, storage_state=shared_login) as page:
        numbers = Numbers(shared_gateway, page)
        number = await numbers.create("Secrets")
        revealed = await shared_gateway.data("GET", f"{SESSIONS}/{number}?reveal=secrets")
        upstream = shared_gateway.gateway.upstream.simulator
        assert upstream is not None
        secrets = [revealed["api_key"], revealed["webhook_secret"], upstream.account_token]
        assert all(secrets)
        seen: list[str] = []

        async def keep(response: Any) -> None:
            if "json" in response.headers.get("content-type", ""):
                seen.append(response.url + await response.text())

        page.on("response", keep)
        page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: seen.append(str(frame))))
        await page.goto(shared_gateway.url)
        await numbers.show(number)
        await numbers.scan(number)
        await numbers.state("success")
        kept = await page.evaluate(
            "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])"
        )
        assert seen
        assert not [text for text in [*seen, kept] for secret in secrets if secret in text]
        stranger = await shared_browser.new_context()
        for path in (f"{SESSIONS}/{number}/qr-code?format=png", "/api/media/1"):
            assert (await stranger.request.get(shared_gateway.url + path)).status == 401
        await stranger.close()


async def test_SE_03_a_person_of_one_number_hears_nothing_of_another(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    numbers = Numbers(shared_gateway, cast("Page", None))  # no page is needed to play the phones
    mine, theirs = await numbers.create("Mine"), await numbers.create("Theirs")
    for number in (mine, theirs):
        await numbers.link(number)
    login = await login_of(shared_browser, shared_gateway, "Mina", "agent", [mine])
    async with numbers_window(shared_browser, shared_gateway, login) as window_of_mine:
        page = window_of_mine.page
        heard: list[str] = []
        page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: heard.append(str(frame))))
        await page.reload()
        await expect(page.get_by_test_id("connection-banner")).to_have_attribute("data-state", "online")
        for number, text in ((theirs, "not for you"), (mine, "for you")):
            await numbers.simulate(f"/sessions/{number}/inbound", {"from": "+255711000732", "text": text})
        await expect(page.get_by_test_id("conversation-row")).to_contain_text("for you")
        assert not [text for text in heard if "not for you" in text or f'"session_id":{theirs}' in text]
        for path in (f"{SESSIONS}/{theirs}", f"/api/conversations/255711000732/messages?session={theirs}"):
            assert (await page.request.get(shared_gateway.url + path)).status in (403, 404)

    token = shared_gateway.token(Role.AGENT, {mine})
    async with shared_gateway.socket(token) as socket:
        for topic in (f"inbox:{theirs}", f"session:{theirs}", "inbox:0"):
            await socket.send(type="subscribe", ref=topic, topic=topic)
            refused = await socket.next("error")
            assert refused["code"] in ("forbidden", "unknown_topic")


async def test_SE_04_a_socket_asks_where_it_comes_from_and_a_ticket_is_good_once(
    shared_gateway: Running,
) -> None:
    address = shared_gateway.url.replace("http", "ws", 1) + "/ws"

    async def outcome(url: str, **more: Any) -> Any:
        """The kind of the first frame, or the code that the socket was closed with."""
        async with connect(url, compression=None, **more) as socket:
            try:
                return json.loads(await socket.recv())["type"]
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None

    async def ticket() -> str:
        made = await shared_gateway.data("POST", "/api/tickets", {"for": "ws"})
        assert made["expires_in_s"] < 60
        return str(made["ticket"])

    once = await ticket()
    assert await outcome(f"{address}?ticket={once}") == "welcome"
    assert await outcome(f"{address}?ticket={once}") == 4501
    assert await outcome(f"{address}?token={shared_gateway.token()}") == 4501
    assert await outcome(f"{address}?ticket={await ticket()}", origin="https://evil.example") == 4503
