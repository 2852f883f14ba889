"""Answering, check by check (`pytest -k IN_21`): the real gateway, and the simulator as the phone's other side."""

import re
from typing import Any

from playwright.async_api import Locator, expect

from tests.browser.desk import ASHA, JUMA, Desk


async def sends(desk: Desk) -> list[dict[str, Any]]:
    """What WhatsApp's side was asked to send."""
    found: list[dict[str, Any]] = await desk.gateway.data("GET", "/_simulator/sends")
    return found


async def begin(desk: Desk) -> None:
    await desk.hear(ASHA, "Do you have sugar?", name="Asha", begin=await desk.ago("1 minute"))
    await desk.open()
    await desk.read(ASHA)


async def click_twice(button: Locator) -> None:
    """As a person who is used to double clicks: the button may be gone at the second one."""
    await expect(button).to_be_visible()
    box = await button.bounding_box()
    assert box is not None
    await button.page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


async def test_IN_20_enter_sends_and_shift_enter_breaks_the_line(desk: Desk) -> None:
    await begin(desk)
    composer = desk.page.get_by_test_id("composer")
    await expect(composer).to_be_focused()

    await composer.press_sequentially("one")
    await composer.press("Shift+Enter")
    await composer.press_sequentially("two")
    await composer.press("Enter")

    own = desk.messages.nth(1)
    await expect(own).to_have_attribute("data-direction", "out")
    assert "one\ntwo" in await own.inner_text()
    await expect(composer).to_have_value("")


async def test_IN_21_the_bubble_stands_at_once_and_never_twice(desk: Desk) -> None:
    await begin(desk)
    for text in ("first", "second", "first"):
        await desk.page.get_by_test_id("composer").fill(text)
        await click_twice(desk.page.get_by_test_id("send-button"))

    await expect(desk.page.locator('[data-direction="out"][data-ref]')).to_have_count(3)
    await expect(desk.messages).to_have_count(4)
    rows = await desk.shop.db.fetch("SELECT client_id, message_text FROM whatsapp_outgoing_messages")
    assert sorted(row["message_text"] for row in rows) == ["first", "first", "second"]
    await desk.page.reload()
    await expect(desk.messages).to_have_count(4)


async def test_IN_22_what_the_gateway_did_not_answer_is_sent_once_after_a_reload(desk: Desk) -> None:
    await begin(desk)
    dropped = 0

    async def drop(route: Any) -> None:
        nonlocal dropped
        dropped += 1
        await route.fetch()  # it arrives, and the answer is lost
        await route.abort()

    await desk.page.route(re.compile(r"/messages\?session=12$"), drop)
    await desk.page.get_by_test_id("composer").fill("only once")
    await desk.page.get_by_test_id("send-button").click()
    await expect(desk.messages.filter(has_text="only once")).to_have_count(1)
    await desk.page.unroute_all(behavior="wait")
    await desk.page.reload()

    await expect(desk.messages.filter(has_text="only once")).to_have_count(1)
    await expect(desk.messages.last).to_have_attribute("data-ref", re.compile(r"out:\d+"))
    assert dropped >= 1
    assert await desk.shop.db.fetchval("SELECT count(*) FROM whatsapp_outgoing_messages") == 1


async def test_IN_23_a_refusal_says_why_and_loses_no_text(desk: Desk) -> None:
    await begin(desk)

    async def refuse(route: Any) -> None:
        body = {"success": False, "error": "This cannot be sent.", "code": "invalid", "action": "fix_input"}
        await route.fulfill(status=422, json=body)

    await desk.page.route(re.compile(r"/messages\?session=12$"), refuse)
    await desk.page.get_by_test_id("composer").fill("keep me")
    await desk.page.get_by_test_id("send-button").click()
    own = desk.messages.last
    await expect(own).to_have_attribute("data-status", "failed")
    await expect(own).to_contain_text("This cannot be sent.")
    await desk.page.unroute_all(behavior="wait")
    await own.get_by_role("button", name="Retry").click()

    await expect(desk.messages.last).to_have_attribute("data-ref", re.compile(r"out:\d+"))
    await expect(desk.messages.filter(has_text="keep me")).to_have_count(1)


async def test_IN_24_what_waits_has_a_line_and_can_be_taken_back(desk: Desk) -> None:
    await begin(desk)
    await desk.shop.db.execute("UPDATE whatsapp_sessions SET status = 'logged_out'")
    await desk.page.get_by_test_id("composer").fill("later then")
    await desk.page.get_by_test_id("send-button").click()
    line = desk.page.get_by_test_id("queue-line")
    await expect(line).to_contain_text("1 waiting")

    await line.get_by_role("button", name="Cancel").click()

    await expect(desk.messages.last).to_have_attribute("data-status", "cancelled")
    await expect(line).to_be_hidden()


async def test_IN_25_a_draft_is_there_after_another_chat_and_after_a_reload(desk: Desk) -> None:
    await desk.hear(JUMA, "Hello", name="Juma", begin=await desk.ago("1 hour"))
    await begin(desk)
    composer = desk.page.get_by_test_id("composer")
    await composer.fill("half a sen")
    await desk.read(JUMA)
    await expect(composer).to_have_value("")
    await expect(desk.row(ASHA)).to_contain_text("Draft: half a sen")
    await desk.read(ASHA)
    await expect(composer).to_have_value("half a sen")

    await desk.page.reload()
    await expect(composer).to_have_value("half a sen")


async def test_IN_26_a_number_without_a_link_says_so_and_where_to_mend_it(desk: Desk) -> None:
    await begin(desk)
    await desk.shop.db.execute(
        "UPDATE whatsapp_sessions SET status = 'logged_out', last_connected_at = now()"
    )

    hint = desk.page.locator(".wa-composer-hint")
    await expect(hint).to_contain_text("is sent when it is linked again")
    await hint.get_by_role("button", name="Link it").click()
    await expect(desk.page.get_by_test_id("session-modal")).to_be_visible()


async def test_IN_28_a_colleagues_answer_is_a_calm_question(desk: Desk) -> None:
    await begin(desk)
    hold: list[Any] = []

    async def late(route: Any) -> None:
        if not hold:
            hold.append(route)
            await desk.answer(ASHA, "Ali was faster", "sent", key="k9")
        await route.continue_()

    await desk.page.route(re.compile(r"/messages\?session=12$"), late)
    await desk.page.get_by_test_id("composer").fill("mine is late")
    await desk.page.get_by_test_id("send-button").click()
    question = desk.page.get_by_test_id("newer-reply")
    await expect(question).to_contain_text("Ali was faster")
    await expect(question).to_contain_text("mine is late")

    await question.get_by_role("button", name="Send mine anyway").click()
    await expect(question).to_have_count(0)
    await expect(desk.messages.filter(has_text="mine is late")).to_have_count(1)
    await expect(desk.messages.last).to_have_attribute("data-ref", re.compile(r"out:\d+"))


async def test_a_quote_leads_to_what_it_answers(desk: Desk) -> None:
    await begin(desk)
    await desk.messages.first.hover()
    await desk.messages.first.get_by_role("button", name="Actions for this message").click()
    await desk.page.get_by_role("menuitem", name="Reply").click()
    await desk.page.get_by_test_id("composer").fill("We do")
    await desk.page.keyboard.press("Enter")

    quote = desk.messages.last.locator(".wa-quote")
    await expect(quote).to_contain_text("Do you have sugar?")
    await quote.click()
    await expect(desk.messages.first).to_have_class(re.compile("wa-found"))
