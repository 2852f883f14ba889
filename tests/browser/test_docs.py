"""/docs in a browser: everything that is described can be read there, by people who are not logged in."""

from playwright.async_api import Page, expect

from gateway.http.api.operations import OPERATIONS, TAGS
from tests.launcher.running import Running


async def test_docs_shows_every_operation_with_its_replies_and_errors(page: Page, gateway: Running) -> None:
    await page.goto(f"{gateway.url}/docs")

    await expect(page.locator("article")).to_have_count(len(OPERATIONS))
    for name in TAGS:
        await expect(page.get_by_role("heading", name=name, exact=True)).to_have_count(2)
    code = page.locator("#get_qr_code")
    await expect(code.get_by_text("agent and above")).to_be_visible()
    await expect(code.get_by_text("image/svg+xml, image/png, text/plain")).to_be_visible()
    await expect(code.get_by_text('"max_attempts": 6')).to_be_visible()
    await code.get_by_text("What can go wrong").click()
    await expect(code.get_by_role("row", name="409 not_linking")).to_be_visible()


async def test_the_search_leaves_what_matches(page: Page, gateway: Running) -> None:
    await page.goto(f"{gateway.url}/docs")

    await page.get_by_test_id("docs-search").fill("QR-code")

    await expect(page.locator("nav li:visible")).to_have_text(["GETThe code to scan now"])


async def test_a_link_to_an_operation_leads_to_it(page: Page, gateway: Running) -> None:
    await page.goto(f"{gateway.url}/docs#delete_session")

    await expect(page.locator("#delete_session h3")).to_be_in_viewport()


async def test_docs_fits_a_phone(page: Page, gateway: Running) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(f"{gateway.url}/docs")
    await expect(page.locator("article").first).to_be_visible()

    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
