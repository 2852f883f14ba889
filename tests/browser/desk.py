"""A desk of a shop: a gateway in this process, a browser that is logged in, and hands to let customers write."""

import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Browser, Locator, Page, expect

from tests.http.support import Shop
from tests.launcher.running import Running

PASSWORD = "correct horse"
ASHA = "255711000111"
JUMA = "255711000112"
MARIA = "255711000113"

_INCOMING = """
INSERT INTO whatsapp_incoming_messages
    (message_id, wasender_session_id, chat, from_phone, push_name, message_text, message_type, is_read,
    received_at, created_at)
SELECT 'in-' || $1::text || '-' || md5($3) || n, 12, $1 || '@s.whatsapp.net', $1, $2, $3 || ' ' || n || $7, 'text', $4,
    $5::timestamptz + n * interval '1 second', $5::timestamptz + n * interval '1 second'
FROM generate_series(1, $6::integer) AS n
"""
_OUTGOING = """
INSERT INTO whatsapp_outgoing_messages
    (client_id, wasender_session_id, chat, to_phone, message_text, message_type, status, wa_key_id, origin,
    created_by, created_at, sent_at)
VALUES ($1, 12, $2 || '@s.whatsapp.net', $2, $3, 'text', $4, $1, $5, 'Ali', $6, $6)
"""


class Desk:
    """One browser window at the inbox."""

    def __init__(self, shop: Shop, page: Page) -> None:
        self.shop = shop
        self.page = page
        self.gateway: Running = shop.gateway

    @property
    def rows(self) -> Locator:
        return self.page.get_by_test_id("conversation-row")

    @property
    def messages(self) -> Locator:
        return self.page.get_by_test_id("message")

    def said(self, text: str) -> Locator:
        """The message of exactly these words: a bubble's text runs on into its time, `old 3` and `00:12`."""
        words = self.page.locator(".wa-text", has_text=re.compile(f"^{re.escape(text)}$"))
        return self.messages.filter(has=words)

    @property
    def thread(self) -> Locator:
        return self.page.get_by_test_id("thread")

    def row(self, phone: str) -> Locator:
        return self.page.locator(f'[data-testid="conversation-row"][data-chat="{phone}@s.whatsapp.net"]')

    async def open(self, path: str = "/") -> None:
        await self.page.goto(self.gateway.url + path)
        await expect(self.rows.first).to_be_visible()

    async def read(self, phone: str) -> None:
        """Opens a conversation, with the pointer gone from the list afterwards."""
        await self.row(phone).click()
        await expect(self.messages.first).to_be_visible()
        await self.page.mouse.move(900, 5)

    async def hear(
        self,
        phone: str,
        text: str = "Hello",
        *,
        many: int = 1,
        name: str | None = None,
        read: bool = False,
        begin: Any = None,
        end: str = "",
    ) -> None:
        """Lets a customer write."""
        begin = begin or await self.shop.db.fetchval(
            "SELECT date_trunc('second', now()) - interval '1 second'"
        )
        await self.shop.db.execute(_INCOMING, phone, name, text, read, begin, many, end)

    async def answer(
        self, phone: str, text: str, status: str = "sent", *, key: str, origin: str = "page", at: Any = None
    ) -> None:
        """Something that was sent to a customer from elsewhere."""
        at = at or await self.shop.db.fetchval("SELECT now()")
        await self.shop.db.execute(_OUTGOING, key, phone, text, status, origin, at)

    async def ago(self, interval: str) -> Any:
        return await self.shop.db.fetchval(f"SELECT date_trunc('second', now()) - interval '{interval}'")


async def log_in(page: Page, gateway: Running, name: str, role: str = "agent") -> None:
    """Makes the person and logs the window in."""
    person = {"name": name, "password": PASSWORD, "role": role, "sessions": "*"}
    await gateway.data("POST", "/api/people", person)
    answer = await page.context.request.post(
        f"{gateway.url}/login",
        data={"name": name, "password": PASSWORD},
        headers={"Accept": "application/json", "Origin": gateway.url},
    )
    assert answer.ok, await answer.text()


@contextlib.asynccontextmanager
async def window(browser: Browser, **more: Any) -> AsyncIterator[Page]:
    """A window whose page must throw nothing."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB", **more)
    page = await context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(f"dialog: {dialog.message}"))
    yield page
    await context.close()
    assert errors == [], errors
