"""The modal that links a phone, check by check (`pytest -k QR_04`)."""

import asyncio
import json
import re
from datetime import datetime
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.codes import grey_pixels, read_code
from tests.browser.numbers import SESSIONS, WITHIN_5_S, Numbers, login_of, numbers_window
from tests.http.support import eventually
from tests.launcher.running import Running

SIDEWAYS = """() => [document.documentElement, ...document.querySelectorAll("dialog[open], dialog[open] *")]
    .filter((one) => !one.matches(".wa-unseen") && one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX !== "visible")
    .map((one) => one.className)"""
LEFT = re.compile(r"(?:New|Last) code.*?(\d+) second")


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


async def test_QR_01_a_skeleton_of_the_final_size_stands_at_once_and_a_slow_code_can_be_cancelled(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    async with numbers_window(shared_browser, shared_gateway, shared_login, clock=True) as numbers:
        number = await numbers.create("Slow")
        await numbers.fail(f"/whatsapp-sessions/{number}/connect", hang=True)
        await numbers.begin(number)
        await numbers.state("preparing")
        await expect(numbers.modal).to_contain_text("Preparing a code…")
        before = await size_of(numbers.page, ".wa-qr-frame"), await size_of(numbers.page, "dialog[open]")

        await numbers.page.clock.fast_forward(16_000)
        await expect(numbers.modal).to_contain_text("Still working")
        assert (await size_of(numbers.page, "dialog[open]")) == before[1]
        await numbers.modal.get_by_role("button", name="Cancel").click()
        await numbers.state("list")

        await numbers.heal()
        await numbers.show(number)
        assert (
            await size_of(numbers.page, ".wa-qr-frame"),
            await size_of(numbers.page, "dialog[open]"),
        ) == before


async def test_QR_02_the_code_is_pushed_and_QR_03_a_newer_one_takes_its_place(
    shared_numbers: Numbers,
) -> None:
    numbers = shared_numbers
    number = await numbers.create("Pushed")
    loads: list[str] = []
    numbers.page.on("request", lambda request: loads.append(request.url))
    await numbers.show(number)
    first = await numbers.seq()

    await numbers.rotate(number)
    await expect(numbers.image).to_have_attribute("data-seq", str(first + 1))
    assert not [url for url in loads if "qr-code" in url or "navigate" in url]
    assert read_code(await numbers.image.screenshot()) == await raw_code(numbers, number)


async def test_QR_04_the_countdown_is_the_lives_by_the_clock_60_s_then_20_s(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    async with numbers_window(shared_browser, shared_gateway, shared_login, clock=True) as numbers:
        number = await numbers.create("Clock")
        await numbers.show(number)
        assert 50 <= await seconds_left(numbers) <= 60

        # A laptop that slept: no tick came meanwhile, and the clock has gone on.
        before = await seconds_left(numbers)
        await numbers.page.clock.fast_forward(30_000)
        assert before - 34 <= await seconds_left(numbers) <= before - 29
        left = await numbers.page.locator(".wa-qr-ring").evaluate(
            "(ring) => Number(ring.style.getPropertyValue('--wa-left'))"
        )
        assert 0.2 < left < 0.52

        await numbers.rotate(number)
        await expect(numbers.image).to_have_attribute("data-seq", "2")
        data = await numbers.gateway.data("GET", f"{SESSIONS}/{number}/qr-code")
        assert round(seconds_between(data["issued_at"], data["expires_at"])) == 20
        live = await numbers.modal.locator("[aria-live], [role=status], [role=alert]").all_inner_texts()
        assert not any(LEFT.search(text) for text in live)


def seconds_between(begin: str, end: str) -> float:
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds()


async def test_QR_05_a_code_is_not_sharp_after_its_life_and_is_asked_for_once(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    async with numbers_window(shared_browser, shared_gateway, shared_login, clock=True) as numbers:
        number = await numbers.create("Dead")
        await numbers.show(number)
        pulls: list[str] = []
        numbers.page.on("request", lambda request: pulls.append(request.url))
        sharp = await numbers.image.screenshot()
        code = await raw_code(numbers, number)
        assert read_code(sharp) == code

        await numbers.page.clock.fast_forward(61_000)
        await numbers.state("refreshing")
        await expect(numbers.modal.locator(".wa-qr-cover")).to_have_text("Getting a new code…")
        with pytest.raises(ValueError, match="unpack"):
            read_code(await numbers.modal.locator(".wa-qr-frame").screenshot())
        await numbers.page.clock.fast_forward(3_000)
        assert len([url for url in pulls if url.endswith("/qr-code")]) == 1

        await numbers.rotate(number)
        await numbers.state("qr")


async def test_QR_06_an_attempt_that_is_over_has_no_code_and_one_click_makes_another(
    shared_numbers: Numbers,
) -> None:
    numbers = shared_numbers
    number = await numbers.create("Over")
    await numbers.show(number)
    for _ in range(6):  # the sixth code is the last, and the seventh wish ends upstream's attempt
        await numbers.rotate(number)

    await numbers.state("expired", timeout=30_000)
    await expect(numbers.image).to_have_count(0)
    assert "data:image" not in await numbers.modal.inner_html()
    assert await numbers.connects(number) == 1  # it does not begin again by itself
    await numbers.page.get_by_test_id("show-new-code").click()
    await numbers.state("qr")
    assert await numbers.connects(number) == 2


async def test_QR_07_a_scan_hides_the_code_and_a_phone_that_does_not_finish_is_said(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    async with numbers_window(shared_browser, shared_gateway, shared_login, clock=True) as numbers:
        number = await numbers.create("Finishing")
        await numbers.show(number)
        await say(numbers, number, "connecting")
        await numbers.state("finishing")
        await expect(numbers.image).to_have_count(0)
        await expect(numbers.modal).to_contain_text("Phone found, finishing…")
        await expect(numbers.modal.get_by_text("Open WhatsApp on the phone.")).to_be_hidden()

        await numbers.page.clock.fast_forward(61_000)
        await expect(numbers.modal).to_contain_text("This takes longer than usual")
        await expect(numbers.modal.get_by_role("button", name="Show a new code")).to_be_visible()
        await numbers.modal.get_by_role("button", name="Log of this number").click()
        await expect(numbers.page.get_by_test_id("log-drawer")).to_contain_text("Linking was started")


async def say(numbers: Numbers, number: int, status: str) -> None:
    """WasenderAPI says a status, and goes on saying it."""
    await numbers.simulate(f"/sessions/{number}/status", {"status": status})


async def test_QR_08_a_linked_phone_is_greeted_and_the_modal_goes_by_itself(shared_numbers: Numbers) -> None:
    numbers = shared_numbers
    number = await numbers.create("Linked")
    await numbers.show(number)
    await numbers.scan(number)

    await numbers.state("success")
    await expect(numbers.modal).to_contain_text("+255 711 000777")
    assert await announced(numbers) == "The phone is linked."
    await numbers.state("closed")
    await expect(numbers.page.get_by_test_id("sessions-button")).to_be_focused()
    await numbers.open()
    await expect(numbers.row(number).get_by_test_id("session-status")).to_have_text("Connected")


async def test_QR_08_a_person_who_turns_to_the_success_keeps_it(shared_numbers: Numbers) -> None:
    numbers = shared_numbers
    number = await numbers.create("Kept")
    await numbers.show(number)
    await numbers.scan(number)
    await numbers.state("success")
    await numbers.modal.get_by_role("button", name="Open inbox").focus()

    with pytest.raises(AssertionError):
        await numbers.state("closed", timeout=2_600)
    await numbers.close()


REFUSALS: dict[str, tuple[dict[str, Any], str, str]] = {
    "500": ({"status": 500}, "WasenderAPI does not answer as it should", "Try again"),
    "html": ({"html": True, "status": 502}, "WasenderAPI does not answer as it should", "Try again"),
    "dropped": ({"drop": True}, "WasenderAPI does not answer as it should", "Try again"),
    "401": ({"status": 401}, "WasenderAPI does not accept the account token", "Try again"),
    "403": ({"status": 403}, "Your plan at WasenderAPI allows no more", "Try again"),
    "404": ({"status": 404}, "This number is not there any more", "All numbers"),
    "422": ({"status": 422}, "WasenderAPI refuses to link this number", "Try again"),
    "429": ({"status": 429, "retry_after": 30}, "WasenderAPI asks for a pause", "Try again"),
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_QR_09_what_goes_wrong_is_told_as_what_it_is_within_five_seconds(
    shared_numbers: Numbers, kind: str
) -> None:
    numbers = shared_numbers
    fault, title, action = REFUSALS[kind]
    number = await numbers.create(f"Fault {kind}")
    await numbers.open()
    await numbers.fail(f"/whatsapp-sessions/{number}/*", **fault)
    await numbers.row(number).get_by_test_id("connect-button").click()

    await numbers.state("error", timeout=WITHIN_5_S)
    await expect(numbers.modal.get_by_role("heading", name=title)).to_be_visible()
    await expect(numbers.page.get_by_test_id("link-action")).to_have_text(action)
    details = numbers.page.get_by_test_id("link-details")
    assert not await details.evaluate("(details) => details.open")
    await details.locator("summary").click()
    assert len(await details.locator("p").inner_text()) > 10
    assert await announced(numbers) == title


async def test_QR_09_an_outage_that_ends_shows_the_code_by_itself_or_by_one_click(
    shared_numbers: Numbers,
) -> None:
    numbers = shared_numbers
    number = await numbers.create("Outage")
    await numbers.open()
    await numbers.fail(f"/whatsapp-sessions/{number}/*", status=500)
    await numbers.row(number).get_by_test_id("connect-button").click()
    await numbers.state("error", timeout=WITHIN_5_S)
    await expect(numbers.modal).to_contain_text("The gateway tries again")

    await numbers.heal()
    await numbers.page.get_by_test_id("link-action").click()
    await numbers.state("qr", timeout=WITHIN_5_S)


async def test_QR_09_a_code_that_lives_stays_while_upstream_is_away(shared_numbers: Numbers) -> None:
    numbers = shared_numbers
    number = await numbers.create("Half away")
    await numbers.show(number)
    await numbers.fail(f"/whatsapp-sessions/{number}", status=500)

    await expect(numbers.modal).to_contain_text("This code still works.", timeout=10_000)
    await numbers.state("qr")
    await numbers.heal()
    await expect(numbers.modal).not_to_contain_text("This code still works.", timeout=15_000)


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


async def frames_of(page: Page) -> list[str]:
    """Every frame that the page's sockets receive from now on; the page is loaded anew for that."""
    heard: list[str] = []
    page.on("websocket", lambda ws: ws.on("framereceived", lambda frame: heard.append(str(frame))))
    await page.reload()
    await expect(page.get_by_test_id("sessions-button")).to_be_visible()
    return heard


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
