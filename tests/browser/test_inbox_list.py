"""The list of conversations, check by check (`pytest -k IN_03`)."""

import asyncio
import re

from playwright.async_api import Route, expect

from tests.browser.desk import ASHA, JUMA, MARIA, Desk
from tests.browser.loading import Traffic


async def test_IN_01_a_row_says_who_what_when_and_how_much_is_unread(desk: Desk) -> None:
    await desk.hear(ASHA, "Do you have sugar?", many=3, name="Asha Said")
    await desk.hear(JUMA, "Hello", read=True)
    await desk.answer(JUMA, "See you tomorrow", "read", key="k1")
    await desk.open()

    asha, juma = desk.row(ASHA), desk.row(JUMA)
    await expect(asha).to_contain_text("Asha Said")
    await expect(asha).to_contain_text("Do you have sugar? 3")
    await expect(asha.get_by_test_id("unread-badge")).to_have_text("3")
    await expect(asha.locator("time")).to_have_text(re.compile(r"\d\d:\d\d"))
    await expect(juma).to_contain_text("+255 711 000112")
    await expect(juma).to_contain_text("You: See you tomorrow")
    await expect(juma.locator(".wa-tick-read")).to_have_count(1)
    await expect(juma.get_by_test_id("unread-badge")).to_have_count(0)


async def test_IN_02_a_new_message_moves_its_row_to_the_top_and_an_open_one_is_not_unread(desk: Desk) -> None:
    await desk.hear(ASHA, name="Asha", begin=await desk.ago("2 hours"))
    await desk.hear(JUMA, name="Juma", begin=await desk.ago("1 hour"))
    await desk.open()
    await expect(desk.rows.first).to_contain_text("Juma")

    await desk.hear(ASHA, "again", name="Asha", begin=await desk.ago("1 second"))
    await expect(desk.rows.first).to_contain_text("Asha")
    await expect(desk.row(ASHA)).to_have_class(re.compile("wa-has-unread"))

    await desk.read(ASHA)
    await expect(desk.row(ASHA).get_by_test_id("unread-badge")).to_have_count(0)
    await desk.hear(ASHA, "and again", name="Asha", begin=await desk.ago("0 seconds"))
    await expect(desk.messages.last).to_contain_text("and again")
    await expect(desk.row(ASHA).get_by_test_id("unread-badge")).to_have_count(0)


async def test_IN_03_the_row_under_the_pointer_stays_where_it_is(desk: Desk) -> None:
    for number in range(20):
        phone = f"2557110003{number:02}"
        await desk.hear(phone, name=f"Customer {number}", begin=await desk.ago(f"{number + 1} hours"))
    await desk.open()
    held, other = desk.row("255711000305"), desk.row("255711000312")
    await held.hover()
    before = await held.bounding_box()

    await desk.hear("255711000312", "first", name="Customer 12", begin=await desk.ago("2 seconds"))
    await expect(desk.rows.first).to_contain_text("Customer 12")
    pill = desk.page.get_by_test_id("new-rows")
    await expect(pill).to_have_text("1 new")
    room = await pill.bounding_box()
    assert room is not None
    assert room["height"] < 60, "the button covers the rows"
    await desk.hear("255711000305", "mine", name="Customer 5", begin=await desk.ago("1 second"))
    await expect(held.get_by_test_id("unread-badge")).to_have_text("2")

    assert before is not None
    assert await held.bounding_box() == before
    await desk.page.mouse.move(900, 5)
    await expect(desk.rows.first).to_contain_text("Customer 5")
    await expect(other).to_be_in_viewport()
    await expect(desk.page.get_by_test_id("new-rows")).to_be_hidden()


async def test_IN_04_name_number_and_words_are_found_and_a_hit_opens_the_thread_around_it(desk: Desk) -> None:
    await desk.hear(ASHA, "old", many=300, name="Asha Said", read=True, begin=await desk.ago("3 hours"))
    await desk.shop.db.execute(
        "UPDATE whatsapp_incoming_messages SET message_text = 'brown sugar please' WHERE message_text = 'old 20'"
    )
    await desk.hear(JUMA, "Hello", name="Juma")
    await desk.open()
    search = desk.page.get_by_test_id("search")

    for wanted in ("asha", "+255 711 000 111", "711000111"):
        await search.fill(wanted)
        await expect(desk.rows).to_have_count(1)
        await expect(desk.rows).to_contain_text("Asha Said")
    await search.fill("brown sugar")
    hit = desk.page.get_by_test_id("search-hit")
    await expect(hit).to_have_count(1)
    await expect(hit.locator("mark")).to_have_text("brown sugar")
    await hit.click()
    await expect(desk.messages.filter(has_text="brown sugar please")).to_be_in_viewport()
    await expect(desk.said("old 300")).to_have_count(0)

    await search.focus()
    await desk.page.keyboard.press("Escape")
    await expect(search).to_have_value("")
    await expect(desk.rows).to_have_count(2)


async def test_IN_05_the_filter_has_counts_stands_in_the_address_and_survives_a_reload(desk: Desk) -> None:
    await desk.hear(ASHA, name="Asha")
    await desk.hear(JUMA, name="Juma", read=True)
    await desk.answer(JUMA, "Done", key="k1")
    await desk.open()
    chip = desk.page.get_by_test_id("filter").get_by_role("button", name=re.compile("Unread"))

    await expect(chip).to_contain_text("1")
    await chip.click()
    await expect(desk.rows).to_have_count(1)
    assert "filter=unread" in desk.page.url
    await desk.page.reload()
    await expect(desk.rows).to_have_count(1)
    await expect(chip).to_have_attribute("aria-pressed", "true")


async def test_IN_06_of_five_thousand_conversations_few_rows_are_in_the_document(desk: Desk) -> None:
    await desk.shop.db.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, wasender_session_id, chat, from_phone, push_name,"
        " message_text, message_type, received_at, created_at)"
        " SELECT 'm' || n, 12, (255700000000 + n) || '@s.whatsapp.net', (255700000000 + n)::text, 'Customer ' || n,"
        " 'Hello', 'text', now() - n * interval '1 minute', now() FROM generate_series(1, 5000) AS n"
    )
    await desk.open()
    await expect(desk.page.get_by_test_id("filter").get_by_role("button").first).to_contain_text("5000")
    scroller = desk.page.get_by_test_id("conversation-list")

    height = "element => element.scrollHeight"
    for _ in range(6):
        before = await scroller.evaluate(height)
        await scroller.evaluate("element => { element.scrollTop = element.scrollHeight; }")
        await desk.page.wait_for_function(
            "([height, before]) => document.querySelector('[data-testid=conversation-list]').scrollHeight > before",
            arg=[height, before],
        )
        assert await desk.rows.count() <= 120
    assert await scroller.evaluate(height) > 1000 * 68


async def test_IN_07_a_shop_without_messages_reads_what_to_expect(desk: Desk) -> None:
    await desk.page.goto(desk.gateway.url)

    await expect(desk.page.get_by_test_id("conversation-list")).to_contain_text("No conversations yet")


async def test_IN_40_the_title_and_the_icon_tell_how_many_wait_also_beyond_the_first_page(desk: Desk) -> None:
    await desk.shop.db.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, wasender_session_id, chat, from_phone,"
        " message_text, message_type, received_at, created_at)"
        " SELECT 'm' || n, 12, (255700000000 + n) || '@s.whatsapp.net', (255700000000 + n)::text,"
        " 'Hello', 'text', now() - n * interval '1 minute', now() FROM generate_series(1, 70) AS n"
    )
    await desk.open()
    await expect(desk.page).to_have_title("(70) Inbox")
    await expect(desk.page.locator('link[rel="icon"]')).to_have_attribute("href", re.compile("favicon-dot"))

    await desk.read("255700000001")
    await expect(desk.page).to_have_title("(69) Inbox")


async def test_who_waits_longest_is_named_also_behind_the_first_page(desk: Desk) -> None:
    await desk.shop.db.execute(
        "INSERT INTO whatsapp_incoming_messages (message_id, wasender_session_id, chat, from_phone,"
        " message_text, message_type, received_at, created_at)"
        " SELECT 'm' || n, 12, (255700000000 + n) || '@s.whatsapp.net', (255700000000 + n)::text,"
        " 'Hello', 'text', now() - n * interval '1 minute', now() FROM generate_series(1, 70) AS n"
    )
    pane = desk.page.get_by_test_id("waiting")
    await desk.open()

    await expect(pane).to_contain_text("70 customers wait for an answer")
    await expect(pane.locator("li").first).to_contain_text("+255 700 000070")
    await desk.answer("255700000070", "Sorry for the wait", key="k1")
    await expect(pane).to_contain_text("69 customers wait for an answer")
    await expect(pane.locator("li").first).to_contain_text("+255 700 000069")
    await expect(pane.locator("li")).to_have_count(5)
    await pane.get_by_role("button").first.click()
    await expect(desk.said("Hello")).to_be_visible()


async def test_IN_34_reading_in_one_tab_clears_the_other(desk: Desk) -> None:
    await desk.hear(MARIA, name="Maria", many=3)
    await desk.open()
    other = Desk(desk.shop, await desk.page.context.new_page())
    await other.open()
    await expect(other.row(MARIA).get_by_test_id("unread-badge")).to_have_text("3")

    await desk.read(MARIA)

    await expect(other.row(MARIA).get_by_test_id("unread-badge")).to_have_count(0)
    await expect(other.page).to_have_title("Inbox")


async def test_marks_of_a_colleague_arrive_and_a_taken_chat_says_by_whom(desk: Desk) -> None:
    await desk.hear(ASHA, name="Asha")
    await desk.open()
    path = f"/api/conversations/{ASHA}?session=12"

    await desk.gateway.data("PUT", path, {"owner": "tester"})
    await expect(desk.row(ASHA).locator(".wa-row-owner")).to_have_count(1)
    await desk.gateway.data("PUT", path, {"done": True})
    await desk.read(ASHA)
    await expect(desk.page.locator(".wa-thread-banner")).to_contain_text("Done")


async def test_speed_few_requests_and_bytes_come_before_the_first_rows(desk: Desk) -> None:
    await desk.hear(ASHA, name="Asha")
    traffic = Traffic()
    await traffic.watch(desk.page)
    await desk.open()

    assert len(traffic.requests) <= 8, traffic.requests
    assert traffic.bytes <= 130_000, "at 1.6 Mbit/s two thirds of a second"


async def test_speed_a_second_visit_asks_for_no_file_again(desk: Desk) -> None:
    await desk.hear(ASHA, name="Asha")
    await desk.open()
    traffic = Traffic()
    other = Desk(desk.shop, await desk.page.context.new_page())
    await traffic.watch(other.page)
    await other.open()

    assert traffic.bytes <= 20_000


async def test_speed_the_page_asks_for_the_first_rows_while_its_script_comes(desk: Desk) -> None:
    await desk.hear(ASHA, name="Asha")
    traffic = Traffic()
    await traffic.watch(desk.page)
    script = asyncio.Event()

    async def hold(route: Route) -> None:
        await script.wait()
        await route.continue_()

    await desk.page.route("**/app.js", hold)
    async with asyncio.timeout(20), desk.page.expect_response("**/api/conversations?*"):
        await desk.page.goto(desk.gateway.url, wait_until="commit")
    script.set()
    await expect(desk.row(ASHA)).to_be_visible()

    asked = [address.partition("/api/")[2].partition("?")[0] for address in traffic.requests]
    assert sorted(filter(None, asked)) == ["conversations", "me", "whatsapp-sessions"]
