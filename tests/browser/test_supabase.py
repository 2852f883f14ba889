"""A page of the shop, served by another origin, uses Supabase's newest client with the gateway's address."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect

from gateway.postgres.connection.pool import connect_direct
from tests.clients.conftest import HERE, require_node_modules
from tests.clients.supabase_pages import INCOMING
from tests.launcher.running import DEADLINE_S, running
from tests.launcher.settings import settings_for
from tests.postgres.writers import insert_message

UMD = HERE / "node_modules" / "@supabase" / "supabase-js" / "dist" / "umd" / "supabase.js"

PAGE = """<!doctype html><meta charset="utf-8"><title>Shop</title>
<p id="status"></p><ul id="messages"></ul><p id="loaded"></p>
<script src="/supabase.js"></script>
<script>
  const gateway = supabase.createClient(%(url)s, %(key)s);
  function write(id, text) { document.getElementById(id).textContent = text; }
  gateway.channel("whatsapp_incoming")
    .on("postgres_changes", { event: "*", schema: "public", table: "whatsapp_incoming_messages" }, (change) => {
      const line = document.createElement("li");
      line.textContent = `${change.eventType} ${change.new.message_text ?? change.old.id}`;
      document.getElementById("messages").append(line);
    })
    .subscribe((status) => write("status", status));
  async function load() {
    const { error } = await gateway.from("customers").select("*");
    write("loaded", error.message);
  }
</script>
"""


@contextlib.asynccontextmanager
async def shop_page() -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Another origin than the gateway's; what the page is made of may be filled in later."""
    filling = {"url": '""', "key": '""'}

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE % filling, content_type="text/html")

    async def client(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(UMD)

    app = web.Application()
    app.add_routes([web.get("/", page), web.get("/supabase.js", client)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", filling
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def has_client() -> None:
    require_node_modules("@supabase/supabase-js")


@pytest.mark.parametrize("is_named", [True, False], ids=["named origin", "foreign origin"])
async def test_the_shops_page_hears_of_changes_if_its_origin_is_named(
    browser: Browser, database: str, tmp_path: Path, is_named: bool
) -> None:
    async with shop_page() as (origin, filling):
        settings = settings_for(
            database, tmp_path, allowed_origins=origin if is_named else "https://other.example"
        )
        async with running(settings) as gateway:
            filling.update(url=json.dumps(gateway.url), key=json.dumps(gateway.token()))
            page = await browser.new_page()
            await page.goto(origin)
            if is_named:
                await _changes_come(page, database)
                await _tables_are_refused_with_a_sentence(page)
            else:
                await expect(page.locator("#status")).to_have_text("CHANNEL_ERROR", timeout=DEADLINE_S * 1000)
            await page.close()


async def _changes_come(page: Page, dsn: str) -> None:
    await expect(page.locator("#status")).to_have_text("SUBSCRIBED", timeout=DEADLINE_S * 1000)
    writer = await connect_direct(dsn)
    key = await insert_message(writer, 12, message_text="hello")
    await writer.execute(f"UPDATE {INCOMING} SET message_text = 'hello again'")
    await writer.execute(f"DELETE FROM {INCOMING}")
    await writer.close()
    expected = ["INSERT hello", "UPDATE hello again", f"DELETE {key}"]
    await expect(page.locator("#messages li")).to_have_text(expected, timeout=DEADLINE_S * 1000)


async def _tables_are_refused_with_a_sentence(page: Page) -> None:
    await page.evaluate("load()")
    text = await page.locator("#loaded").text_content()
    assert text is not None
    assert "tables are not served here" in text
