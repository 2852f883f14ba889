"""One conversation, check by check (`pytest -k IN_14`)."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.desk import ASHA, JUMA, Desk

HOSTILE = (
    '<img src=x onerror="alert(1)">',
    "<script>alert(2)</script>",
    "[x](javascript:alert(3)) javascript:alert(4)",
    "abc\u202egpj.exe",
)


async def distance_to_end(page: Page) -> float:
    value: float = await page.get_by_test_id("thread").evaluate(
        "element => element.scrollHeight - element.scrollTop - element.clientHeight"
    )
    return value


async def scroll_until(page: Page, step: int, text: str) -> None:
    """Scrolls the thread by steps, a few frames each, until a message with the text is there."""
    await page.evaluate(
        """async ([step, text]) => {
            const thread = document.querySelector("[data-testid=thread]");
            for (let n = 0; n < 400 && !thread.textContent.includes(text); n += 1) {
                thread.scrollTop += step;
                for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
            }
        }""",
        [step, text],
    )
    await expect(page.get_by_test_id("message").filter(has_text=text)).to_have_count(1)


async def scroll_to(page: Page, top: int) -> None:
    await page.get_by_test_id("thread").evaluate("(element, top) => { element.scrollTop = top; }", top)


async def test_IN_10_bubbles_have_a_side_and_a_name_for_those_who_hear_them(desk: Desk) -> None:
    await desk.hear(ASHA, name="Asha Said", begin=await desk.ago("1 minute"))
    await desk.answer(ASHA, "Good morning", key="k1")
    await desk.open()
    await desk.read(ASHA)

    incoming, outgoing = desk.messages.nth(0), desk.messages.nth(1)
    await expect(incoming).to_have_attribute("data-direction", "in")
    await expect(incoming).to_contain_text("Asha Said: ")
    await expect(outgoing).to_have_attribute("data-direction", "out")
    await expect(outgoing).to_contain_text("You: ")
    await expect(desk.thread).to_have_attribute("role", "log")
    await expect(incoming.locator("time")).to_have_attribute("title", re.compile(r"\d{4}"))


async def test_IN_11_days_and_unread_messages_have_their_lines(desk: Desk) -> None:
    await desk.hear(ASHA, "old", name="Asha", read=True, begin=await desk.ago("1 day"))
    await desk.hear(ASHA, "new", name="Asha", many=2)
    await desk.open()
    await desk.read(ASHA)

    await expect(desk.thread.locator(".wa-line")).to_have_text(["Yesterday", "Today", "2 unread messages"])


async def test_IN_12_a_chat_with_four_hundred_unread_shows_what_we_wrote_among_them(desk: Desk) -> None:
    begin = await desk.ago("2 hours")
    await desk.hear(ASHA, "before", name="Asha", many=100, read=True, begin=await desk.ago("5 hours"))
    await desk.hear(ASHA, "asked", name="Asha", many=400, begin=begin)
    await desk.answer(ASHA, "ours", key="k1", at=await desk.ago("115 minutes"))
    await desk.open()
    await desk.read(ASHA)

    await expect(desk.thread.locator(".wa-line-unread")).to_be_in_viewport()
    await expect(desk.said("asked 1")).to_be_in_viewport()
    assert await desk.messages.count() <= 200
    await scroll_until(desk.page, 600, "ours")
    await expect(desk.messages.filter(has_text="ours")).to_have_count(1)


async def test_IN_12_an_edit_of_an_old_message_does_not_land_above_todays(desk: Desk) -> None:
    await desk.hear(ASHA, "old", name="Asha", many=300, read=True, begin=await desk.ago("3 hours"))
    await desk.open()
    await desk.read(ASHA)
    first = await desk.messages.first.inner_text()

    await desk.shop.db.execute(
        "UPDATE whatsapp_incoming_messages SET message_text = 'changed' WHERE message_text = 'old 1'"
    )
    await desk.hear(ASHA, "news", name="Asha")
    await expect(desk.messages.last).to_contain_text("news")

    await expect(desk.messages.filter(has_text="changed")).to_have_count(0)
    assert await desk.messages.first.inner_text() == first


async def test_IN_14_at_the_end_it_follows_and_above_it_stays_and_counts(desk: Desk) -> None:
    await desk.hear(ASHA, "old", name="Asha", many=60, read=True, begin=await desk.ago("1 hour"))
    await desk.open()
    await desk.read(ASHA)
    await desk.hear(ASHA, "first", name="Asha")
    await expect(desk.messages.filter(has_text="first")).to_be_in_viewport()
    assert await distance_to_end(desk.page) < 5

    await scroll_to(desk.page, 300)
    jump = desk.page.get_by_test_id("new-messages")
    await expect(jump).to_be_visible()
    # Not of the whole bubble: the second message with its time reads "old 200:15".
    seen = desk.messages.locator(".wa-text", has_text=re.compile(r"^old 20$"))
    await seen.scroll_into_view_if_needed()
    before = await seen.bounding_box()
    await desk.hear(ASHA, "second", name="Asha", many=2)
    await expect(jump).to_have_text("2 new messages")
    assert await seen.bounding_box() == before

    await jump.click()
    await expect(desk.messages.last).to_be_in_viewport()
    await expect(jump).to_be_hidden()


async def test_IN_15_older_pages_come_in_without_moving_what_is_read(desk: Desk) -> None:
    await desk.hear(ASHA, "line", name="Asha", many=400, read=True, end=":", begin=await desk.ago("3 hours"))
    await desk.open()
    await desk.read(ASHA)
    await expect(desk.messages.last).to_contain_text("line 400:")

    for wanted in (330, 300, 260, 200, 120, 60, 2):
        await scroll_until(desk.page, -350, f"line {wanted}:")
        assert await desk.messages.count() <= 200
    shown = await desk.messages.evaluate_all(
        "all => all.map(one => Number(/line (\\d+):/.exec(one.textContent)[1]))"
    )
    assert shown == list(range(shown[0], shown[0] + len(shown)))


async def test_IN_16_ticks_go_on_and_never_back(desk: Desk) -> None:
    await desk.hear(ASHA, name="Asha", begin=await desk.ago("1 minute"))
    # A customer's next message counts by the whole second.
    await desk.answer(ASHA, "Good morning", "sent", key="k1", at=await desk.ago("30 seconds"))
    await desk.open()
    await desk.read(ASHA)
    own = desk.messages.nth(1)

    for status in ("delivered", "read"):
        await desk.shop.db.execute("UPDATE whatsapp_outgoing_messages SET status = $1", status)
        await expect(own).to_have_attribute("data-status", status)
    await expect(own.locator(".wa-tick")).to_contain_text("Read")
    await desk.shop.db.execute("UPDATE whatsapp_outgoing_messages SET status = 'delivered'")
    await desk.hear(ASHA, "next", name="Asha")
    await expect(desk.messages.last).to_contain_text("next")
    await expect(own).to_have_attribute("data-status", "read")


@pytest.mark.parametrize("text", HOSTILE)
async def test_SE_01_what_a_customer_writes_is_text(desk: Desk, text: str) -> None:
    asked: list[str] = []
    desk.page.on("request", lambda request: asked.append(request.url))
    await desk.hear(ASHA, text, name=f"{text[:40]} & Co")
    await desk.open()
    await desk.read(ASHA)

    await expect(desk.messages).to_contain_text(text)
    assert await desk.page.locator("[onerror], main script, a[href^='javascript']").count() == 0
    assert [url for url in asked if url.endswith("/x") or "//x" in url] == []


async def test_IN_18_a_long_text_is_cut_and_shown_on_request(desk: Desk) -> None:
    await desk.hear(ASHA, "word " * 400, name="Asha")
    await desk.open()
    await desk.read(ASHA)

    more = desk.messages.get_by_role("button", name="Read more")
    short = len(await desk.messages.inner_text())
    await more.click()
    await expect(more).to_have_count(0)
    assert len(await desk.messages.inner_text()) > 2 * short


async def test_IN_13_a_conversation_is_found_again_where_it_was_left(desk: Desk) -> None:
    await desk.hear(ASHA, "line", name="Asha", many=100, read=True, end=":", begin=await desk.ago("1 hour"))
    await desk.hear(JUMA, name="Juma")
    await desk.open()
    await desk.read(ASHA)
    seen = desk.messages.filter(has_text="line 60:")
    await seen.scroll_into_view_if_needed()
    before = await seen.bounding_box()
    await desk.row(JUMA).click()
    await expect(desk.messages).to_have_count(1)

    await desk.row(ASHA).click()
    await expect(seen).to_be_in_viewport()
    after = await seen.bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) < 2


async def test_a_conversation_opened_by_its_address_has_its_name_and_is_read(desk: Desk) -> None:
    await desk.hear(ASHA, name="Asha Said", begin=await desk.ago("30 days"))
    for number in range(60):
        await desk.hear(f"2557110004{number:02}", begin=await desk.ago("1 day"))
    await desk.open(f"/#/12/{ASHA}%40s.whatsapp.net")

    await expect(desk.page.locator(".wa-thread-head h2")).to_have_text("Asha Said")
    await expect(desk.messages).to_have_count(1)
    await expect(desk.page).to_have_title("(60) Inbox")
    await desk.page.reload()
    await expect(desk.page.locator(".wa-thread-head h2")).to_have_text("Asha Said")
    await desk.rows.first.click()
    await expect(desk.page.locator(".wa-thread-head h2")).not_to_have_text("Asha Said")
    await desk.page.go_back()
    await expect(desk.page.locator(".wa-thread-head h2")).to_have_text("Asha Said")


async def test_a_chat_answered_on_the_phone_is_neither_unread_nor_unanswered(desk: Desk) -> None:
    await desk.hear(ASHA, name="Asha", begin=await desk.ago("1 hour"))
    await desk.open()
    await expect(desk.row(ASHA).get_by_test_id("unread-badge")).to_have_text("1")

    await desk.answer(ASHA, "from the phone", key="k1", origin="phone")

    await expect(desk.row(ASHA)).to_contain_text("from the phone")
    await expect(desk.row(ASHA).get_by_test_id("unread-badge")).to_have_count(0)
    await expect(desk.page).to_have_title("Inbox")


async def test_an_inbox_that_was_taken_off_the_page_reads_nothing_and_asks_nothing(desk: Desk) -> None:
    await desk.hear(ASHA, name="Asha", begin=await desk.ago("1 minute"))
    await desk.open()
    await desk.read(ASHA)
    await expect(desk.page).to_have_title("Inbox")
    asked: list[str] = []

    await desk.page.evaluate("document.querySelector('wa-inbox').remove()")
    # Of the gateway's data: a browser under load asks for the page's icon as late as this.
    desk.page.on("request", lambda request: asked.append(request.url) if "/api/" in request.url else None)
    await desk.hear(ASHA, "unheard", name="Asha")
    found = await desk.gateway.data("GET", "/api/conversations")
    await desk.page.evaluate("new Promise(resolve => setTimeout(resolve, 600))")

    assert found["conversations"][0]["unread"] == 1
    assert asked == []
