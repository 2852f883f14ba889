"""The page of operators on the real thing: what is wrong with a number is seen there, and mended by a press."""

from playwright.async_api import Page, expect

from tests.browser.desk import log_in
from tests.http.support import HOOK, Shop, received


async def test_an_operator_sees_refused_webhooks_and_repairs_them(shop: Shop, page: Page) -> None:
    number = await shop.create(name="Night shop")
    await shop.gateway.gateway.services.webhook_watch.look()
    await log_in(page, shop.gateway, "Amina", "admin")
    await page.goto(shop.gateway.url)
    await page.get_by_test_id("admin-link").click()
    await page.wait_for_url(shop.gateway.url + "/admin")

    gateway = page.get_by_test_id("admin-gateway")
    await expect(gateway).to_have_count(1)
    await expect(gateway).to_contain_text("answers you")
    row = page.locator(f"[data-testid=admin-number][data-session='{number}']")
    await expect(row).to_contain_text("Webhooks arrive")

    for _ in range(2):
        await shop.post(received(), secret="another-secret-0123456789", path=f"{HOOK}/{number}")
    await page.evaluate("document.querySelector('wa-admin').tell('admin-changed')")
    await expect(row).to_contain_text("Everything is refused", timeout=20_000)
    await page.get_by_test_id("sessions-button").click()
    notice = page.locator(f"[data-session='{number}'] [data-testid=webhook-notice]")
    await expect(notice).to_contain_text("Everything is refused")
    await notice.get_by_role("button", name="Repair").click()

    await expect(notice).to_have_count(0)
    await page.keyboard.press("Escape")
    await page.evaluate("document.querySelector('wa-admin').tell('admin-changed')")
    await expect(row).to_contain_text("Webhooks arrive", timeout=20_000)
