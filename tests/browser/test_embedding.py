"""The elements on a page of the shop: another origin, no cookies of third parties, a hostile style, a strict policy."""

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from gateway.domain.access import Role
from gateway.embedded_postgres.server import EmbeddedPostgres
from tests.browser.desk import ASHA, JUMA, window
from tests.browser.test_client import free_port
from tests.http.support import Shop, eventually, opened
from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for
from tests.postgres.writers import insert_message
from tests.postgres_fixtures import clone

HOSTILE = """
* { display: flow-root !important; position: static !important; font: 40px serif !important; color: red !important;
    text-transform: uppercase !important; letter-spacing: 1em !important; pointer-events: none !important; }
button, input, textarea, li { visibility: hidden !important; }
"""

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Shop</title>
<link rel="stylesheet" href="/shop.css">
<script type="module" src="{gateway}/ui/embed.js"></script>
<script src="/shop.js"></script>
<body>{body}</body></html>"""

LISTEN = """window.told = [];
for (const name of ["session-connected", "message", "unread-change", "ticket-needed", "login-needed"])
  document.addEventListener(name, (event) => window.told.push([name, event.detail, event.target.localName]));
"""


class Site:
    """The shop's own site: one page, its style and script, and its route for tickets."""

    gateway: Running
    shop: Shop
    database: str

    def __init__(self) -> None:
        self.url = ""
        self.body = ""
        self.style = ""
        self.life_s = 600.0
        self.gives_tickets = True
        self.tickets = 0

    async def ticket(self) -> str:
        """What the shop's backend asks the gateway for, with a token of its own."""
        self.tickets += 1
        token = self.gateway.token(Role.AGENT, life_s=self.life_s)
        wish = {"for": "embed", "sub": "till-1", "name": "Till 1", "role": "agent"}
        made = await self.gateway.data("POST", "/api/tickets", wish, token=token)
        return str(made["ticket"])

    async def page(self, _: web.Request) -> web.Response:
        policy = (
            f"default-src 'none'; script-src 'self' {self.gateway.url}; style-src 'self'; "
            f"connect-src 'self' {self.gateway.url} {self.gateway.url.replace('http', 'ws')}; "
            f"img-src data: blob: {self.gateway.url}; media-src blob: {self.gateway.url}"
        )
        text = PAGE.replace("{gateway}", self.gateway.url).replace("{body}", self.body)
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": policy})

    async def give(self, _: web.Request) -> web.Response:
        if not self.gives_tickets:
            return web.json_response({"error": "not logged in"}, status=401)
        return web.json_response({"ticket": await self.ticket()})

    async def shop_css(self, _: web.Request) -> web.Response:
        return web.Response(
            text=f"html, body {{ margin: 0; height: 100vh }} {self.style}", content_type="text/css"
        )

    async def shop_js(self, _: web.Request) -> web.Response:
        return web.Response(text=LISTEN, content_type="text/javascript")


@contextlib.asynccontextmanager
async def served(site: Site) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get("/", site.page)
    app.router.add_get("/shop.css", site.shop_css)
    app.router.add_get("/shop.js", site.shop_js)
    app.router.add_post("/ticket", site.give)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        listening = web.TCPSite(runner, "127.0.0.1", 0)
        await listening.start()
        # Another host than the gateway's: to the browser it is another site, whose cookies are third parties'.
        site.url = f"http://localhost:{runner.addresses[0][1]}"
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def gateway_of(site: Site, database: str, folder: Path, port: int = 0) -> AsyncIterator[None]:
    settings = settings_for(database, folder, allowed_origins=site.url, port=port)
    async with running(settings) as gateway:
        site.gateway = gateway
        yield


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("embedding")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_site(postgres: EmbeddedPostgres, shared_folder: Path) -> AsyncIterator[Site]:
    """One site and one gateway for all tests of this file."""
    site = Site()
    async with (
        served(site),
        clone(postgres, "migrated") as database,
        gateway_of(site, database, shared_folder),
        opened(site.gateway, database) as shop,
    ):
        await shop.add_session(12, name="Front desk")
        site.shop, site.database = shop, database
        await hear(site, ASHA, "Do you have sugar?", "Asha")
        await hear(site, JUMA, "Hello", "Juma")
        yield site


async def hear(site: Site, phone: str, text: str, name: str) -> None:
    """Lets a customer write."""
    await insert_message(
        site.shop.db,
        12,
        message_text=text,
        chat=f"{phone}@s.whatsapp.net",
        from_phone=phone,
        push_name=name,
    )


def rows(page: Page) -> Any:
    return page.get_by_test_id("conversation-row")


async def told(page: Page, name: str) -> list[Any]:
    return [item for item in await page.evaluate("window.told") if item[0] == name]


async def open_with_ticket(site: Site, page: Page, more: str = "") -> None:
    """The page with an inbox that has got its ticket from the page itself."""
    site.body = f'<whatsapp-inbox id="inbox" ticket="{await site.ticket()}" {more}></whatsapp-inbox>'
    await page.goto(site.url)
    await expect(rows(page).first).to_be_visible(timeout=20_000)


async def revive(site: Site, page: Page) -> None:
    """The page has got another ticket, and has read the gateway's answer."""
    ticket = await site.ticket()
    async with page.expect_response("**/api/tickets/redeem") as redeemed:
        await page.locator("#inbox").evaluate(
            "(inbox, ticket) => inbox.setAttribute('ticket', ticket)", ticket
        )
    await (await redeemed.value).finished()
    await page.evaluate("fetch('/shop.css').then((reply) => reply.text())")


async def test_an_inbox_on_another_site_works_without_cookies_under_a_strict_policy(
    shared_browser: Browser, shared_site: Site
) -> None:
    site = shared_site
    site.style, site.life_s = "", 600
    async with window(shared_browser) as page:
        complaints: list[str] = []
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        await open_with_ticket(site, page)
        await expect(rows(page)).to_have_count(2)
        await page.locator("#inbox").evaluate("(inbox, phone) => inbox.openConversation(phone)", ASHA)
        await expect(page.get_by_test_id("message").first).to_contain_text("Do you have sugar?")
        await page.locator("#inbox").evaluate("(inbox) => inbox.compose('Yes, we do')")
        await expect(page.get_by_test_id("composer")).to_have_value("Yes, we do")
        await hear(site, ASHA, "And tea?", "Asha")
        await expect(page.get_by_test_id("message").last).to_contain_text("And tea?")
        assert [detail["message_text"] for _, detail, _ in await told(page, "message")] == ["And tea?"]
        assert {target for _, _, target in await told(page, "message")} == {"whatsapp-inbox"}
        assert await page.context.cookies() == []
        assert complaints == []


async def test_a_site_may_ask_for_a_conversation_before_anything_has_come(
    shared_browser: Browser, shared_site: Site
) -> None:
    site = shared_site
    site.style, site.life_s = "", 600
    site.body = f'<whatsapp-inbox id="inbox" ticket="{await site.ticket()}"></whatsapp-inbox>'
    async with window(shared_browser) as page:
        await page.goto(site.url, wait_until="commit")
        await page.evaluate(
            """(phone) => customElements.whenDefined("whatsapp-inbox")
                .then(() => document.querySelector("#inbox").openConversation(phone))""",
            ASHA,
        )
        await expect(page.get_by_test_id("message").first).to_contain_text("Do you have sugar?")


async def seen(page: Page) -> bytes:
    """What the inbox looks like when all has come, but for how long ago that was."""
    await expect(page.get_by_test_id("waiting").locator("button").first).to_be_visible()
    return await page.locator("#inbox").screenshot(mask=[page.locator(".wa-row-time")])


async def test_the_style_of_a_hostile_site_does_not_reach_in(
    shared_browser: Browser, shared_site: Site
) -> None:
    site = shared_site
    site.style, site.life_s = "", 600
    async with window(shared_browser, reduced_motion="reduce") as page:
        await open_with_ticket(site, page)
        await page.mouse.move(0, 799)
        calm = await seen(page)
        site.style = HOSTILE
        await open_with_ticket(site, page)
        await page.mouse.move(0, 799)
        look = """(row) => {
            const {color, fontSize, textTransform} = getComputedStyle(row);
            return [color, fontSize, textTransform];
        }"""
        hostile = await rows(page).first.evaluate(look)
        site.style = ""
        await open_with_ticket(site, page)
        assert hostile == await rows(page).first.evaluate(look)
        assert await seen(page) == calm
        assert await page.evaluate("[...document.styleSheets].length") == 1


async def test_a_site_chooses_colours_theme_and_language(shared_browser: Browser, shared_site: Site) -> None:
    site = shared_site
    site.style, site.life_s = "whatsapp-inbox { --wa-accent: rgb(1, 2, 3) }", 600
    async with window(shared_browser) as page:
        await open_with_ticket(site, page, 'theme="dark" lang="ar"')
        inbox = page.locator("wa-inbox")
        assert await inbox.evaluate(
            "(one) => [one.dir, getComputedStyle(one).getPropertyValue('--wa-accent')]"
        ) == [
            "rtl",
            "rgb(1, 2, 3)",
        ]
        assert await inbox.evaluate("(one) => getComputedStyle(one).colorScheme") == "dark"
        await page.locator("#inbox").evaluate("(inbox) => inbox.setAttribute('lang', 'en')")
        await expect(page.get_by_placeholder("Name, number or words")).to_be_visible()
    site.style = ""


async def test_a_login_is_renewed_in_time_by_the_event_or_ends_and_comes_back(
    shared_browser: Browser, shared_site: Site
) -> None:
    site = shared_site
    site.style, site.life_s = "", 600
    async with window(shared_browser) as page:
        await page.clock.install()
        await open_with_ticket(site, page)
        banner = page.get_by_test_id("connection-banner")
        await expect(banner).to_have_attribute("data-state", "online")
        await page.clock.fast_forward(545_000)
        await eventually(lambda: told(page, "ticket-needed"))
        assert await told(page, "login-needed") == []
        await revive(site, page)
        await page.clock.fast_forward(100_000)
        assert await told(page, "login-needed") == []

        await page.clock.fast_forward(600_000)
        await eventually(lambda: told(page, "login-needed"))
        await expect(banner).to_have_attribute("data-state", "offline")
        await expect(banner).to_contain_text("Not kept up")
        await hear(site, JUMA, "Still there?", "Juma")
        await revive(site, page)
        await expect(banner).to_have_attribute("data-state", "online")
        await expect(rows(page).filter(has_text="Still there?")).to_be_visible()


async def test_a_ticket_that_was_used_says_so_and_a_fresh_one_opens_the_inbox(
    shared_browser: Browser, shared_site: Site
) -> None:
    site = shared_site
    site.style, site.life_s = "", 600
    async with window(shared_browser) as page:
        site.body = '<whatsapp-inbox id="inbox" ticket="used-long-ago"></whatsapp-inbox>'
        await page.goto(site.url)
        await eventually(lambda: told(page, "login-needed"))
        assert len(await told(page, "ticket-needed")) == 1
        await expect(page.get_by_test_id("connection-banner")).to_have_attribute("data-state", "offline")
        await revive(site, page)
        await expect(rows(page).first).to_be_visible(timeout=20_000)
        await expect(page.get_by_test_id("connection-banner")).to_have_attribute("data-state", "online")


async def test_the_sites_own_route_gives_tickets_as_long_as_the_person_is_logged_in_there(
    shared_browser: Browser, shared_site: Site
) -> None:
    site = shared_site
    site.style, site.life_s, site.tickets, site.gives_tickets = "", 600, 0, True
    async with window(shared_browser) as page:
        await page.clock.install()
        site.body = '<whatsapp-inbox id="inbox" ticket-url="/ticket"></whatsapp-inbox>'
        await page.goto(site.url)
        await expect(rows(page).first).to_be_visible(timeout=20_000)
        assert site.tickets == 1
        await page.clock.fast_forward(545_000)
        await eventually(lambda: as_value(site.tickets), lambda count: count == 2)
        assert await told(page, "ticket-needed") == []
        site.gives_tickets = False
        await page.clock.fast_forward(3_700_000)
        await eventually(lambda: told(page, "login-needed"))
        assert len(await told(page, "ticket-needed")) >= 1
    site.gives_tickets = True


async def as_value(value: Any) -> Any:
    return value


async def test_an_element_that_is_taken_off_the_page_closes_its_socket_and_marks_nothing_read(
    shared_browser: Browser, shared_site: Site
) -> None:
    site = shared_site
    site.style, site.life_s = "", 600
    async with window(shared_browser) as page:
        sockets: list[Any] = []
        calls: list[str] = []
        page.on("websocket", lambda ws: sockets.append(ws))
        page.on("request", lambda request: calls.append(request.url))
        await open_with_ticket(site, page)
        await page.locator("#inbox").evaluate("(inbox, phone) => inbox.openConversation(phone)", JUMA)
        await expect(page.get_by_test_id("message").first).to_be_visible()
        await expect(page.get_by_test_id("connection-banner")).to_have_attribute("data-state", "online")
        await page.evaluate("window.inbox = document.getElementById('inbox'); window.inbox.remove()")
        await eventually(lambda: as_value(all(one.is_closed() for one in sockets)))
        calls.clear()
        await hear(site, JUMA, "Hello again", "Juma")
        listed = await eventually(
            lambda: site.gateway.data("GET", f"/api/conversations/{JUMA}?session=12"),
            lambda data: data["last_message"]["message_text"] == "Hello again",
        )
        assert listed["unread"] == 1
        assert calls == []

        await page.evaluate("document.body.append(window.inbox)")
        await expect(rows(page).filter(has_text="Hello again")).to_be_visible()
        assert [one.is_closed() for one in sockets].count(False) == 1


async def test_numbers_are_linked_from_another_site(shared_browser: Browser, shared_site: Site) -> None:
    site = shared_site
    site.style, site.life_s = HOSTILE, 600
    async with window(shared_browser) as page:
        wish = {"name": "Kiosk", "phone_number": "+255711000799"}
        number = (await site.gateway.data("POST", "/api/whatsapp-sessions", wish))["id"]
        site.body = f'<whatsapp-sessions id="numbers" ticket="{await site.ticket()}"></whatsapp-sessions>'
        await page.goto(site.url)
        await expect(page.get_by_test_id("sessions-button")).to_be_attached()
        await page.locator("#numbers").evaluate("(numbers) => numbers.open()")
        modal = page.get_by_test_id("session-modal")
        await expect(modal).to_have_attribute("data-state", "list")
        row = page.locator(f'[data-testid="session-row"][data-session="{number}"]')
        await row.get_by_test_id("connect-button").evaluate("(button) => button.click()")
        await expect(modal).to_have_attribute("data-state", "qr")
        await site.gateway.data("POST", f"/_simulator/sessions/{number}/scan")
        await eventually(lambda: told(page, "session-connected"))
        ((_, detail, target),) = await told(page, "session-connected")
        assert (detail["session_id"], target) == (number, "whatsapp-sessions")
    site.style = ""


async def test_a_gateway_that_restarts_is_told_and_then_everything_is_there(
    browser: Browser, database: str, tmp_path: Path
) -> None:
    site = Site()
    port = free_port()[1]
    async with served(site), window(browser) as page:
        async with gateway_of(site, database, tmp_path, port), opened(site.gateway, database) as shop:
            await shop.add_session(12, name="Front desk")
            site.shop = shop
            await hear(site, ASHA, "One", "Asha")
            await open_with_ticket(site, page)
            await expect(page.get_by_test_id("connection-banner")).to_have_attribute("data-state", "online")
        banner = page.get_by_test_id("connection-banner")
        await expect(banner).to_have_attribute("data-state", re.compile("reconnecting|offline"))
        async with gateway_of(site, database, tmp_path, port), opened(site.gateway, database) as shop:
            site.shop = shop
            await hear(site, ASHA, "Two", "Asha")
            await expect(banner).to_have_attribute("data-state", "online", timeout=40_000)
            await expect(rows(page).first).to_contain_text("Two")
            assert await told(page, "login-needed") == []
            await page.goto("about:blank")
