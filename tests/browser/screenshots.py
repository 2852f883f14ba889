"""Makes the README's picture, and the page on a phone, dark and RTL: `python -m tests.browser.screenshots [FOLDER]`."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright

from tests.browser.conftest import CHROMIUM, QUIET
from tests.launcher.terminal import Terminal
from tests.processes.conftest import folder_for_data

CUSTOMERS = [
    ("4915123456789", "Ann Berg", "Is the shop open on Sunday?"),
    ("4915123456789", "Ann Berg", "I would like two boxes of the green tea"),
    ("923001234567", "علی رضا", "السلام علیکم، کیا دکان کھلی ہے؟"),
    ("34600111222", "Carla Díaz", "Thank you, it arrived today."),
    ("15550007777", "Sam", "Can I return *one* of them? https://example.com/order/42"),
]


async def call(page: Page, path: str, body: Any = None) -> Any:
    answer = await page.request.post(path, data=body or {})
    assert answer.ok, await answer.text()
    return (await answer.json())["data"]


async def make(browser: Browser, login: str, url: str, folder: Path) -> None:
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    page = await context.new_page()
    await page.goto(login)
    await page.get_by_role("button").click()
    await page.wait_for_url(url + "/")
    shop = await call(page, f"{url}/api/whatsapp-sessions", {"name": "Shop", "phone_number": "+491511234567"})
    store = await call(
        page, f"{url}/api/whatsapp-sessions", {"name": "Store", "phone_number": "+491517654321"}
    )
    await call(page, f"{url}/api/whatsapp-sessions/{shop['id']}/connect")
    await page.get_by_test_id("sessions-button").click()
    await page.get_by_test_id("session-row").first.get_by_role("button").first.click()
    await page.get_by_test_id("qr-image").wait_for()
    await call(page, f"{url}/_simulator/sessions/{shop['id']}/scan")
    await page.locator("[data-testid=session-modal][data-state=closed]").wait_for(state="attached")
    for number, name, text in CUSTOMERS:
        message = {"from": number, "push_name": name, "text": text}
        await call(page, f"{url}/_simulator/sessions/{shop['id']}/inbound", message)
    rows = page.get_by_test_id("conversation-row")
    await rows.filter(has_text="Sam").wait_for()
    await rows.filter(has_text="Ann Berg").click()
    await page.get_by_test_id("message").nth(1).wait_for()
    await page.screenshot(path=folder / "inbox.png")

    await page.get_by_test_id("sessions-button").click()
    row = page.locator(f"[data-testid=session-row][data-session='{store['id']}']")
    await row.get_by_role("button").first.click()
    await page.get_by_test_id("qr-image").wait_for()
    await page.screenshot(path=folder / "screenshot.png")
    await page.emulate_media(color_scheme="dark")
    await page.screenshot(path=folder / "dark.png")
    await page.keyboard.press("Escape")
    await page.screenshot(path=folder / "inbox-dark.png")
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": 375, "height": 720})
    await page.screenshot(path=folder / "phone.png")
    await page.evaluate("document.documentElement.dir = 'rtl'")
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.screenshot(path=folder / "rtl.png")
    await context.close()


async def main(folder: Path) -> None:
    with folder_for_data() as data, tempfile.TemporaryDirectory() as home:
        async with (
            Terminal(Path(home)).start("demo", "--port", "0", "--data-dir", data / "data") as demo,
            async_playwright() as playwright,
        ):
            login = await demo.line(r"(http://127\.0\.0\.1:\d+)/login\?ticket=\S+")
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            await make(browser, login[0], login[1], folder)
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs")))
