"""Photographs every state of the page: `python -m tests.gallery OUT [STATE…]`.

Each state is taken on a desktop and a phone, light and dark, from left to right and from right to left, and once more
on a contact sheet. The states come from fixtures, so that nothing but the page's own files is served here.
"""

import asyncio
import contextlib
import itertools
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvicorn
from playwright.async_api import Browser, Page, async_playwright
from starlette.applications import Starlette
from starlette.routing import Mount

from gateway.http.page_files import PageFiles
from gateway.http.pages import SecurityHeaders
from gateway.runtime.listen_socket import bind
from gateway.runtime.routes import UI
from tests.browser.conftest import CHROMIUM, QUIET

SIZES = {"desktop": (1360, 820), "phone": (390, 780)}
THEMES = ("light", "dark")
LANGUAGES = {"ltr": "en", "rtl": "ar"}


class _App(Starlette):
    """The page's files, with the headers that a gateway sends with them."""

    security = SecurityHeaders()

    async def __call__(self, scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "http":
            send = self.security.added_to(send, scope)
        await super().__call__(scope, receive, send)


@contextlib.asynccontextmanager
async def gallery_server() -> AsyncIterator[str]:
    """The address of the gallery."""
    listening = bind("127.0.0.1", 0)
    app = _App(routes=[Mount("/ui", PageFiles(UI))])
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/ui/gallery"
    finally:
        server.should_exit = True
        await serving


async def state_names(page: Page, url: str) -> list[str]:
    """All states that the gallery has."""
    await page.goto(f"{url}?state=names")
    names: list[str] = json.loads(await page.locator("main pre").inner_text())
    return names


async def show_state(page: Page, url: str, state: str, theme: str = "light", lang: str = "en") -> None:
    """Opens one state, and returns when it stands still."""
    await page.goto(f"{url}?state={state}&theme={theme}&lang={lang}")
    await page.locator("html[data-ready]").wait_for(state="attached")


async def photograph(browser: Browser, url: str, out: Path, wanted: list[str]) -> list[Path]:
    """One picture of each state in each look."""
    taken = []
    for size, (width, height) in SIZES.items():
        context = await browser.new_context(
            viewport={"width": width, "height": height}, reduced_motion="reduce", locale="en-GB"
        )
        page = await context.new_page()
        for state in wanted or await state_names(page, url):
            for theme, (direction, lang) in itertools.product(THEMES, LANGUAGES.items()):
                await show_state(page, url, state, theme, lang)
                path = out / f"{state}-{size}-{theme}-{direction}.png"
                await page.screenshot(path=path)
                taken.append(path)
        await context.close()
    return taken


async def contact_sheets(browser: Browser, out: Path, pictures: list[Path]) -> None:
    """All looks of one state beside each other."""
    page = await browser.new_page(viewport={"width": 1900, "height": 900})
    for state, group in itertools.groupby(sorted(pictures), lambda path: path.name.rsplit("-", 3)[0]):
        cells = "".join(
            f'<figure><img src="{path.name}"><figcaption>{path.stem}</figcaption></figure>' for path in group
        )
        style = (
            "body{display:flex;flex-wrap:wrap;gap:8px;font:12px sans-serif}figure{margin:0}img{height:400px}"
        )
        sheet = out / f"sheet-{state}.html"
        sheet.write_text(f"<!doctype html><style>{style}</style>{cells}", encoding="utf-8")
        await page.goto(sheet.as_uri())
        await page.screenshot(path=sheet.with_suffix(".png"), full_page=True)
        sheet.unlink()
    await page.close()


async def main(out: Path, wanted: list[str]) -> None:
    async with gallery_server() as url, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        pictures = await photograph(browser, url, out, wanted)
        await contact_sheets(browser, out, pictures)
        await browser.close()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(main(folder.resolve(), sys.argv[2:]))
