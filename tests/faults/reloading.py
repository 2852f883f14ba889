"""What a client does after a reset: it loads the inbox by REST, while events go on."""

import asyncio
from typing import Any
from urllib.parse import quote

import aiohttp

from tests.faults.browser import Browser, RowKey

TRY_S = 8.0


class NotNow(Exception):
    """The gateway cannot answer now."""


async def keep_loaded(browser: Browser, http: aiohttp.ClientSession) -> None:
    """Loads each inbox that was reset, as often as it takes, until cancelled."""
    while True:
        for inbox in list(browser.unloaded):
            try:
                await _load(browser, inbox, http)
            except (NotNow, aiohttp.ClientError, OSError, TimeoutError) as error:
                browser.not_loaded = f"inbox {inbox}: {error!r}"
        await asyncio.sleep(0.1)


async def _load(browser: Browser, inbox: int, http: aiohttp.ClientSession) -> None:
    anew = browser.anew
    rows: dict[RowKey, dict[str, Any]] = {}
    for chat in await _chats(browser, inbox, http):
        path = f"/api/conversations/{quote(chat, safe='')}/messages"
        async for page in _pages(browser, http, path, "before", "before", session=str(inbox)):
            for row in page["messages"]:
                rows[inbox, row["direction"], row["id"]] = row
    if browser.anew != anew:
        return  # another history has begun meanwhile
    browser.rows |= {key: row for key, row in rows.items() if key not in browser.touched}
    browser.unloaded.discard(inbox)


async def _chats(browser: Browser, inbox: int, http: aiohttp.ClientSession) -> list[str]:
    return [
        conversation["chat"]
        async for page in _pages(
            browser, http, "/api/conversations", "cursor", "next_cursor", session=str(inbox), groups="1"
        )
        for conversation in page["conversations"]
    ]


async def _pages(
    browser: Browser, http: aiohttp.ClientSession, path: str, asked: str, told: str, **query: str
) -> Any:
    """Each page's data; `asked` is the parameter that names the next page, `told` where the answer names it."""
    query["limit"] = "200"
    while True:
        async with http.get(
            f"{browser.address()}{path}",
            params=query,
            headers={"Authorization": f"Bearer {browser.token}"},
            timeout=aiohttp.ClientTimeout(total=TRY_S),
        ) as reply:
            if reply.status != 200:
                raise NotNow(f"{reply.status} of {reply.url}: {(await reply.text())[:300]}")
            page = (await reply.json())["data"]
        yield page
        if page[told] is None:
            return
        query[asked] = page[told]
