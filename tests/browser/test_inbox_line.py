"""What the page does when its line, its gateway or its login goes, check by check (`pytest -k IN_32`).

The line is in the test's hand, and so is the browser's clock.
"""

import re

import pytest_asyncio
from playwright.async_api import Locator, expect

from tests.browser.desk import ASHA, JUMA, MARIA, PASSWORD, Desk
from tests.browser.lines import Line


@pytest_asyncio.fixture(loop_scope="module")
async def shared_line(shared_desk: Desk) -> Line:
    """The line of the desk's page, which is not open yet."""
    line = Line()
    await line.hold(shared_desk.page)
    await shared_desk.page.clock.install()
    return line


def banner_of(desk: Desk) -> Locator:
    return desk.page.get_by_test_id("connection-banner")


async def begin(desk: Desk) -> None:
    await desk.hear(ASHA, "Do you have sugar?", name="Asha", begin=await desk.ago("1 minute"))
    await desk.open()
    await expect(banner_of(desk)).to_have_attribute("data-state", "online")


async def come_back(desk: Desk, line: Line) -> None:
    """The network is back, and the browser says so."""
    line.mend()
    await desk.page.evaluate("dispatchEvent(new Event('online'))")
    await expect(banner_of(desk)).to_have_attribute("data-state", "online")


async def test_IN_30_the_banner_follows_the_line(shared_desk: Desk, shared_line: Line) -> None:
    desk, line = shared_desk, shared_line
    await begin(desk)
    banner = banner_of(desk)

    await line.cut()
    await expect(banner).to_have_attribute("data-state", "reconnecting")
    await expect(banner).not_to_have_class(re.compile("wa-loud"))  # a short one is not worth a word
    await desk.page.clock.fast_forward(2100)
    await expect(banner).to_have_class(re.compile("wa-loud"))
    await expect(banner).to_contain_text("Reconnecting")
    assert await banner.get_attribute("role") == "status"

    await desk.page.clock.fast_forward(30_000)
    await expect(banner).to_have_attribute("data-state", "offline")
    await expect(banner).to_contain_text("you may miss messages")
    line.mend()
    await banner.get_by_role("button").click()
    await expect(banner).to_contain_text("Back online")
    await desk.page.clock.fast_forward(2100)
    await expect(banner).not_to_have_class(re.compile("wa-loud"))


async def test_IN_31_it_tries_again_ever_more_rarely_and_at_once_when_the_network_is_back(
    shared_desk: Desk, shared_line: Line
) -> None:
    desk, line = shared_desk, shared_line
    await begin(desk)
    await line.cut()
    before = line.tries
    for _ in range(24):
        await desk.page.clock.run_for(5000)
    assert 4 <= line.tries - before <= 16, "two minutes of 1, 2, 4, 8, 16, 30, 30 s, or any part of each"

    await come_back(desk, line)


async def test_IN_32_after_a_gap_everything_is_there_in_order_and_nothing_twice(
    shared_desk: Desk, shared_line: Line
) -> None:
    desk, line = shared_desk, shared_line
    await desk.hear(JUMA, "before", name="Juma", read=True, begin=await desk.ago("3 minutes"))
    await desk.answer(ASHA, "Five bags", "sent", key="k1", at=await desk.ago("2 minutes"))
    await begin(desk)
    await desk.read(ASHA)
    await desk.page.evaluate("document.documentElement.dataset.sounds = '0'")
    await line.cut()
    await expect(banner_of(desk)).to_have_attribute("data-state", "reconnecting")

    at = await desk.ago("50 seconds")
    for phone, name in ((ASHA, "Asha"), (JUMA, "Juma"), (MARIA, "Maria")):
        await desk.hear(phone, "in the gap", name=name, many=17, begin=at, end=".")
    for status in ("delivered", "read", "played"):
        await desk.shop.db.execute("UPDATE whatsapp_outgoing_messages SET status = $1", status)
    await come_back(desk, line)

    await expect(desk.row(JUMA).get_by_test_id("unread-badge")).to_have_text("17")
    await expect(desk.row(MARIA).get_by_test_id("unread-badge")).to_have_text("17")
    await expect(desk.row(ASHA).get_by_test_id("unread-badge")).to_have_count(0)  # it is open, and seen
    await expect(desk.messages.last).to_contain_text("in the gap 17.")
    shown = await desk.messages.evaluate_all(
        "all => all.map((one) => /in the gap (\\d+)\\./.exec(one.textContent)?.[1]).filter(Boolean).map(Number)"
    )
    assert shown == list(range(1, 18))
    await expect(desk.page.locator('[data-direction="out"]')).to_have_attribute("data-status", "played")
    assert int(await desk.page.evaluate("document.documentElement.dataset.sounds")) <= 1


async def test_IN_33_a_gap_that_is_too_old_loads_anew_and_says_so(
    shared_desk: Desk, shared_line: Line
) -> None:
    desk, line = shared_desk, shared_line
    await begin(desk)
    await desk.read(ASHA)
    await line.cut()
    await desk.hear(ASHA, "while it slept", name="Asha")
    await desk.page.clock.fast_forward("02:00:00")
    # What it holds cannot be continued: the history is another one.
    await desk.shop.db.execute("UPDATE gateway.inboxes SET epoch = gen_random_uuid() WHERE inbox = 12")
    await desk.hear(JUMA, "meanwhile", name="Juma")
    await come_back(desk, line)

    await desk.page.clock.run_for(1000)
    await expect(desk.page.get_by_test_id("toast").filter(has_text="loaded again")).to_be_visible()
    await expect(desk.messages.last).to_contain_text("while it slept")
    await expect(desk.row(ASHA)).to_contain_text("while it slept")


async def test_IN_35_a_gateway_that_comes_back_newer_reloads_nothing_by_itself(
    shared_desk: Desk, shared_line: Line
) -> None:
    desk, line = shared_desk, shared_line
    await begin(desk)
    await desk.read(ASHA)
    composer = desk.page.get_by_test_id("composer")
    await composer.fill("half a sen")
    await desk.page.evaluate("window.isSamePage = true")
    line.version = "99.0"
    await line.cut()
    await come_back(desk, line)

    toast = desk.page.get_by_test_id("toast")
    await expect(toast).to_contain_text("version")
    assert await desk.page.evaluate("window.isSamePage")
    await expect(composer).to_have_value("half a sen")
    await composer.press("End")
    await composer.press_sequentially("tence")
    await toast.get_by_role("button", name="Reload").click()
    await expect(composer).to_have_value("half a sentence")


async def test_IN_36_a_login_that_ends_leads_back_to_the_same_conversation(
    shared_desk: Desk, shared_line: Line
) -> None:
    desk = shared_desk
    await begin(desk)
    await desk.read(ASHA)
    await desk.page.get_by_test_id("composer").fill("half a sen")
    place = desk.page.url
    name = (await (await desk.page.request.get(desk.gateway.url + "/api/me")).json())["data"]["name"]
    await desk.page.request.post(desk.gateway.url + "/logout", headers={"Origin": desk.gateway.url})

    needed = desk.page.get_by_test_id("login-needed")
    await expect(needed).to_have_count(1)
    await needed.get_by_role("button").click()
    form = desk.page.get_by_test_id("login-form")
    await form.locator("[name=name]").fill(name)
    await form.locator("[name=password]").fill(PASSWORD)
    await form.get_by_role("button").click()

    await expect(desk.messages.first).to_contain_text("Do you have sugar?")
    assert desk.page.url == place
    await expect(desk.page.get_by_test_id("composer")).to_have_value("half a sen")
