"""A whole conversation: a person at the phone page is the customer, a REST client is the shop."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from playwright.async_api import Browser, FilePayload, Locator, Page, expect

from gateway.simulator import samples
from tests.browser.desk import window
from tests.little_files import LITTLE, recording
from tests.sending.support import ANN, Shop, opened

WAIT_MS = 30_000
LATER = (datetime.now(UTC) + timedelta(hours=20)).isoformat()


class Client:
    """The shop, by REST alone."""

    def __init__(self, shop: Shop, session_id: int) -> None:
        self.shop = shop
        self._query = f"?session={session_id}"
        self._thread = f"/api/conversations/{ANN}/messages"
        self._named = 0

    async def thread(self) -> list[dict[str, Any]]:
        found = await self.shop.gateway.data("GET", self._thread + self._query)
        return list(found["messages"])

    async def message(self, is_right: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """The message of the thread that is right, as soon as there is one."""
        rows = await self.shop.eventually(self.thread, lambda rows: any(map(is_right, rows)))
        return next(row for row in rows if is_right(row))

    async def heard(self, words: str) -> dict[str, Any]:
        """A customer's message with these words."""
        return await self.message(lambda row: row["message_text"] == words and row["direction"] == "in")

    async def until(self, row: dict[str, Any], *statuses: str) -> dict[str, Any]:
        return await self.message(lambda found: found["ref"] == row["ref"] and found["status"] in statuses)

    async def say(self, **body: Any) -> dict[str, Any]:
        self._named += 1
        wish = {"client_id": f"walk {self._named}", **body}
        return dict(await self.shop.gateway.data("POST", self._thread + self._query, wish))

    async def change(
        self, method: str, row: dict[str, Any], more: str = "", body: Any = None
    ) -> dict[str, Any]:
        path = f"{self._thread}/{row['id']}{more}{self._query}"
        return dict(await self.shop.gateway.data(method, path, body))

    async def type(self) -> None:
        path = f"/api/conversations/{ANN}/typing{self._query}"
        await self.shop.gateway.data("POST", path, {"typing": True})

    async def upload(self, content: bytes, name: str) -> str:
        headers = {"Authorization": f"Bearer {self.shop.gateway.token()}"}
        address = f"{self.shop.gateway.url}/api/media?name={name}"
        async with aiohttp.ClientSession() as http, http.post(address, data=content, headers=headers) as said:
            assert said.status == 201, await said.text()
            return str((await said.json())["data"]["id"])

    async def file_of(self, row: dict[str, Any]) -> str:
        """The hash of the file of a message, once it is here."""
        stored = await self.message(
            lambda found: found["ref"] == row["ref"] and found["media"]["state"] == "stored"
        )
        headers = {"Authorization": f"Bearer {self.shop.gateway.token()}"}
        address = f"{self.shop.gateway.url}/api/media/{stored['media']['id']}"
        async with aiohttp.ClientSession() as http, http.get(address, headers=headers) as said:
            assert said.status == 200, await said.text()
            return hashlib.sha256(await said.read()).hexdigest()


class Phone:
    """The customer, at the phone page."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def bubble(self, words: str) -> Locator:
        said = self.page.locator(".words").get_by_text(words, exact=True)
        return self.page.get_by_test_id("sim-message").filter(has=said)

    async def write(self, words: str) -> None:
        await self.page.get_by_test_id("sim-text").fill(words)
        await self.page.get_by_test_id("sim-send").click()

    async def attach(self, name: str, mime: str, content: bytes) -> None:
        file = FilePayload(name=name, mimeType=mime, buffer=content)
        await self.page.get_by_test_id("sim-file").set_input_files(file)
        await expect(self.page.get_by_test_id("sim-attached")).to_contain_text(name)

    async def press(self, words: str, button: str) -> None:
        await self.bubble(words).get_by_test_id(button).click()

    async def sees(self, words: str, state: str) -> None:
        """That tick at the shop's message."""
        await expect(self.bubble(words).locator(".ticks")).to_have_attribute("data-state", state)


async def test_a_person_at_the_phone_and_a_shop_by_rest_hold_a_conversation(
    database: str, tmp_path: Path, browser: Browser
) -> None:
    async with opened(database, tmp_path) as shop, window(browser) as page:
        page.set_default_timeout(WAIT_MS)
        expect.set_options(timeout=WAIT_MS)
        phone = Phone(page)
        await shop.control("POST", "/settings", {"sent_delay_s": 0.0, "account_protection": False})
        wish = {"name": "Shop", "phone_number": "+15550001111"}
        session_id = int((await shop.gateway.data("POST", "/api/whatsapp-sessions", wish))["id"])
        await page.goto(shop.gateway.url + "/simulator")
        await shop.gateway.data("POST", f"/api/whatsapp-sessions/{session_id}/connect")
        await page.get_by_test_id("sim-scan").click()
        await shop.has_status(session_id, "connected")
        await page.get_by_test_id("sim-from").fill(f"+{ANN}")
        client = Client(shop, session_id)

        await _the_customer_sends_files(client, phone)
        await _the_shop_answers(client, phone)
        await _the_shop_sends_files(client, phone)
        await _both_change_their_words(client, phone)
        await _what_does_not_go_is_cancelled_or_tried_again(client, phone)


async def _the_customer_sends_files(client: Client, phone: Phone) -> None:
    picture = samples.sample("image")
    await phone.write("<b>Hello</b>, is it there?")
    await client.heard("<b>Hello</b>, is it there?")
    await phone.attach("lamp.jpg", "image/jpeg", picture)
    await phone.write("This lamp")
    shown = await client.heard("This lamp")
    assert await client.file_of(shown) == hashlib.sha256(picture).hexdigest()

    await phone.page.get_by_test_id("sim-kind").select_option("audio")
    await phone.page.get_by_test_id("sim-send").click()
    voice = await client.message(lambda row: row["message_type"] == "audio")
    assert await client.file_of(voice) == hashlib.sha256(samples.sample("audio")).hexdigest()
    paper = LITTLE["a.docx"].content
    await phone.attach("order.docx", LITTLE["a.docx"].mime, paper)
    await phone.page.get_by_test_id("sim-send").click()
    document = await client.message(lambda row: row["message_type"] == "document")
    assert document["media"]["name"] == "order.docx"
    assert await client.file_of(document) == hashlib.sha256(paper).hexdigest()


async def _the_shop_answers(client: Client, phone: Phone) -> None:
    lamp = await client.heard("This lamp")
    await client.type()
    await expect(phone.page.get_by_test_id("sim-typing")).to_have_text("The shop is typing…")
    answer = await client.say(text="Yes, *that* one.", reply_to=lamp["ref"])
    await expect(phone.bubble("Yes, *that* one.").locator(".quote")).to_have_text("This lamp")
    await expect(phone.page.get_by_test_id("sim-typing")).to_have_text("")
    await phone.sees("Yes, *that* one.", "read")
    await client.until(answer, "read")
    assert (await client.heard("This lamp"))["replied"] is True

    await phone.press("Yes, *that* one.", "sim-reply")
    await phone.write("Fine, I take it")
    taken = await client.heard("Fine, I take it")
    await expect(phone.bubble("Fine, I take it").locator(".quote")).to_have_text("Yes, *that* one.")
    assert taken["direction"] == "in"
    await phone.press("Yes, *that* one.", "sim-react")
    reacted = await client.message(lambda row: row["ref"] == answer["ref"] and row["reactions"])
    assert [one["emoji"] for one in reacted["reactions"]] == ["👍"]


async def _the_shop_sends_files(client: Client, phone: Phone) -> None:
    photo = await client.upload(LITTLE["a.jpg"].content, "photo.jpg")
    await client.say(media=photo, text="Here it is")
    voice = await client.say(media=await client.upload(recording("ogg"), "note.ogg"))
    paper = await client.say(media=await client.upload(LITTLE["a.docx"].content, "bill.docx"))

    picture = phone.bubble("Here it is").locator("img")
    await expect(picture).to_have_js_property("naturalWidth", 24)
    shop_side = phone.page.locator('[data-testid="sim-message"][data-by="shop"]')
    await expect(shop_side.locator("audio")).to_have_count(1)
    await expect(shop_side.get_by_role("link", name="bill.docx")).to_be_visible()
    await client.until(paper, "read")
    await client.until(voice, "read")
    await shop_side.locator("audio").dispatch_event("play")
    await client.until(voice, "played")
    caption = await client.message(lambda row: row["message_text"] == "Here it is")
    await client.until(caption, "read")
    await client.change("PUT", caption, body={"text": "Here it stands"})
    await expect(phone.bubble("Here it stands")).to_contain_text("edited")


async def _both_change_their_words(client: Client, phone: Phone) -> None:
    taken = await client.heard("Fine, I take it")
    await phone.press("Fine, I take it", "sim-edit")
    await phone.write("I take two")
    edited = await client.message(lambda row: row["ref"] == taken["ref"] and row["edited_at"])
    assert edited["message_text"] == "I take two"
    await phone.press("I take two", "sim-delete")
    await client.message(lambda row: row["ref"] == taken["ref"] and row["deleted_at"])

    wrong = await client.say(text="It costs 30")
    await client.until(wrong, "read")
    await client.change("PUT", wrong, body={"text": "It costs 20"})
    await expect(phone.bubble("It costs 20")).to_contain_text("edited")
    await client.change("DELETE", wrong)
    await expect(phone.bubble("It costs 20")).to_have_count(0)


async def _what_does_not_go_is_cancelled_or_tried_again(client: Client, phone: Phone) -> None:
    scheduled = await client.say(text="Good morning", send_at=LATER)
    assert (await client.change("DELETE", scheduled))["status"] == "cancelled"
    await client.shop.fault(mode="send_fails")
    await client.shop.fault(mode="msg_id_in_sent")
    refused = await client.say(text="Until tomorrow")
    failed = await client.until(refused, "failed")
    assert failed["error"]
    await phone.sees("Until tomorrow", "failed")
    await client.change("POST", refused, "/retry")
    await client.until(refused, "read")
    await expect(phone.bubble("Until tomorrow")).to_have_count(2)  # WhatsApp took the second one alone
    await expect(phone.bubble("Good morning")).to_have_count(0)
