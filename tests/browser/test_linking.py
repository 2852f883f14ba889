"""The modal that links a phone, check by check (`pytest -k QR_04`): codes, their clock, and what goes wrong."""

from datetime import datetime
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.browser.codes import read_code
from tests.browser.numbers import (
    LEFT,
    SESSIONS,
    WITHIN_5_S,
    Numbers,
    announced,
    numbers_window,
    raw_code,
    say,
    seconds_left,
    size_of,
    stop_clock,
)
from tests.launcher.running import Running


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


async def test_QR_08_a_person_who_turns_to_the_success_keeps_it(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    async with numbers_window(shared_browser, shared_gateway, shared_login, clock=True) as numbers:
        number = await numbers.create("Kept")
        await numbers.show(number)
        await stop_clock(numbers)
        await numbers.scan(number)
        await numbers.state("success")
        await numbers.modal.get_by_role("button", name="Open inbox").focus()

        await numbers.page.clock.run_for(10_000)
        assert await numbers.modal.get_attribute("data-state") == "success"
        await numbers.close()


@pytest.mark.parametrize("way", ["pointer", "keyboard"])
async def test_QR_08_who_has_turned_away_again_has_the_whole_two_seconds(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any, way: str
) -> None:
    async with numbers_window(shared_browser, shared_gateway, shared_login, clock=True) as numbers:
        page, turn_to, turn_away = numbers.page, numbers.modal.get_by_role("heading").last, (3, 3)
        number = await numbers.create(f"Left by {way}")
        await numbers.show(number)
        await stop_clock(numbers)
        await numbers.scan(number)
        await numbers.state("success")

        await page.clock.run_for(1_500)
        if way == "pointer":
            await turn_to.hover()
        else:
            await page.keyboard.press("Tab")
        await page.clock.run_for(1_900)
        assert await numbers.modal.get_attribute("data-state") == "success"
        if way == "pointer":
            await page.mouse.move(*turn_away)
        else:
            await page.evaluate("document.activeElement.blur()")
        await page.clock.run_for(1_900)
        assert await numbers.modal.get_attribute("data-state") == "success"
        await page.clock.run_for(200)
        await numbers.state("closed")


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
