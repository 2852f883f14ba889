"""The modal that links a phone, check by check (`pytest -k QR_17`): how it looks, who may see it, and its keys."""

import asyncio
import json
import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.codes import grey_pixels, read_code
from tests.browser.numbers import SESSIONS, Numbers, login_of, numbers_window, raw_code, say, seconds_left
from tests.http.support import eventually
from tests.launcher.running import Running

SIDEWAYS = """() => [document.documentElement, ...document.querySelectorAll("dialog[open], dialog[open] *")]
    .filter((one) => !one.matches(".wa-unseen") && one.scrollWidth > one.clientWidth + 1)
    .filter((one) => getComputedStyle(one).overflowX !== "visible")
    .map((one) => one.className)"""


async def frames_of(page: Page) -> list[str]:
    """Every frame that the page's sockets receive from now on; the page is loaded anew for that."""
    heard: list[str] = []
    page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: heard.append(str(frame))))
    await page.reload()
    await expect(page.get_by_test_id("sessions-button")).to_be_visible()
    return heard


async def test_QR_10_the_code_is_black_on_white_with_its_quiet_zone_in_the_dark_too(
    shared_numbers: Numbers,
) -> None:
    numbers = shared_numbers
    number = await numbers.create("Contrast")
    await numbers.page.emulate_media(color_scheme="dark")
    await numbers.show(number)
    await expect(numbers.modal.locator(".wa-qr-frame > *")).to_have_css("opacity", "1")
    picture = await numbers.image.screenshot()
    await numbers.page.emulate_media(color_scheme="light")

    assert read_code(picture) == await raw_code(numbers, number)
    width, height, pixels = grey_pixels(picture)
    assert min(width, height) >= 264
    assert set(pixels) == {0, 255}  # whole pixels a module: no grey between them
    first = next(x for x in range(width * height) if pixels[x] == 0)
    module = quiet = first // width
    row = pixels[first : first + width]
    module = next(x for x, light in enumerate(row) if light) // 7
    assert quiet >= 4 * module


async def test_QR_11_without_a_socket_the_countdown_goes_on_and_the_code_is_polled(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    async with numbers_window(shared_browser, shared_gateway, shared_login, clock=True) as numbers:
        page = numbers.page
        sockets: list[Any] = []
        await page.route_web_socket(
            re.compile("/ws"), lambda ws: sockets.append((ws, ws.connect_to_server()))
        )
        await page.reload()
        number = await numbers.create("Lonely")
        await numbers.show(number)
        await page.unroute_all()
        await page.route_web_socket(re.compile("/ws"), lambda ws: ws.close(code=1011))
        await sockets[-1][0].close(code=1011)

        await expect(numbers.modal.locator(".wa-qr-cover")).to_have_text("Reconnecting…")
        before = await seconds_left(numbers)
        await page.clock.fast_forward(4_000)
        assert await seconds_left(numbers) < before
        await numbers.rotate(number)
        path = f"{SESSIONS}/{number}/qr-code"
        await eventually(lambda: numbers.gateway.data("GET", path), lambda data: data["seq"] == 2)
        await page.clock.fast_forward(8_000)
        await expect(numbers.image).to_have_attribute("data-seq", "2")


async def test_QR_12_two_browsers_see_one_code_and_one_may_leave(
    shared_numbers: Numbers, shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    mine = shared_numbers
    number = await mine.create("Two")
    async with numbers_window(shared_browser, shared_gateway, shared_login) as other:
        await asyncio.gather(mine.show(number), other.show(number))
        assert read_code(await mine.image.screenshot()) == read_code(await other.image.screenshot())
        assert await mine.connects(number) == 1
        await other.close()

        await mine.rotate(number)
        await expect(mine.image).to_have_attribute("data-seq", "2")


async def test_QR_13_the_steps_stand_beside_the_code_for_both_kinds_of_phone(shared_numbers: Numbers) -> None:
    numbers = shared_numbers
    number = await numbers.create("Steps")
    await numbers.show(number)
    steps = numbers.modal.locator("ol li")
    await numbers.modal.get_by_role("button", name="iPhone").click()
    await expect(steps).to_have_text(
        [
            "Open WhatsApp on the phone.",
            "Tap Settings, then Linked devices.",
            "Tap Link a device.",
            "Point the phone at this code.",
        ]
    )
    await numbers.modal.get_by_role("button", name="Android").click()
    await expect(steps.nth(1)).to_have_text("Tap Menu ⋮, then Linked devices.")
    await expect(numbers.modal.get_by_role("button", name="Android")).to_have_attribute(
        "aria-pressed", "true"
    )


async def test_QR_14_a_phone_that_could_not_connect_is_explained(shared_numbers: Numbers) -> None:
    number = await shared_numbers.create("Hint")
    await shared_numbers.show(number)
    await expect(shared_numbers.modal).to_contain_text(
        "The phone says it could not connect? The code was a moment too old: scan the next one."
    )


async def test_QR_16_a_closed_modal_gets_no_codes_and_finds_the_present_one_when_it_opens_again(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    async with numbers_window(shared_browser, shared_gateway, shared_login) as numbers:
        heard = await frames_of(numbers.page)
        number = await numbers.create("Again")
        await numbers.show(number)
        await numbers.close()
        await expect(numbers.image).to_have_count(0)
        heard.clear()
        await numbers.rotate(number)
        await numbers.open()
        assert not [text for text in heard if "session.qr" in text]

        await numbers.show(number)
        assert await numbers.seq() == 2
        assert 10 <= await seconds_left(numbers) <= 20


async def test_QR_17_a_viewer_gets_no_code_by_any_way(
    shared_browser: Browser, shared_gateway: Running
) -> None:
    login = await login_of(shared_browser, shared_gateway, "Vera", "viewer")
    async with numbers_window(shared_browser, shared_gateway, login) as viewer:
        heard = await frames_of(viewer.page)
        bodies: list[str] = []
        viewer.page.on("request", lambda request: bodies.append(request.url))
        number = await viewer.create("Secret")
        await viewer.connect(number)
        await viewer.open()
        await expect(viewer.row(number)).to_contain_text("Scan QR code")
        await expect(viewer.page.get_by_test_id("connect-button")).to_have_count(0)
        refused = await viewer.page.request.get(f"{shared_gateway.url}{SESSIONS}/{number}/qr-code")
        assert refused.status == 403
        code = await raw_code(viewer, number)
        assert not [text for text in heard if code in text or "session.qr" in text]
        assert not [url for url in bodies if "qr-code" in url]
        assert "data:image/svg" not in await viewer.page.content()


async def test_QR_18_the_code_is_in_no_address_no_storage_and_no_text(shared_numbers: Numbers) -> None:
    numbers = shared_numbers
    page = numbers.page
    number = await numbers.create("Quiet")
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    await numbers.show(number)
    code = await raw_code(numbers, number)
    kept = await page.evaluate(
        "() => JSON.stringify([{...localStorage}, {...sessionStorage}, location.href, document.title])"
    )
    alt = await numbers.image.get_attribute("alt")
    places = [kept, alt or "", *(url for url in addresses if not url.startswith("data:"))]
    assert not [place for place in places if code in place or code[2:20] in place]
    answer = await page.request.get(f"{numbers.gateway.url}{SESSIONS}/{number}/qr-code?format=png")
    assert answer.headers["cache-control"] == "no-store"

    await numbers.close()
    assert code not in await page.content()
    assert "data:image/svg" not in await page.content()


async def test_QR_19_the_modal_is_a_dialog_and_the_whole_way_goes_by_keyboard(
    shared_numbers: Numbers,
) -> None:
    numbers = shared_numbers
    page = numbers.page
    number = await numbers.create("Keys")
    button = page.get_by_test_id("sessions-button")
    await button.focus()
    await page.keyboard.press("Enter")
    await numbers.state("list")
    await expect(page.get_by_role("dialog", name="Numbers")).to_be_visible()
    await expect(page.get_by_role("heading", name="Numbers")).to_be_focused()
    seen: set[str] = set()
    connect = numbers.row(number).get_by_test_id("connect-button")
    for _ in range(200):
        await page.keyboard.press("Tab")
        inside = await page.evaluate(
            "!!document.activeElement.closest('dialog') || document.activeElement === document.body"
        )
        assert inside
        if await connect.evaluate("(button) => button === document.activeElement"):
            break
    else:
        pytest.fail(f"the button was not reached: {seen}")
    await page.keyboard.press("Enter")
    await numbers.state("qr")
    await expect(page.get_by_role("dialog", name=re.compile("Keys"))).to_be_visible()
    await numbers.scan(number)
    await numbers.state("success")
    await page.keyboard.press("Escape")
    await numbers.state("closed")
    await expect(button).to_be_focused()


async def test_QR_20_each_step_is_said_once_and_the_seconds_never(shared_numbers: Numbers) -> None:
    numbers = shared_numbers
    number = await numbers.create("Voice")
    await numbers.show(number)
    said = numbers.modal.locator("[role=status].wa-unseen")
    await expect(said).to_have_text("The code is ready to scan.")
    await numbers.rotate(number)
    await expect(said).to_have_text("There is a new code.")
    await numbers.gateway.data("POST", f"{SESSIONS}/{number}/disconnect")
    await numbers.state("expired")
    await expect(said).to_have_text("The code has expired.")


async def test_QR_21_after_the_limit_one_action_gives_a_new_code(shared_numbers: Numbers) -> None:
    numbers = shared_numbers
    number = await numbers.create("Limit")
    await numbers.show(number)
    await numbers.gateway.data("POST", f"{SESSIONS}/{number}/disconnect")
    await numbers.state("expired")
    await expect(numbers.modal).to_contain_text("Linking was stopped")
    await numbers.page.get_by_test_id("show-new-code").press("Enter")
    await numbers.state("qr")


async def test_QR_22_on_a_phone_of_320_px_the_code_fits_and_says_where_to_scan_it(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    phone = {"width": 320, "height": 640}
    async with numbers_window(shared_browser, shared_gateway, shared_login, viewport=phone) as numbers:
        number = await numbers.create("Phone")
        await numbers.show(number)
        box = await numbers.image.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 320
        assert box["width"] >= 240
        assert await numbers.page.evaluate(SIDEWAYS) == []
        assert read_code(await numbers.image.screenshot()) == await raw_code(numbers, number)
        await expect(numbers.modal.get_by_text("Open the page on another screen to scan.")).to_be_visible()


@pytest.mark.parametrize("status", ["need_passkey", "two_step_check"])
async def test_QR_23_a_further_step_is_said_and_goes_when_it_is_done(
    shared_numbers: Numbers, status: str
) -> None:
    numbers = shared_numbers
    number = await numbers.create(f"Step {status}")
    await numbers.show(number)
    await say(numbers, number, status)
    await expect(numbers.modal).to_contain_text("WhatsApp asks for one more step on your phone")

    await say(numbers, number, "need_passkey")
    await numbers.scan(number)
    await numbers.state("success")
    await expect(numbers.modal).not_to_contain_text("one more step")
    assert json.dumps(status) not in await numbers.modal.inner_text()
