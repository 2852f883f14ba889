"""The phone page in a real browser: what a person does with it, against a served simulator."""

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright, expect

from gateway.simulator import samples
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


async def test_a_person_holds_a_conversation_with_a_photo_and_a_voice_note(
    served: Served, receiver: Receiver, page: Page
) -> None:
    session = await served.create(receiver)
    await served.link(1)
    key, bubbles = session["api_key"], page.get_by_test_id("sim-message")
    await page.get_by_test_id("sim-text").fill("<b>Is this the lamp?</b>")
    await page.get_by_test_id("sim-file").set_input_files(
        {"name": "lamp.jpg", "mimeType": "image/jpeg", "buffer": samples.sample("image")}
    )
    await expect(page.get_by_test_id("sim-attached")).to_contain_text("lamp.jpg")
    await page.get_by_test_id("sim-send").click()
    await expect(bubbles.first.locator("img")).to_have_js_property("naturalWidth", 480)
    await expect(bubbles.first.locator(".words")).to_have_text("<b>Is this the lamp?</b>")
    (hook,) = await receiver.wait_for_events("messages.received")
    part = hook.body["data"]["messages"]["message"]["imageMessage"]
    assert (part["width"], part["height"]) == (480, 360)
    assert part["jpegThumbnail"]

    to = hook.body["data"]["messages"]["key"]["remoteJid"]
    typing = {"jid": to, "type": "composing"}
    await served.call("POST", "/api/send-presence-update", typing, token=key)
    await expect(page.get_by_test_id("sim-typing")).to_have_text("The shop is typing…")
    await served.call("POST", "/api/send-message", {"to": to, "text": "Yes, <i>it is</i>."}, token=key)
    await expect(page.get_by_test_id("sim-typing")).to_have_text("")
    await expect(bubbles.nth(1)).to_contain_text("Yes, <i>it is</i>.")
    await expect(bubbles.nth(1).locator(".ticks")).to_have_attribute("data-state", "read")

    await page.get_by_test_id("sim-kind").select_option("audio")
    await page.get_by_test_id("sim-send").click()
    await expect(bubbles.nth(2).locator("audio")).to_be_visible()
    item = hook.body["data"]["messages"]["key"]
    await served.call("POST", "/api/messages/read", {"key": item}, token=key)
    await expect(bubbles.first.locator(".ticks")).to_have_attribute("data-state", "read")


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
