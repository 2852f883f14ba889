"""The phone page in a real browser: what a person does with it, against a served simulator."""

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

from tests.simulator.support import Receiver, Served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium on the path")


def _is_error(said: ConsoleMessage) -> bool:
    # Chromium itself writes a line for every refused request; those belong to what is tested.
    return said.type == "error" and "status of 422" not in said.text


@pytest.fixture
async def page(served: Served) -> AsyncIterator[Page]:
    """The opened page; any error on its console fails the test."""
    errors: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 390, "height": 780})
        page.set_default_timeout(10_000)
        page.on("console", lambda said: errors.append(said.text) if _is_error(said) else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        await page.goto(served.base + "/simulator")
        yield page
        await browser.close()
    assert errors == []


async def test_a_person_scans_writes_and_unlinks(served: Served, receiver: Receiver, page: Page) -> None:
    await expect(page.get_by_text("No number yet.")).to_be_visible()
    await served.create(receiver, name="Shop <b>bold</b>")
    card = page.get_by_test_id("sim-session")
    await expect(card).to_contain_text("Shop <b>bold</b>")
    await expect(card).to_have_attribute("data-status", "disconnected")

    code = (await served.account("POST", "/whatsapp-sessions/1/connect")).data["qrCode"]
    await expect(card).to_contain_text(code[-12:])
    await page.get_by_test_id("sim-scan").click()
    await expect(card).to_have_attribute("data-status", "connected")

    await page.get_by_test_id("sim-from").fill("+49 170 7654321")
    await page.get_by_test_id("sim-name").fill("Ann")
    await page.get_by_test_id("sim-text").fill("<img src=x> Is the lamp still there?")
    await page.get_by_test_id("sim-send").click()
    (hook,) = await receiver.wait_for_events("messages.received")
    assert hook.body["data"]["messages"]["messageBody"] == "<img src=x> Is the lamp still there?"
    assert hook.body["data"]["messages"]["key"]["cleanedSenderPn"] == "491707654321"
    await expect(page.get_by_test_id("sim-delivery").first).to_contain_text("delivered")
    await expect(page.get_by_test_id("sim-text")).to_have_value("")

    await page.get_by_test_id("sim-unlink").click()
    await expect(card).to_have_attribute("data-status", "logged_out")
    await expect(page.get_by_test_id("sim-send")).to_be_hidden()


async def test_a_half_written_message_stays_while_the_page_moves(
    served: Served, receiver: Receiver, page: Page
) -> None:
    await served.create(receiver)
    await served.link(1)
    text = page.get_by_test_id("sim-text")
    await text.fill("half wri")
    await served.control("POST", "/sessions/1/inbound", {"from": "+491701234567", "text": "from elsewhere"})
    await expect(page.get_by_test_id("sim-delivery").first).to_be_visible()

    await expect(text).to_have_value("half wri")


async def test_a_refusal_is_shown_as_its_sentence(served: Served, receiver: Receiver, page: Page) -> None:
    await served.create(receiver)
    await served.link(1)
    await page.get_by_test_id("sim-from").fill("Ann")
    await page.get_by_test_id("sim-text").fill("hi")
    await page.get_by_test_id("sim-send").click()

    await expect(page.get_by_role("status")).to_contain_text("international form")


async def test_nothing_overflows_a_small_phone(served: Served, receiver: Receiver, page: Page) -> None:
    await served.create(receiver, name="A shop with a long name and averyveryverylongwordwithoutanyspaces")
    await served.link(1)
    await expect(page.get_by_test_id("sim-send")).to_be_visible()
    await page.set_viewport_size({"width": 320, "height": 640})

    assert await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
