"""People and one's own account as they are looked after on the page: added, disabled, logged out, given a password."""

import re
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.browser.test_login import PASSWORD, Town, town, try_password, visitor

__all__ = ["town", "visitor"]


@pytest_asyncio.fixture
async def colleague(browser: Browser) -> AsyncIterator[Page]:
    """The window of another person."""
    context = await browser.new_context(locale="en-GB")
    yield await context.new_page()
    await context.close()


async def as_admin(town: Town, page: Page) -> None:
    await town.run("user", "add", "Ann", "--role", "admin", stdin=PASSWORD)
    await town.log_in(page)


async def test_an_admin_lets_a_person_in_and_puts_them_out_again(
    town: Town, visitor: Page, colleague: Page
) -> None:
    await as_admin(town, visitor)
    await visitor.get_by_role("link", name="People").click()
    await visitor.wait_for_url(town.url + "/people")
    await visitor.get_by_test_id("add-person").click()
    form = visitor.get_by_test_id("person-form")
    await form.get_by_role("button", name="Add").click()
    await expect(form).to_contain_text("Give the person a name.")
    await form.get_by_label("Name").fill("Ben")
    await form.get_by_role("button", name="Make one up").click()
    await form.get_by_role("button", name="Add").click()
    password = await visitor.get_by_test_id("person-password").locator("code").inner_text()

    await town.log_in(colleague, "Ben", password)
    row = visitor.get_by_test_id("person-row").filter(has_text="Ben")
    await expect(row).to_contain_text("can reply · All numbers")
    await row.get_by_role("button", name="Actions for Ben").click()
    await visitor.get_by_role("menuitem", name="Disable").click()
    await visitor.get_by_role("alertdialog").get_by_role("button", name="Disable").click()

    await expect(row).to_contain_text("Disabled")
    await expect(colleague.get_by_test_id("login-needed")).to_be_visible()


async def test_a_person_changes_the_own_password_and_logs_another_browser_out(
    town: Town, visitor: Page, colleague: Page
) -> None:
    await as_admin(town, visitor)
    await town.log_in(colleague)
    await visitor.goto(town.url + "/account")
    rows = visitor.get_by_test_id("login-row")
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("This browser")
    form = visitor.get_by_test_id("password-form")
    await form.get_by_label("Current password").fill("wrong horse")
    await form.get_by_label("New password").fill("another horse")
    await form.get_by_role("button", name="Change password").click()
    await expect(form).to_contain_text("The current password is not right.")
    await visitor.get_by_test_id("end-others").click()
    await visitor.get_by_role("alertdialog").get_by_role("button", name="Log out everywhere else").click()

    await expect(rows).to_have_count(1)
    await expect(colleague.get_by_test_id("login-needed")).to_be_visible()

    await form.get_by_label("Current password").fill(PASSWORD)
    await form.get_by_role("button", name="Change password").click()
    await expect(visitor.get_by_test_id("toast").filter(has_text="Your password is changed")).to_be_visible()
    await colleague.goto(town.url + "/login")
    await try_password(colleague, "Ann", "another horse")
    await colleague.wait_for_url(re.compile(re.escape(town.url) + "/$"))


async def test_an_admin_hands_out_a_login_link_that_opens_once(
    town: Town, visitor: Page, colleague: Page
) -> None:
    await as_admin(town, visitor)
    await town.run("user", "add", "Ben", stdin=PASSWORD)
    await visitor.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=town.url)
    await visitor.goto(town.url + "/people")
    row = visitor.get_by_test_id("person-row").filter(has_text="Ben")
    await row.get_by_role("button", name="Actions for Ben").click()
    await visitor.get_by_role("menuitem", name="Make a login link").click()
    given = visitor.get_by_test_id("person-password")
    await expect(given).to_contain_text("once, within an hour")
    await given.get_by_role("button", name="Copy the link").click()
    await expect(visitor.get_by_test_id("toast")).to_contain_text("Copied.")
    link = await visitor.evaluate("navigator.clipboard.readText()")
    assert link.startswith(town.url + "/login?ticket=")

    await colleague.goto(link)
    await colleague.get_by_test_id("login-button").click()
    await colleague.wait_for_url(town.url + "/")
    await expect(colleague.locator(".app-who")).to_contain_text("Ben")
    await colleague.context.clear_cookies()
    await colleague.goto(link)
    await colleague.get_by_test_id("login-button").click()
    await expect(colleague.get_by_text(re.compile("used already"))).to_be_visible()
