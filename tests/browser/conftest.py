"""A real Chromium, driven by Playwright."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from gateway.services.sessions.monitor import Monitor
from tests.browser.desk import Desk, log_in, window
from tests.http.support import Shop, opened
from tests.launcher.running import Running
from tests.launcher.terminal import Terminal
from tests.processes.conftest import folder_for_data

CHROMIUM = shutil.which("chromium")

# Without these Chromium looks for Google's hosts at every start; a test speaks to loopback only.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is missing: install the package `chromium`")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        await browser.close()


@pytest_asyncio.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A fresh window. The test fails if the page says anything on its console that is a complaint."""
    complaints: list[str] = []
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    page = await context.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None
    )
    page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    yield page
    await context.close()
    assert complaints == []


@pytest.fixture
def data_dir() -> Iterator[Path]:
    with folder_for_data() as folder:
        yield folder / "data"


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path)


@pytest.fixture
def no_upkeep(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of these tests exists only here: a sync of the gateway's own accord would find it gone."""

    async def rest(_: Monitor) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Monitor, "run", rest)


@pytest_asyncio.fixture
async def shop(no_upkeep: None, gateway: Running, database: str) -> AsyncIterator[Shop]:
    async with opened(gateway, database) as made:
        await made.add_session(12, name="Front desk")
        yield made


@pytest_asyncio.fixture
async def desk(shop: Shop, browser: Browser) -> AsyncIterator[Desk]:
    async with window(browser) as page:
        await log_in(page, shop.gateway, "Amina")
        yield Desk(shop, page)
