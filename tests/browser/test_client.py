"""`/ui/client.js` in a page of another origin: the example of docs/clients.md, as it stands there."""

from pathlib import Path

import asyncpg
from playwright.async_api import Page, expect

from gateway.postgres.pool import connect_direct
from tests.browser.elsewhere import site
from tests.clients.examples import example
from tests.postgres.writers import insert_message
from tests.running import running, settings_for


async def test_the_example_of_the_documentation_shows_what_arrives(
    page: Page, database: str, tmp_path: Path
) -> None:
    pages: dict[str, str] = {}
    async with site(pages) as origin:
        settings = settings_for(database, tmp_path, allowed_origins=origin)
        async with running(settings) as gateway:
            pages["/"] = example("clients.md", "html").replace("https://gateway.example.com", gateway.url)
            pages["/gateway-token"] = gateway.token()
            await page.goto(origin)
            await expect(page).to_have_title("online")
            writer: asyncpg.Connection = await connect_direct(database)
            try:
                await insert_message(writer, 12, message_text="hello from <b>the shop</b>")
            finally:
                await writer.close()

            await expect(page.locator("li")).to_have_text("message.created in 12: hello from <b>the shop</b>")
