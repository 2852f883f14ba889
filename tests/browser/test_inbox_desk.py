"""What people do at the inbox, together and with files, check by check (`pytest -k IN_28`)."""

import base64
import re
from typing import Any

from playwright.async_api import Browser, Page, expect

from tests.browser.desk import ASHA, JUMA, MARIA, Desk, log_in, window
from tests.little_files import picture

DROP = """([files, selector]) => {
    const given = new DataTransfer();
    for (const { name, type, base64, size } of files) {
        const bytes = base64 ? Uint8Array.from(atob(base64), (one) => one.charCodeAt(0)) : new Uint8Array(size);
        given.items.add(new File([bytes], name, { type }));
    }
    const place = document.querySelector(selector);
    for (const type of ["dragover", "drop"])
        place.dispatchEvent(new DragEvent(type, { dataTransfer: given, bubbles: true, cancelable: true }));
}"""

# Stands in for the browser's own notices, which no test can see.
NOTICES = """() => {
    window.notices = [];
    window.Notification = class {
        static permission = "granted";
        static requestPermission = async () => "granted";
        constructor(title, options) { window.notices.push(this); Object.assign(this, { title, ...options }); }
        close() { this.isClosed = true; }
    };
}"""
HIDE = "Object.defineProperty(document, 'hidden', { configurable: true, get: () => true })"


def png(colour: int) -> dict[str, Any]:
    content = picture("PNG", (24 + colour, 16))
    return {"name": f"{colour}.png", "type": "image/png", "base64": base64.b64encode(content).decode()}


async def begin(desk: Desk) -> None:
    await desk.hear(ASHA, "Do you have sugar?", name="Asha", begin=await desk.ago("1 minute"))
    await desk.open()
    await desk.read(ASHA)


async def menu(desk: Desk, item: str) -> None:
    await desk.page.locator(".wa-thread-head [aria-haspopup=menu]").click()
    await desk.page.get_by_role("menuitem", name=item, exact=True).click()


async def sounds(page: Page) -> int:
    return int(await page.evaluate("document.documentElement.dataset.sounds ?? 0"))


# ------------------------------------------------------------------------------------------ files


async def test_IN_17_pictures_are_dropped_sent_and_looked_at(shared_desk: Desk) -> None:
    desk = shared_desk
    await begin(desk)
    await desk.page.evaluate(DROP, [[png(1), png(2)], ".wa-thread"])
    await expect(desk.page.get_by_test_id("attached")).to_have_count(2)
    await desk.page.get_by_test_id("composer").fill("Which one?")
    await desk.page.keyboard.press("Enter")

    # Both are the gateway's: the viewer knows the pictures that were there when it was opened.
    shown = desk.page.locator('[data-direction="out"][data-ref] .wa-picture')
    await expect(shown).to_have_count(2)
    for place in range(2):
        await expect(shown.nth(place).locator("img")).to_have_attribute("src", re.compile("/api/media/"))
    await expect(desk.messages.nth(1)).to_contain_text("Which one?")
    await shown.first.click()
    viewer = desk.page.get_by_test_id("media-viewer")
    first = await viewer.locator("img").get_attribute("src")
    await desk.page.keyboard.press("ArrowRight")
    await expect(viewer.locator("img")).not_to_have_attribute("src", str(first))
    await desk.page.keyboard.press("Escape")
    await expect(viewer).to_have_count(0)

    await desk.shop.db.execute(
        'UPDATE whatsapp_outgoing_messages SET media = media || \'{"state": "lost", "reason": "It is gone."}\''
    )
    await expect(desk.thread).to_contain_text("No longer available")


async def test_IN_17_a_voice_note_is_recorded_and_played_faster(shared_desk: Desk) -> None:
    desk = shared_desk
    await begin(desk)
    await desk.page.get_by_test_id("record-button").click()
    send = desk.page.get_by_test_id("voice-send")
    await expect(desk.page.get_by_test_id("recorder")).to_contain_text("0:01")
    await send.click()

    player = desk.page.locator(".wa-voice")
    await expect(player).to_have_count(1)
    await player.get_by_role("button", name="Play").click()
    speed = player.locator(".wa-voice-speed")
    await expect(speed).to_be_visible()
    await speed.click()
    await expect(speed).to_have_text("1.5×")
    kind = await desk.shop.db.fetchval("SELECT media ->> 'mime' FROM whatsapp_outgoing_messages")
    assert kind == "audio/ogg"


async def test_IN_27_a_slash_and_a_few_letters_are_a_template_and_large_files_are_refused(
    shared_desk: Desk,
) -> None:
    desk = shared_desk
    fields = {"shortcut": "hello", "text": "Hello {name}, how can we help?"}
    made = await desk.gateway.data("POST", "/api/templates", fields)
    await begin(desk)
    composer = desk.page.get_by_test_id("composer")
    await composer.press_sequentially("/hel")
    await expect(desk.page.get_by_test_id("templates").get_by_role("option")).to_have_count(1)
    await composer.press("Enter")
    await expect(composer).to_have_value("Hello Asha, how can we help?")
    await desk.gateway.data("DELETE", f"/api/templates/{made['id']}")

    large = {"name": "large.png", "type": "image/png", "size": 17 * 1024 * 1024}
    await desk.page.evaluate(DROP, [[large], ".wa-thread"])
    await expect(desk.page.get_by_test_id("toast")).to_contain_text("large.png")
    await expect(desk.page.get_by_test_id("attached")).to_have_count(0)


async def test_SE_01_a_name_and_a_long_text_stay_within_our_own_words(shared_desk: Desk) -> None:
    desk = shared_desk
    await desk.hear(JUMA, "Hello", name="Juma")
    await desk.hear(ASHA, "Look: ```" + "code " * 300 + "``` end", name="\u202e" + "Asha\n" * 600)
    await desk.open()
    await desk.read(ASHA)

    composer = desk.page.get_by_test_id("composer")
    placeholder = await composer.get_attribute("placeholder") or ""
    assert placeholder.startswith("Write to Asha Asha")
    assert len(placeholder) < 80
    heights = [await desk.row(phone).evaluate("row => row.offsetHeight") for phone in (ASHA, JUMA)]
    assert heights[0] == heights[1]
    await expect(desk.messages.last.locator("code")).to_have_count(1)
    await expect(desk.messages.last.locator(".wa-text")).not_to_contain_text("```")


async def test_SE_01_what_is_written_to_sprawl_stays_in_its_place(shared_desk: Desk) -> None:
    desk = shared_desk
    texts = ["brown\u202efdp.exe", "a" + "\u0301" * 400, "\n" * 20 + "line\n" * 90]
    for text, age in zip(texts, ("2 hours", "1 hour", "1 minute"), strict=True):
        await desk.hear(ASHA, text, name="𒈙" * 60, begin=await desk.ago(age))
    await desk.shop.db.execute(
        "UPDATE whatsapp_incoming_messages SET message_type = 'document', media ="
        " jsonb_build_object('id', gen_random_uuid(), 'state', 'pending', 'kind', 'document', 'name', message_text)"
        " WHERE message_text LIKE 'brown%'"
    )
    await desk.page.set_viewport_size({"width": 390, "height": 780})
    await desk.open()
    await desk.row(ASHA).click()

    file, tower, lines = (desk.messages.nth(place).locator(".wa-bubble") for place in range(3))
    await expect(file).to_contain_text("brownfdp.exe 1")
    await expect(file.locator(".wa-text")).to_have_count(0)
    assert await tower.locator(".wa-text").evaluate("text => getComputedStyle(text).overflowY") == "clip"
    assert await lines.evaluate("bubble => bubble.offsetHeight") < 1100
    await lines.get_by_role("button", name="Read more").click()
    await expect(lines.locator(".wa-text")).to_contain_text("line 1")
    await expect(lines.locator(".wa-text")).to_be_focused()
    assert await desk.page.get_by_test_id("composer").evaluate("box => box.offsetHeight") < 50
    avatar = desk.page.locator(".wa-thread-head .wa-initials")
    assert await avatar.evaluate("letters => letters.offsetWidth <= letters.parentElement.offsetWidth")


async def test_a_menu_opens_over_the_pane_that_its_button_stands_in(shared_desk: Desk) -> None:
    desk = shared_desk
    await begin(desk)
    await desk.page.get_by_role("button", name="Attach").click()

    menu = await desk.page.get_by_role("menu").bounding_box()
    thread = await desk.thread.bounding_box()
    assert menu is not None
    assert thread is not None
    assert menu["x"] >= thread["x"]
    await desk.page.keyboard.press("Escape")


# ------------------------------------------------------------------------------------------ together


async def test_IN_28_who_looks_and_who_writes_is_on_the_row_and_in_the_thread(
    shared_desk: Desk, shared_browser: Browser
) -> None:
    desk = shared_desk
    await begin(desk)
    async with window(shared_browser) as page:
        await log_in(page, desk.gateway, "Ali")
        ali = Desk(desk.shop, page)
        await ali.open()
        await ali.read(ASHA)
        here = desk.page.locator(".wa-thread-head").get_by_test_id("presence")
        await expect(here).to_contain_text("Ali")
        await page.get_by_test_id("composer").press_sequentially("We do")
        await expect(here).to_have_class(re.compile("wa-writing"))
        await expect(desk.row(ASHA).get_by_test_id("presence")).to_contain_text("Ali")
    await expect(here).to_be_hidden()
    await expect(desk.row(ASHA).get_by_test_id("presence")).to_have_count(0)


async def test_IN_28_an_answer_that_the_phone_overtook_can_be_cancelled(shared_desk: Desk) -> None:
    desk = shared_desk
    await begin(desk)
    path = f"/api/conversations/{ASHA}/messages?session=12"
    later = await desk.shop.db.fetchval("SELECT to_json(now() + interval '1 hour') #>> '{}'")
    wish = {"client_id": "late", "text": "Five bags are left", "send_at": later}
    await desk.gateway.data("POST", path, wish)
    await desk.shop.db.execute("UPDATE whatsapp_outgoing_messages SET overtaken_by = 'out:1'")
    own = desk.page.locator('[data-direction="out"]')
    await expect(own).to_contain_text("The phone answered meanwhile")
    await own.get_by_role("button", name="Cancel it").click()
    await expect(own).to_have_attribute("data-status", "cancelled")


async def test_a_conversation_is_taken_given_back_done_opened_again_marked_and_named(
    shared_desk: Desk,
) -> None:
    desk = shared_desk
    await desk.hear(JUMA, name="Juma", begin=await desk.ago("2 minutes"))
    await begin(desk)
    chips = desk.page.get_by_test_id("filter")
    await menu(desk, "Take this conversation")
    await chips.get_by_role("button", name=re.compile("^Mine")).click()
    await expect(desk.rows).to_have_count(1)
    await expect(chips.get_by_role("button", name=re.compile("^Mine"))).to_contain_text("1")
    assert "filter=mine" in desk.page.url
    await menu(desk, "Give it back")
    await chips.get_by_role("button", name=re.compile("^All")).click()
    await expect(desk.rows).to_have_count(2)

    await desk.page.get_by_test_id("done-button").click()
    await expect(desk.page.locator(".wa-thread-banner")).to_contain_text("Done")
    await desk.page.get_by_test_id("done-button").click()
    await expect(desk.page.locator(".wa-thread-banner")).to_be_hidden()

    await menu(desk, "Rename")
    await desk.page.get_by_role("dialog").get_by_role("textbox").fill("Asha from the market")
    await desk.page.get_by_role("dialog").get_by_role("button", name="Save").click()
    await expect(desk.row(ASHA)).to_contain_text("Asha from the market")

    await menu(desk, "Mark as unread")
    await expect(desk.row(ASHA).get_by_test_id("unread-badge")).to_have_count(1)
    await expect(desk.page).to_have_title(re.compile(r"^\(2\)"))


async def test_IN_19_reactions_and_missed_calls_have_a_rendering(shared_desk: Desk) -> None:
    desk = shared_desk
    await begin(desk)
    await desk.shop.db.execute(
        "UPDATE whatsapp_incoming_messages SET reactions ="
        ' \'[{"emoji": "👍", "by": "255711000111", "at": "2026-11-30T10:00:00Z"}]\''
    )
    await expect(desk.page.get_by_test_id("reaction")).to_have_text("👍")
    await desk.hear(ASHA, "", name="Asha")
    await desk.shop.db.execute(
        "UPDATE whatsapp_incoming_messages SET message_type = 'call', message_text = NULL WHERE message_text LIKE ' %'"
    )
    back = desk.messages.last.get_by_role("link", name="Call back")
    await expect(back).to_have_attribute("href", f"tel:+{ASHA}")


async def test_a_message_is_sent_later(shared_desk: Desk) -> None:
    desk = shared_desk
    await begin(desk)
    await desk.page.get_by_test_id("composer").fill("Good morning")
    await desk.page.locator(".wa-composer [aria-haspopup=menu]").click()
    await desk.page.get_by_role("menuitem", name="Send later").click()
    await desk.page.locator(".wa-later").get_by_role("button", name="Send later").click()

    own = desk.page.locator('[data-direction="out"]')
    await expect(own).to_have_attribute("data-status", "queued")
    await expect(own).to_have_attribute("data-ref", re.compile(r"out:\d+"))
    await expect(own.locator(".wa-waiting-words")).to_have_text(re.compile(r"\d\d:\d\d"))


async def test_keys_are_listed_and_do_what_the_list_says(shared_desk: Desk) -> None:
    desk = shared_desk
    await desk.hear(JUMA, name="Juma", begin=await desk.ago("2 minutes"))
    await desk.hear(ASHA, name="Asha", begin=await desk.ago("1 minute"))
    await desk.open()
    keyboard = desk.page.keyboard
    await keyboard.press("?")
    await expect(desk.page.get_by_test_id("shortcuts")).to_contain_text("Search")
    await keyboard.press("Escape")
    await keyboard.press("j")
    await expect(desk.row(ASHA)).to_have_attribute("aria-current", "true")
    await expect(desk.page.get_by_test_id("composer")).to_be_focused()
    await keyboard.press("F6")
    await expect(desk.page.locator(".wa-list button:focus")).to_have_count(1)
    await keyboard.press("/")
    await expect(desk.page.get_by_test_id("search")).to_be_focused()


# ------------------------------------------------------------------------------------------ attention


async def test_IN_34_of_two_tabs_one_makes_the_sound(shared_desk: Desk) -> None:
    desk = shared_desk
    await begin(desk)
    other = Desk(desk.shop, await desk.page.context.new_page())
    await other.open()
    await other.page.mouse.click(700, 400)
    before = await sounds(desk.page) + await sounds(other.page)
    await desk.hear(JUMA, name="Juma")
    for page in (desk.page, other.page):
        await expect(page.get_by_test_id("conversation-row").first).to_contain_text("Juma")
        await page.evaluate("navigator.locks.query()")  # what was asked of the locks before has been answered
    assert await sounds(desk.page) + await sounds(other.page) == before + 1


async def test_IN_41_a_sound_is_made_for_others_not_for_what_is_read_and_says_where_it_may_not(
    shared_desk: Desk,
) -> None:
    desk = shared_desk
    await desk.page.clock.install()
    await desk.hear(ASHA, name="Asha", begin=await desk.ago("1 minute"))
    await desk.open()
    await desk.hear(JUMA, name="Juma")
    notice = desk.page.get_by_test_id("sound-blocked")
    await notice.get_by_role("button", name="Turn sound on").click()
    await expect(notice).to_be_hidden()

    await desk.read(ASHA)
    await desk.page.clock.fast_forward(2100)
    await desk.hear(ASHA, "read at once", name="Asha")
    await expect(desk.messages.last).to_contain_text("read at once")
    assert await sounds(desk.page) == 0
    for text in ("one", "two", "three"):
        await desk.hear(MARIA, text, name="Maria")
        await expect(desk.row(MARIA)).to_contain_text(text)
    assert await sounds(desk.page) == 1, "at most one in two seconds"

    await desk.page.get_by_role("button", name="Settings").click()
    await desk.page.get_by_label("Sound for new messages").uncheck()
    await desk.page.reload()
    await desk.page.mouse.click(700, 400)
    await desk.hear(MARIA, "four", name="Maria")
    await expect(desk.row(MARIA)).to_contain_text("four")
    assert await sounds(desk.page) == 0, "it is remembered"


async def test_IN_42_a_notice_comes_after_a_click_only_and_leads_to_its_conversation(
    shared_desk: Desk,
) -> None:
    desk = shared_desk
    await desk.page.add_init_script(f"({NOTICES})()")
    await begin(desk)
    await desk.page.evaluate(HIDE)
    await desk.hear(JUMA, "first", name="Juma")
    await expect(desk.row(JUMA)).to_contain_text("first")
    assert await desk.page.evaluate("notices.length") == 0

    await desk.page.get_by_role("button", name="Settings").click()
    await desk.page.get_by_label("Notices on the desktop").check()
    await desk.page.keyboard.press("Escape")
    await desk.hear(JUMA, "second", name="Juma")
    await desk.page.wait_for_function("() => notices.length === 1")
    told = await desk.page.evaluate(
        "({ title: notices[0].title, body: notices[0].body, tag: notices[0].tag })"
    )
    assert told == {"title": "Juma", "body": "second 1", "tag": f"12|{JUMA}@s.whatsapp.net"}
    await desk.page.evaluate("notices[0].onclick()")
    await expect(desk.messages.last).to_contain_text("second")

    await desk.page.evaluate(
        "localStorage.setItem('whatsapp-gateway:attention', JSON.stringify({ notify: true, hidesText: true }))"
    )
    await desk.hear(ASHA, "secret", name="Asha")
    await desk.page.wait_for_function("() => notices.length === 2")
    assert "secret" not in await desk.page.evaluate(
        "JSON.stringify(notices[1]) + notices[1].body + notices[1].title"
    )


async def test_IN_43_the_sound_comes_again_until_it_is_read_where_that_is_wished(shared_desk: Desk) -> None:
    desk = shared_desk
    await desk.page.clock.install()
    await begin(desk)
    await desk.hear(JUMA, name="Juma")
    await expect(desk.row(JUMA)).to_be_visible()
    await expect(desk.page).to_have_title(re.compile(r"^\(1\)"))
    first = await sounds(desk.page)
    await desk.page.clock.run_for(31_000)
    assert await sounds(desk.page) == first, "off unless set"

    await desk.page.get_by_role("button", name="Settings").click()
    await desk.page.get_by_label("Repeat every 30 s until read").check()
    await desk.page.keyboard.press("Escape")
    await desk.page.clock.run_for(31_000)
    await desk.page.wait_for_function(
        f"() => Number(document.documentElement.dataset.sounds) === {first + 1}"
    )
    await desk.read(JUMA)
    await expect(desk.page).to_have_title(re.compile("^[^(]"))
    await desk.page.clock.run_for(31_000)
    assert await sounds(desk.page) == first + 1
