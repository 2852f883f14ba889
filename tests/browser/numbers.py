"""A browser at the list of numbers, and hands for what WasenderAPI and the phone do."""

import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any

from playwright.async_api import Browser, Locator, Page, expect

from tests.browser.desk import PASSWORD
from tests.launcher.running import Running

SESSIONS = "/api/whatsapp-sessions"
WITHIN_5_S = 5_000
LEFT = re.compile(r"(?:New|Last) code.*?(\d+) second")


class Numbers:
    """One window, and the gateway and the simulator behind it."""

    def __init__(self, gateway: Running, page: Page) -> None:
        self.gateway = gateway
        self.page = page

    @property
    def modal(self) -> Locator:
        return self.page.get_by_test_id("session-modal")

    @property
    def image(self) -> Locator:
        return self.page.get_by_test_id("qr-image")

    @property
    def rows(self) -> Locator:
        return self.page.get_by_test_id("session-row")

    def row(self, number: int) -> Locator:
        return self.page.locator(f'[data-testid="session-row"][data-session="{number}"]')

    # ------------------------------------------------------------------------------------------ upstream and phone

    async def create(self, name: str = "Shop", **fields: Any) -> int:
        """A number that both WasenderAPI and the gateway know."""
        wish = {"name": name, "phone_number": "+255711000777", **fields}
        return int((await self.gateway.data("POST", SESSIONS, wish))["id"])

    async def connect(self, number: int) -> Any:
        return await self.gateway.data("POST", f"{SESSIONS}/{number}/connect")

    async def link(self, number: int) -> None:
        """Links it, with no browser looking on."""
        await self.connect(number)
        async with self.gateway.socket() as socket:
            joined = await socket.subscribe(f"session:{number}")
            events = [frame["event"] for frame in joined["state"]]
            if "session.qr" not in events:
                await socket.state("session.qr")
            await self.scan(number)
            await socket.next("state", lambda frame: (frame["data"] or {}).get("status") == "connected")

    async def simulate(self, path: str, body: Any = None, method: str = "POST") -> Any:
        return await self.gateway.data(method, f"/_simulator{path}", body)

    async def scan(self, number: int) -> None:
        await self.simulate(f"/sessions/{number}/scan")

    async def rotate(self, number: int) -> None:
        await self.simulate(f"/sessions/{number}/rotate-qr")

    async def fail(self, path: str, **fault: Any) -> None:
        """Whatever asks WasenderAPI for this meets the fault until `heal`."""
        await self.simulate("/faults", {"path": path, "times": None, **fault})

    async def heal(self) -> None:
        await self.simulate("/faults", method="DELETE")

    async def connects(self, number: int) -> int:
        """How often WasenderAPI was asked to connect."""
        status, reply = await self.gateway.call(
            "GET", f"{SESSIONS}/{number}/logs?event_type=link_started&limit=200"
        )
        assert status == 200, reply
        return len(reply["data"])

    # ------------------------------------------------------------------------------------------ the page

    async def open(self) -> None:
        """The list, whatever was open before."""
        await self.close()
        await self.page.get_by_test_id("sessions-button").click()
        await self.state("list")

    async def close(self) -> None:
        if await self.modal.get_attribute("data-state") != "closed":
            await self.page.keyboard.press("Escape")
            await self.state("closed")

    async def begin(self, number: int) -> None:
        """Opens the code of a number."""
        await self.open()
        await self.row(number).get_by_test_id("connect-button").click()

    async def state(self, wanted: str, timeout: float = 15_000) -> None:
        await expect(self.modal).to_have_attribute("data-state", wanted, timeout=timeout)

    async def seq(self) -> int:
        return int(await self.image.get_attribute("data-seq") or 0)

    async def show(self, number: int) -> None:
        """Opens the code of a number, and returns when it is there."""
        await self.begin(number)
        await self.state("qr")
        await expect(self.image).to_be_visible()


@contextlib.asynccontextmanager
async def numbers_window(
    browser: Browser, gateway: Running, login: Any, *, clock: bool = False, **context: Any
) -> AsyncIterator[Numbers]:
    """A window of its own with this login. Its page must throw nothing."""
    size = context.pop("viewport", {"width": 1280, "height": 800})
    made = await browser.new_context(viewport=size, locale="en-GB", storage_state=login, **context)
    page = await made.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("dialog", lambda dialog: errors.append(f"dialog: {dialog.message}"))
    if clock:
        await page.clock.install()
    await page.goto(gateway.url)
    await expect(page.get_by_test_id("sessions-button")).to_be_visible()
    yield Numbers(gateway, page)
    await made.close()
    assert errors == [], errors


async def login_of(browser: Browser, gateway: Running, name: str, role: str, sessions: Any = "*") -> Any:
    """What a browser keeps of the login of a new person."""
    person = {"name": name, "password": PASSWORD, "role": role, "sessions": sessions}
    await gateway.data("POST", "/api/people", person)
    context = await browser.new_context()
    answer = await context.request.post(
        f"{gateway.url}/login",
        data=json.dumps({"name": name, "password": PASSWORD}),
        headers={"Accept": "application/json", "Content-Type": "application/json", "Origin": gateway.url},
    )
    assert answer.ok, await answer.text()
    state = await context.storage_state()
    await context.close()
    return state


async def raw_code(numbers: Numbers, number: int) -> str:
    status, text = await numbers.gateway.call("GET", f"{SESSIONS}/{number}/qr-code?format=raw")
    assert status == 200, text
    return str(text)


async def seconds_left(numbers: Numbers) -> int:
    text = await numbers.page.get_by_test_id("qr-countdown").inner_text()
    found = LEFT.search(text)
    assert found, text
    return int(found[1])


async def announced(numbers: Numbers) -> str:
    return (await numbers.modal.locator("[role=status].wa-unseen").inner_text()).strip()


async def size_of(page: Page, selector: str) -> tuple[float, float]:
    box = await page.locator(selector).bounding_box()
    assert box is not None
    return box["width"], box["height"]


async def say(numbers: Numbers, number: int, status: str) -> None:
    """WasenderAPI says a status, and goes on saying it."""
    await numbers.simulate(f"/sessions/{number}/status", {"status": status})


async def stop_clock(numbers: Numbers) -> None:
    """From here on the page's clock goes on by the test's hand only."""
    await numbers.page.clock.pause_at(await numbers.page.evaluate("new Date(Date.now() + 500).toISOString()"))
