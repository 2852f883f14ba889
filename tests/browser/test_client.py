"""`/ui/client.js` in a page of another origin: the example of docs/clients.md, as it stands there."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import jwt
from playwright.async_api import Browser, Page, expect

from gateway.postgres.connection.pool import connect_direct
from gateway.runtime.listen_socket import address_of, bind
from tests.browser.elsewhere import site
from tests.clients.examples import example
from tests.launcher.running import running
from tests.launcher.settings import SECRET, settings_for
from tests.postgres.writers import insert_message

PATIENCE_MS = 30_000


def token() -> str:
    """What the shop's backend mints with GATEWAY_SECRET."""
    claims = {"sub": "ann", "role": "agent", "sessions": "*", "exp": int(time.time()) + 600}
    return jwt.encode(claims, SECRET)


@asynccontextmanager
async def shop(gateway_url: str) -> AsyncIterator[str]:
    """The shop's site, with the example as its page."""
    page = example("clients.md", "html").replace("https://gateway.example.com", gateway_url)
    async with site({"/": page, "/gateway-token": token()}) as origin:
        yield origin


@asynccontextmanager
async def writing(database: str) -> AsyncIterator[asyncpg.Connection]:
    opened = await connect_direct(database)
    try:
        yield opened
    finally:
        await opened.close()


def free_port() -> tuple[str, int]:
    with bind("127.0.0.1", 0) as free:
        return address_of(free), free.getsockname()[1]


async def test_the_example_of_the_documentation_shows_what_arrives(
    page: Page, database: str, tmp_path: Path
) -> None:
    url, port = free_port()
    async with (
        shop(url) as origin,
        writing(database) as writer,
        running(settings_for(database, tmp_path, allowed_origins=origin, port=port)),
    ):
        await page.goto(origin)
        await expect(page).to_have_title("online")
        key = await insert_message(writer, 12, message_text="hello from <b>the shop</b>")

        await expect(page.locator("li")).to_have_text("message.created in 12: hello from <b>the shop</b>")
        await writer.execute(
            "UPDATE whatsapp_incoming_messages SET message_text = 'again' WHERE id = $1", key
        )
        await expect(page.locator("li")).to_have_text("message.updated in 12: again")
        await writer.execute("DELETE FROM whatsapp_incoming_messages WHERE id = $1", key)
        await expect(page.locator("li")).to_have_count(0)
        await page.goto("about:blank")  # it would complain about the gateway's end


async def test_what_was_written_while_the_gateway_was_away_is_shown_when_it_is_back(
    browser: Browser, database: str, tmp_path: Path
) -> None:
    # A page of its own: Chromium complains on the console about every socket that finds nobody.
    page = await browser.new_page()
    url, port = free_port()
    async with shop(url) as origin, writing(database) as writer:
        settings = settings_for(database, tmp_path, allowed_origins=origin, port=port)
        async with running(settings):
            await page.goto(origin)
            await expect(page).to_have_title("online")
            await insert_message(writer, 12, message_text="one")
            await expect(page.locator("li")).to_have_count(1)
        await expect(page).to_have_title("reconnecting")
        for text in ("two", "three"):
            await insert_message(writer, 12, message_text=text)
        async with running(settings):
            await expect(page).to_have_title("online", timeout=PATIENCE_MS)
            await insert_message(writer, 12, message_text="four")

            await expect(page.locator("li")).to_have_text(
                [f"message.created in 12: {text}" for text in ("one", "two", "three", "four")],
                timeout=PATIENCE_MS,
            )
