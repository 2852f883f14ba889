"""Getting in and being put out as people see it: first admin, wrong passwords, a second device, a disabled account."""

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal

PASSWORD = "correct horse"


class Town:
    """A gateway on a fresh database, as compose starts it, and the operator's terminal beside it."""

    def __init__(self, terminal: Terminal, env: dict[str, str], url: str, said: Any) -> None:
        self.terminal = terminal
        self.env = env
        self.url = url
        self.serve = said

    async def run(self, *command: str, stdin: str | None = None) -> str:
        ended = await self.terminal.run(*command, env=self.env, stdin=f"{stdin or ''}\n")
        assert ended.code == 0, ended
        return ended.out

    async def log_in(self, page: Page, name: str = "Ann", password: str = PASSWORD) -> None:
        await page.goto(self.url + "/login")
        await try_password(page, name, password)
        await page.wait_for_url(self.url + "/")
        await expect(page.get_by_test_id("sessions-button")).to_be_visible()


@pytest_asyncio.fixture
async def town(terminal: Terminal, empty_database: str) -> AsyncIterator[Town]:
    env = {
        "DATABASE_URL": empty_database,
        "GATEWAY_SECRET": SECRET,
        "WASENDER_BASE_URL": "http://127.0.0.1:9",
    }
    async with terminal.start("serve", "--port", "0", env=env) as serve:
        url = (await serve.line(r"runs at (\S+)"))[1]
        yield Town(terminal, env, url, serve)


async def try_password(page: Page, name: str, password: str) -> None:
    form = page.get_by_test_id("login-form")
    await form.get_by_label("Name").fill(name)
    await form.get_by_label("Password").fill(password)
    await form.get_by_role("button").click()


@pytest_asyncio.fixture
async def visitor(browser: Browser) -> AsyncIterator[Page]:
    """A window of its own whose refused requests may show on its console, as a browser writes them there."""
    context = await browser.new_context(locale="en-GB")
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    await context.close()
    assert errors == []


async def test_from_a_fresh_database_to_the_page_by_one_command(town: Town, visitor: Page) -> None:
    await visitor.goto(town.url)
    await visitor.wait_for_url(town.url + "/login")
    command = (await town.serve.line(r"gateway (user add \S+ --role admin)"))[1]
    await town.run(*command.replace("NAME", "Ann").split(), stdin=PASSWORD)

    await town.log_in(visitor)

    await expect(visitor.locator(".app-who")).to_contain_text("Ann")
    cookies = await visitor.context.cookies()
    assert [bool(cookie["httpOnly"]) for cookie in cookies] == [True]


async def test_ten_wrong_passwords_and_what_the_page_says(town: Town, visitor: Page) -> None:
    await town.run("user", "add", "Ann", stdin=PASSWORD)
    await visitor.goto(town.url + "/login")
    complaint = visitor.get_by_test_id("login-complaint")
    for number in range(10):
        await try_password(visitor, "Ann", f"wrong horse {number}")
        expected = "do not fit together" if number < 5 else "Too many tries"
        await expect(complaint).to_contain_text(expected)
        await expect(visitor.get_by_test_id("login-form").get_by_role("button")).to_be_enabled()
    assert visitor.url == town.url + "/login"


async def test_logging_out_elsewhere_ends_this_page_with_one_panel(
    town: Town, visitor: Page, browser: Browser
) -> None:
    await town.run("user", "add", "Ann", stdin=PASSWORD)
    await town.log_in(visitor)
    context = await browser.new_context()
    phone = await context.new_page()
    await town.log_in(phone)

    answer = await phone.request.delete(town.url + "/api/account/logins")
    assert (await answer.json())["data"] == {"ended": 1}

    await expect(visitor.get_by_test_id("login-needed")).to_have_count(1)
    await phone.reload()
    await expect(phone.get_by_test_id("sessions-button")).to_be_visible()
    await context.close()


async def test_who_is_disabled_while_reading_sees_one_panel_and_the_page_does_not_load_again(
    town: Town, visitor: Page
) -> None:
    await town.run("user", "add", "Ann", stdin=PASSWORD)
    await town.log_in(visitor)
    loads: list[str] = []
    visitor.on(
        "request", lambda request: loads.append(request.url) if request.is_navigation_request() else None
    )

    await town.run("user", "disable", "Ann")

    panel = visitor.get_by_test_id("login-needed")
    await expect(panel).to_have_count(1)
    await expect(panel).to_contain_text("ended")
    assert loads == []
    await panel.get_by_role("button").click()
    await visitor.wait_for_url(town.url + "/login")
    await try_password(visitor, "Ann", PASSWORD)
    await expect(visitor.get_by_test_id("login-complaint")).to_contain_text("do not fit together")


async def test_a_link_that_a_preview_has_opened_still_lets_the_person_in_once(
    town: Town, visitor: Page, browser: Browser
) -> None:
    link = await town.run("login-link", "--name", "Guest")
    preview = await browser.new_context()
    looking = await preview.new_page()
    await looking.goto(link)  # scripts and all, as some scanners do
    await looking.request.get(link)
    await looking.request.head(link)
    await preview.close()

    await visitor.goto(link)
    assert "ticket" not in visitor.url
    await visitor.get_by_test_id("login-button").click()
    await visitor.wait_for_url(town.url + "/")
    await expect(visitor.locator(".app-who")).to_contain_text("Guest")

    await visitor.goto(link)
    await visitor.get_by_test_id("login-button").click()
    await expect(visitor.get_by_text(re.compile("used already"))).to_be_visible()
    await expect(visitor.get_by_test_id("login-form")).to_be_visible()
