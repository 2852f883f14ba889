"""What it takes until the rows stand: `python -m tests.browser.loading [CUSTOMERS]`.

A demo with so many customers, a line of 300 ms and 1.6 Mbit/s, first without anything kept and then once more: requests
and bytes until the first rows, first paint, rows, and rows in the document. Requests, bytes and rows are the page's own
and are asserted in `test_inbox_list`; times are also this machine's.
"""

import asyncio
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, CDPSession, Page, async_playwright, expect

from tests.browser.conftest import CHROMIUM, QUIET
from tests.launcher.terminal import Terminal
from tests.processes.conftest import folder_for_data

SLOW_LINE = {"offline": False, "latency": 300, "downloadThroughput": 200_000, "uploadThroughput": 100_000}
AT_ONCE = 40
PAINT = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"
NOW = "() => performance.now()"


@dataclass
class Traffic:
    """What came over the line since the page was opened."""

    requests: list[str] = field(default_factory=list)
    bytes: int = 0

    async def watch(self, page: Page) -> CDPSession:
        """Counts from now on, by the browser's own word."""
        session = await page.context.new_cdp_session(page)
        await session.send("Network.enable")
        session.on("Network.requestWillBeSent", lambda told: self.requests.append(told["request"]["url"]))
        session.on("Network.loadingFinished", self._finished)
        return session

    def _finished(self, told: Any) -> None:
        self.bytes += int(told["encodedDataLength"])


async def opened(page: Page, url: str, *, slow: bool) -> str:
    """The figures of one opening, as a line."""
    traffic = Traffic()
    session = await traffic.watch(page)
    if slow:
        await session.send("Network.emulateNetworkConditions", SLOW_LINE)
    await page.goto(url, wait_until="commit")
    rows = page.get_by_test_id("conversation-row")
    await expect(rows.first).to_be_visible()
    stood, paint = await page.evaluate(NOW), await page.evaluate(PAINT)
    figures = f"{len(traffic.requests)} requests, {traffic.bytes / 1000:.0f} kB, {await rows.count()} rows"
    await session.detach()
    return f"{figures}; first paint {paint or 0:.0f} ms, rows {stood:.0f} ms"


async def fill(page: Page, url: str, customers: int) -> None:
    """So many customers write once."""
    wish = {"name": "Shop", "phone_number": "+491511234567"}
    made = await (await page.request.post(f"{url}/api/whatsapp-sessions", data=wish)).json()
    shop = made["data"]["id"]
    own = f"{url}/api/whatsapp-sessions/{shop}"
    await page.request.post(f"{own}/connect")
    while not (await (await page.request.get(f"{own}/qr-code")).json()).get("qr_code"):  # noqa: ASYNC110
        await asyncio.sleep(0.2)
    await page.request.post(f"{url}/_simulator/sessions/{shop}/scan")
    while (await (await page.request.get(f"{own}/status")).json()).get("status") != "connected":  # noqa: ASYNC110
        await asyncio.sleep(0.2)

    async def write(number: int) -> None:
        said = {"from": str(255_700_000_000 + number), "push_name": f"Customer {number}", "text": "Hello"}
        answer = await page.request.post(f"{url}/_simulator/sessions/{shop}/inbound", data=said)
        assert answer.ok, await answer.text()

    for begin in range(0, customers, AT_ONCE):
        await asyncio.gather(*(write(number) for number in range(begin, min(customers, begin + AT_ONCE))))


async def measure(browser: Browser, login: str, url: str, customers: int) -> None:
    """Prints a line for a cold and one for a warm opening."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    page = await context.new_page()
    await page.goto(login)
    await page.get_by_role("button").click()
    await page.wait_for_url(url + "/")
    await fill(page, url, customers)
    await page.goto("about:blank")
    session = await context.new_cdp_session(page)
    await session.send("Network.clearBrowserCache")
    await session.detach()
    for state in ("cold", "warm"):
        fresh = await context.new_page()
        sys.stdout.write(f"{state}: {await opened(fresh, url + '/', slow=True)}\n")
        await fresh.close()
    await context.close()


async def main(customers: int) -> None:
    with folder_for_data() as data, tempfile.TemporaryDirectory() as home:
        async with (
            Terminal(Path(home)).start("demo", "--port", "0", "--data-dir", data / "data") as demo,
            async_playwright() as playwright,
        ):
            login = await demo.line(r"(http://127\.0\.0\.1:\d+)/login\?ticket=\S+")
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
            await measure(browser, login[0], login[1], customers)
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 300))
