"""Everything behind a path of the shop's own host, through nginx and Caddy, which take the path off or leave it on."""

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Response, expect

from tests.browser.elsewhere import site
from tests.http.support import Shop, opened, received, secret_of
from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for
from tests.processes.test_proxies import free_port, proxy

PASSWORD = "correct horse"

# `site` is told the address of the gateway after it has begun.
EMBEDDING = """<!doctype html><meta charset="utf-8">
<link rel="icon" href="data:,">
<script type="module" src="{url}/ui/embed.js"></script>
<whatsapp-inbox ticket="{ticket}"></whatsapp-inbox>
"""


@dataclass(frozen=True, slots=True)
class Below:
    """A gateway below a path."""

    gateway: Running
    shop: Shop
    url: str
    origin: str
    pages: dict[str, str]
    """Of the shop's other site, which embeds the inbox."""


WAYS = [("nginx", False), ("caddy", True)]
"""Each proxy and each way once; `tests/processes/test_proxies.py` has the paths of the others."""


@pytest_asyncio.fixture(params=WAYS, ids=lambda way: f"{way[0]}-{'off' if way[1] else 'on'}")
async def below(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> AsyncIterator[Below]:
    kind, takes_path_off = request.param
    if shutil.which(kind) is None:
        pytest.skip(f"{kind} is not installed: apt-get install {kind}")
    folder = tmp_path / "proxy"
    folder.mkdir()
    port, pages = free_port(), dict[str, str]()
    url = f"https://localhost:{port}/whatsapp"
    async with site(pages) as origin:
        settings = settings_for(
            database,
            tmp_path,
            trusted_proxies=("127.0.0.1",),
            public_url=url,
            allowed_origins=(origin,),
        )
        async with running(settings) as gateway, opened(gateway, database) as shop:
            upstream = int(gateway.url.rsplit(":", 1)[1])
            async with proxy(kind, folder, upstream, port=port, takes_path_off=takes_path_off):
                await shop.add_session(12, name="Front desk")
                yield Below(gateway, shop, url, origin, pages)


@pytest_asyncio.fixture
async def visitor(browser: Browser) -> AsyncIterator[Page]:
    """A window that takes a certificate signed by itself; what fails below the path fails the test."""
    context = await browser.new_context(ignore_https_errors=True, locale="en-GB")
    page = await context.new_page()
    missing: list[str] = []

    def note(response: Response) -> None:
        if response.status >= 400:
            missing.append(f"{response.status} {response.url}")

    page.on("response", note)
    page.on("pageerror", lambda error: missing.append(str(error)))
    yield page
    await context.close()
    assert missing == []


async def test_page_login_files_docs_sockets_and_embedding_work_below_a_path(
    below: Below, visitor: Page
) -> None:
    await log_in(below, visitor)
    await take_webhook(below, visitor)
    await look_at_cookie_and_manifest(below, visitor)
    for path, heading in (("/account", "account"), ("/people", "people")):
        await visitor.goto(below.url + path)
        await expect(visitor.get_by_test_id(heading)).to_be_visible()
    await read_docs(below, visitor)
    await embed(below, visitor)


async def log_in(below: Below, page: Page) -> None:
    person = {"name": "Ann", "password": PASSWORD, "role": "admin", "sessions": "*"}
    await below.gateway.data("POST", "/api/people", person)
    await page.goto(below.url + "/")
    await page.wait_for_url(below.url + "/login")
    form = page.get_by_test_id("login-form")
    await form.get_by_label("Name").fill("Ann")
    await form.get_by_label("Password").fill(PASSWORD)
    await form.get_by_role("button").click()
    await page.wait_for_url(below.url + "/")
    await expect(page.get_by_test_id("sessions-button")).to_be_visible()


async def take_webhook(below: Below, page: Page) -> None:
    reply = await page.context.request.post(
        f"{below.url}/api/whatsapp/webhook/12",
        data=json.dumps(received(key_id="below", text="Hello below")),
        headers={"X-Webhook-Signature": secret_of(12), "Content-Type": "application/json"},
    )
    assert (reply.status, await reply.json()) == (200, {"received": True})
    # Through the socket: nothing loads the list again.
    await expect(page.get_by_test_id("conversation-row")).to_contain_text("Hello below")
    await page.get_by_test_id("conversation-row").click()
    await expect(page.get_by_test_id("message")).to_contain_text("Hello below")
    await page.reload()
    await expect(page.get_by_test_id("message")).to_contain_text("Hello below")


async def look_at_cookie_and_manifest(below: Below, page: Page) -> None:
    (cookie,) = await page.context.cookies(below.url + "/")
    assert cookie["name"].startswith("__Secure-")
    assert (cookie["path"], cookie["secure"], cookie["httpOnly"]) == ("/whatsapp", True, True)

    named = await page.locator("link[rel=manifest]").get_attribute("href")
    address = urljoin(page.url, named)
    reply = await page.context.request.get(address)
    manifest = await reply.json()
    assert urljoin(address, manifest["start_url"]) == below.url + "/"
    assert urljoin(address, manifest["scope"]) == below.url + "/"
    for picture in manifest["icons"]:
        assert (await page.context.request.get(urljoin(address, picture["src"]))).ok


async def read_docs(below: Below, page: Page) -> None:
    await page.goto(below.url + "/docs")
    await expect(page.get_by_role("navigation")).to_contain_text("Can it take webhooks")
    await expect(page.locator("main")).to_contain_text(f"{below.url}/api/")


async def embed(below: Below, page: Page) -> None:
    ticket = await below.gateway.data("POST", "/api/tickets", {"for": "embed"})
    below.pages["/"] = EMBEDDING.format(url=below.url, ticket=ticket["ticket"])
    # Without the cookie of the login, as a page of another site.
    await page.context.clear_cookies()
    await page.goto(below.origin + "/")
    await expect(page.get_by_test_id("conversation-row")).to_contain_text("Hello below")
