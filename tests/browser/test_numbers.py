"""The list of numbers, check by check (`pytest -k SL_04`)."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.browser.accessibility import findings
from tests.browser.desk import window
from tests.browser.numbers import SESSIONS, Numbers, login_of, numbers_window
from tests.launcher.running import Running


async def menu(numbers: Numbers, number: int, item: str) -> None:
    await numbers.row(number).get_by_test_id("session-menu").click()
    await numbers.page.get_by_role("menuitem", name=item).click()


async def test_SL_01_a_row_says_name_number_state_and_how_fresh_that_is(
    shared_numbers: Numbers, shared_browser: Browser, shared_gateway: Running
) -> None:
    numbers = shared_numbers
    number = await numbers.create("Front desk", phone_number="+255711000701")
    await numbers.open()
    row = numbers.row(number)
    await expect(row.locator("strong")).to_have_text("Front desk")
    await expect(row).to_contain_text("+255 711 000701")
    badge = row.get_by_test_id("session-status")
    await expect(badge).to_have_text("Not linked")
    await expect(badge.locator("svg")).to_have_count(1)
    facts = row.locator(".wa-session-checked")
    await expect(facts).to_contain_text("Changed")
    await expect(facts).to_contain_text("Checked")
    await expect(facts).to_have_attribute("title", re.compile(r"20\d\d.*\d\d:\d\d:\d\d"))

    login = await login_of(shared_browser, shared_gateway, "Vera", "viewer")
    async with numbers_window(shared_browser, shared_gateway, login) as viewer:
        await viewer.open()
        await expect(viewer.row(number)).to_contain_text("•")
        await expect(viewer.row(number)).not_to_contain_text("000701")


async def test_SL_02_a_state_moves_its_badge_in_place(shared_numbers: Numbers) -> None:
    numbers = shared_numbers
    number = await numbers.create("Live")
    await numbers.open()
    row = numbers.row(number)
    await row.hover()
    before = await row.bounding_box()
    await numbers.link(number)

    await expect(row.get_by_test_id("session-status")).to_have_text("Connected")
    after = await row.bounding_box()
    assert before is not None
    assert after is not None
    assert (before["x"], before["y"]) == (after["x"], after["y"])


async def test_SL_03_each_state_has_one_first_action_and_the_rest_in_a_menu(shared_numbers: Numbers) -> None:
    numbers = shared_numbers
    number = await numbers.create("Actions")
    await numbers.open()
    row = numbers.row(number)
    await expect(row.locator(".wa-session-primary button")).to_have_text(["Link phone"])
    await row.get_by_test_id("session-menu").click()
    items = ["Show QR code", "Open inbox", "Edit", "Log", "Keys", "Restart", "Disconnect", "Delete"]
    await expect(numbers.page.get_by_role("menuitem")).to_have_text(items)
    await numbers.page.keyboard.press("Escape")

    await numbers.link(number)
    await expect(row.locator(".wa-session-primary button")).to_have_text(["Open inbox"])


async def test_SL_03_a_double_click_is_one_request_and_buttons_say_why_they_wait(
    shared_numbers: Numbers,
) -> None:
    numbers = shared_numbers
    number = await numbers.create("Once")
    await numbers.open()
    sent: list[str] = []
    numbers.page.on("request", lambda request: sent.append(request.url))
    await numbers.fail(f"/whatsapp-sessions/{number}/disconnect", delay_ms=700)
    row = numbers.row(number)
    await menu(numbers, number, "Disconnect")
    await row.get_by_test_id("disconnect-button").dblclick()
    await expect(row.get_by_test_id("session-menu")).to_be_disabled()
    await expect(row.get_by_test_id("session-menu")).to_have_attribute("title", "Working…")
    await expect(row.get_by_test_id("session-status")).to_have_text("Disconnecting…")
    await expect(numbers.page.get_by_test_id("toast")).to_contain_text("Disconnected.")
    assert len([url for url in sent if url.endswith("/disconnect")]) == 1
    await expect(row.get_by_test_id("session-menu")).to_be_enabled()


async def test_SL_04_what_is_lost_is_said_first_and_cancel_has_the_focus(shared_numbers: Numbers) -> None:
    numbers = shared_numbers
    number = await numbers.create("Old shop")
    await numbers.open()
    row = numbers.row(number)
    await menu(numbers, number, "Disconnect")
    await expect(row).to_contain_text("The phone is unlinked")
    await expect(row).to_contain_text("Messages stay here.")
    await expect(row.get_by_role("button", name="Cancel")).to_be_focused()
    await numbers.page.keyboard.press("Enter")

    await menu(numbers, number, "Delete")
    await expect(row).to_contain_text("This cannot be undone.")
    await expect(row.get_by_role("button", name="Cancel")).to_be_focused()
    delete = row.get_by_test_id("delete-button")
    await expect(delete).to_be_disabled()
    await row.get_by_label("To delete it, write its name").fill("old shop")
    await delete.click()
    await expect(numbers.row(number)).to_have_count(0)
    status, _ = await numbers.gateway.call("GET", f"{SESSIONS}/{number}")
    assert status == 404


async def test_SL_05_what_failed_is_taken_back_with_the_reason(shared_numbers: Numbers) -> None:
    numbers = shared_numbers
    number = await numbers.create("Stays")
    await numbers.link(number)
    await numbers.open()
    await numbers.fail(f"/whatsapp-sessions/{number}/disconnect", status=500, delay_ms=300)
    row = numbers.row(number)
    await menu(numbers, number, "Disconnect")
    await row.get_by_test_id("disconnect-button").click()
    await expect(row.get_by_test_id("session-status")).to_have_text("Disconnecting…")
    await expect(numbers.page.get_by_test_id("toast").last).to_contain_text("WasenderAPI")
    await expect(row.get_by_test_id("session-status")).to_have_text("Connected")


async def test_SL_06_keys_are_dots_until_they_are_asked_for_and_for_half_a_minute(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    grants: dict[str, Any] = {"permissions": ["clipboard-read", "clipboard-write"]}
    async with numbers_window(shared_browser, shared_gateway, shared_login, clock=True, **grants) as numbers:
        page = numbers.page
        number = await numbers.create("Keys")
        (listed,) = [
            one for one in await shared_gateway.data("GET", f"{SESSIONS}?limit=200") if one["id"] == number
        ]
        assert (listed["api_key"], listed["webhook_secret"]) == ("", "")
        await numbers.open()
        await menu(numbers, number, "Keys")
        shown = page.get_by_test_id("secret-api_key")
        await expect(shown).to_have_text("•" * 12)
        await page.get_by_test_id("reveal-keys").click()
        real = (await shared_gateway.data("GET", f"{SESSIONS}/{number}?reveal=secrets"))["api_key"]
        await expect(shown).to_have_text(real)
        await page.get_by_role("button", name="Copy API key").click()
        await expect(page.get_by_test_id("toast").last).to_contain_text("Copied.")
        assert await page.evaluate("navigator.clipboard.readText()") == real
        events = [row["event_type"] for row in await shared_gateway.data("GET", f"{SESSIONS}/{number}/logs")]
        assert "secrets_revealed" in events

        await page.clock.fast_forward(31_000)
        await expect(shown).to_have_text("•" * 12 + real[-4:])
        assert real not in await page.content()
        await page.get_by_test_id("renew-key").click()
        question = page.get_by_role("alertdialog")
        await expect(question).to_contain_text("The old one stops working at once")
        await question.get_by_role("button", name="Make a new API key").click()
        await expect(page.get_by_test_id("toast").last).to_contain_text("The API key is renewed.")


async def test_SL_07_a_new_number_is_checked_explained_and_leads_straight_to_its_code(
    shared_numbers: Numbers,
) -> None:
    numbers = shared_numbers
    await numbers.open()
    await numbers.modal.get_by_test_id("create-session").click()
    await expect(numbers.modal).to_contain_text("at most one message every 5 seconds")
    await numbers.modal.get_by_label("Name").fill("Kiosk")
    await numbers.modal.get_by_label("Phone number").fill("12")
    await numbers.modal.get_by_test_id("create-session").click()
    await expect(numbers.modal).to_contain_text("Write the number with its country code, for example")
    await numbers.modal.get_by_label("Phone number").fill("+255 (711) 000-702")
    await numbers.modal.get_by_test_id("create-session").click()
    await numbers.state("qr")
    await expect(numbers.modal.get_by_role("heading", name="Kiosk")).to_be_visible()


async def test_SL_07_a_number_is_edited_where_it_was_made(shared_numbers: Numbers) -> None:
    numbers = shared_numbers
    number = await numbers.create("Befor")
    await numbers.open()
    await menu(numbers, number, "Edit")
    # What only the server knows to be wrong is said beside the field, too.
    refusal = {"message": "Validation failed", "errors": {"name": ["The name has been taken."]}}
    await numbers.fail(f"/whatsapp-sessions/{number}", method="PUT", status=422, body=refusal)
    await numbers.modal.get_by_label("Name").fill("Taken")
    await numbers.modal.get_by_role("button", name="Save").click()
    complaint = numbers.modal.get_by_role("alert").filter(has_text="The name has been taken.")
    await expect(complaint).to_be_visible()
    await numbers.heal()
    await numbers.modal.get_by_label("Name").fill("Before")
    await numbers.modal.get_by_role("button", name="Save").click()
    await expect(numbers.row(number).locator("strong")).to_have_text("Before")


async def test_SL_08_the_log_is_a_timeline_that_goes_on_and_can_be_filtered_and_saved(
    shared_numbers: Numbers,
) -> None:
    numbers = shared_numbers
    page = numbers.page
    number = await numbers.create("Story")
    await numbers.open()
    await menu(numbers, number, "Log")
    drawer = page.get_by_test_id("log-drawer")
    rows = drawer.get_by_test_id("log-row")
    await expect(rows).to_have_count(1)
    await expect(rows.first).to_contain_text("The number was added")
    await expect(rows.first).to_contain_text("Tester")
    await expect(drawer.get_by_role("heading", name="Today")).to_be_visible()
    await expect(rows.first.locator("time")).to_have_attribute("title", re.compile(r"\d\d:\d\d:\d\d"))

    await numbers.fail(f"/whatsapp-sessions/{number}/connect", status=401)
    await numbers.connect(number)
    await expect(rows.filter(has_text="WasenderAPI does not accept the account token")).to_be_visible()
    await drawer.get_by_label("Show").select_option(label="Linking was started")
    await expect(rows).to_have_count(1)

    for kind in ("CSV", "JSON"):
        async with page.expect_download() as download:
            await drawer.get_by_role("button", name=kind).click()
        path = await (await download.value).path()
        text = path.read_text()
        assert "link_started" in text
        if kind == "JSON":
            json.loads(text)


async def test_SL_09_search_and_state_work_together_and_outlive_a_reload(shared_numbers: Numbers) -> None:
    numbers = shared_numbers
    page = numbers.page
    kilo = await numbers.create("Kilo", phone_number="+255711000741")
    lima = await numbers.create("Kilo too", phone_number="+255711000742")
    for name in ("Mike", "November"):
        await numbers.create(name)
    await numbers.link(lima)
    await numbers.open()
    search = numbers.modal.get_by_label("Search by name or number")
    await search.fill("kilo")
    await expect(numbers.rows).to_have_count(2)
    await search.fill("0711 000 74")
    await expect(numbers.rows).to_have_count(2)
    await numbers.modal.get_by_label("Show").select_option(label="Connected")
    await expect(numbers.rows).to_have_count(1)
    assert "numbers-state=good" in page.url

    await page.reload()
    await numbers.open()
    await expect(numbers.rows).to_have_count(1)
    await expect(numbers.row(lima)).to_be_visible()
    await numbers.modal.get_by_label("Show").select_option(label="Needs a link")
    await expect(numbers.modal).to_contain_text("Nothing found")
    await numbers.modal.get_by_role("button", name="Show all numbers").click()
    await expect(numbers.row(kilo)).to_be_visible()
    assert "numbers-" not in page.url


async def test_SL_09_loading_and_failing_have_their_states(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    async with numbers_window(shared_browser, shared_gateway, shared_login) as numbers:
        page = numbers.page
        held: list[Any] = []
        await page.route("**/api/whatsapp-sessions?*", lambda route: held.append(route))
        await page.reload()
        await page.route_web_socket(re.compile("/ws"), lambda ws: None)
        await page.reload()
        await page.get_by_test_id("sessions-button").click()
        await numbers.state("loading")
        await expect(numbers.modal.locator(".wa-bone")).to_have_count(3)
        await held[-1].fulfill(status=503, json={"success": False, "error": "Away.", "code": "unavailable"})
        await numbers.state("error")
        await page.unroute("**/api/whatsapp-sessions?*")
        await numbers.modal.locator(".wa-empty").get_by_role("button", name="Try again").click()
        await numbers.state("list")


async def test_SL_10_the_menu_goes_by_arrow_keys_and_targets_are_large_enough(
    shared_numbers: Numbers, shared_browser: Browser, shared_gateway: Running, shared_login: Any
) -> None:
    numbers = shared_numbers
    page = numbers.page
    number = await numbers.create("Reach")
    await numbers.open()
    button = numbers.row(number).get_by_test_id("session-menu")
    await button.press("Enter")
    await expect(page.get_by_role("menuitem").first).to_be_focused()
    await page.keyboard.press("ArrowUp")
    await expect(page.get_by_role("menuitem").last).to_be_focused()
    shown = "({outlineStyle: line, backgroundColor: fill}) => line !== 'none' || fill !== 'rgba(0, 0, 0, 0)'"
    assert await page.evaluate(f"({shown})(getComputedStyle(document.activeElement))")
    await page.keyboard.press("Escape")
    await expect(button).to_be_focused()
    assert await small(numbers, 24) == []

    phone: dict[str, Any] = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "is_mobile": True}
    async with numbers_window(shared_browser, shared_gateway, shared_login, **phone) as touched:
        await touched.open()
        assert await small(touched, 44) == []


async def small(numbers: Numbers, px: int) -> list[str]:
    """The controls of the modal that are smaller than this."""
    return list(
        await numbers.modal.evaluate(
            """(dialog, px) => [...dialog.querySelectorAll("button, summary, select, input")]
                .filter((one) => one.checkVisibility())
                .map((one) => [one.getBoundingClientRect(), one.textContent || one.className])
                .filter(([box]) => Math.min(box.width, box.height) < px - 0.5)
                .map(([box, name]) => `${name} ${box.width} ${box.height}`)""",
            px,
        )
    )


@pytest.mark.parametrize("path", ["/", "/people", "/account"])
async def test_a_number_that_loses_its_link_is_told_on_every_page(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any, path: str
) -> None:
    async with window(shared_browser, storage_state=shared_login) as page:
        numbers = Numbers(shared_gateway, page)
        number = await numbers.create(f"Lost at {path}")
        await numbers.link(number)
        await page.goto(shared_gateway.url + path)
        notice = page.locator(".app-needs-link")
        await expect(page.get_by_test_id("sessions-button")).to_be_visible()
        await expect(page.get_by_test_id("connection-banner")).to_have_attribute("data-state", "online")
        await numbers.simulate(f"/sessions/{number}/unlink")
        await expect(notice).to_contain_text(f"“Lost at {path}” needs a new link")
        await notice.get_by_role("button", name="Link again").click()
        await numbers.state("qr")
        await numbers.scan(number)
        await expect(notice).to_be_hidden()


async def test_axe_finds_nothing_on_the_pages_of_a_gateway(
    shared_browser: Browser, shared_gateway: Running, shared_login: Any, axe: Path
) -> None:
    found: dict[str, Any] = {}
    async with numbers_window(
        shared_browser, shared_gateway, shared_login, reduced_motion="reduce"
    ) as numbers:
        page = numbers.page
        await page.add_init_script(path=axe)
        for path in ("/", "/people", "/account", "/targets", "/admin"):
            await page.goto(shared_gateway.url + path)
            await expect(page.locator("h1").first).to_be_attached()
            await expect(page.get_by_role("region", name="Demo")).to_be_visible()
            if here := await findings(page):
                found[path] = here
        await numbers.open()
        if here := await findings(page):
            found["numbers"] = here
    assert found == {}
