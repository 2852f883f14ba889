"""A real Chromium, driven by Playwright."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from gateway.embedded_postgres.server import EmbeddedPostgres
from tests.browser.accessibility import AXE
from tests.browser.desk import Desk, log_in, window
from tests.browser.numbers import Numbers, login_of, numbers_window
from tests.http.support import Shop, opened
from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for
from tests.launcher.terminal import Terminal
from tests.postgres_fixtures import clone
from tests.processes.conftest import folder_for_data

CHROMIUM = shutil.which("chromium")

# Against pages that never show it, not against slow machines.
expect.set_options(timeout=20_000)

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

# A microphone that hums, and no question about it.
SOUND = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]


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


@pytest.fixture(scope="session")
def axe() -> Path:
    """The script of axe, to be added to a page."""
    if not AXE.exists():
        pytest.skip("axe-core is missing: run `npm install` in tests/ui")
    return AXE


async def add_front_desk(shop: Shop) -> None:
    """The number 12. The simulator knows none of it: it must not say so, or the sender would find the number gone."""
    unwell = {"path": "/whatsapp-sessions/12", "status": 503, "times": None}
    await shop.gateway.data("POST", "/_simulator/faults", unwell)
    await shop.add_session(12, name="Front desk")


@pytest_asyncio.fixture
async def shop(gateway: Running, database: str) -> AsyncIterator[Shop]:
    async with opened(gateway, database) as made:
        await add_front_desk(made)
        yield made


# ------------------------------------------------------------------------------------------ one for a whole file


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_browser() -> AsyncIterator[Browser]:
    """One browser for all tests of a file."""
    if CHROMIUM is None:
        pytest.skip("chromium is missing: install the package `chromium`")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *SOUND])
        yield browser
        await browser.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_login(shared_browser: Browser, shared_gateway: Running) -> Any:
    """The login of an administrator, as a browser keeps it."""
    return await login_of(shared_browser, shared_gateway, "Amina", "admin")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_window(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> AsyncIterator[Numbers]:
    """An administrator's window, for tests that leave it at the inbox."""
    async with numbers_window(shared_browser, shared_gateway, shared_login) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def shared_numbers(shared_window: Numbers) -> AsyncIterator[Numbers]:
    """The same window, with nothing open and upstream well, before and after each test."""
    yield shared_window
    await shared_window.heal()
    await shared_window.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_shop(shared_gateway: Running) -> AsyncIterator[Shop]:
    """One gateway for all tests of a file, with the number 12, which is linked."""
    async with opened(shared_gateway, shared_gateway.gateway.database_url) as made:
        await add_front_desk(made)
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def shared_desk(
    request: pytest.FixtureRequest, shared_shop: Shop, shared_browser: Browser
) -> AsyncIterator[Desk]:
    """A window of a person of its own; what customers wrote is gone after the test."""
    try:
        async with window(shared_browser) as page:
            await log_in(page, shared_shop.gateway, request.node.name[:80])
            yield Desk(shared_shop, page)
    finally:
        for table in (
            "whatsapp_incoming_messages",
            "whatsapp_outgoing_messages",
            "gateway.conversation_marks",
        ):
            await shared_shop.db.execute(f"DELETE FROM {table}")


@pytest_asyncio.fixture(loop_scope="module")
async def desk(shared_browser: Browser, postgres: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Desk]:
    """A window at a gateway of its own, in the browser of the file: a browser costs more than most tests."""
    async with (
        clone(postgres, "migrated") as database,
        running(settings_for(database, tmp_path)) as gateway,
        opened(gateway, database) as made,
        window(shared_browser) as page,
    ):
        await add_front_desk(made)
        await log_in(page, gateway, "Amina")
        yield Desk(made, page)
