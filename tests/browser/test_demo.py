"""The main job as a person sees it: `gateway demo`, a browser, a phone, a customer's message. Nothing is reloaded."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
from playwright.async_api import Page, expect

from gateway.embedded_postgres.server import DATABASE, ROLE
from tests.browser.codes import read_code
from tests.launcher.terminal import Terminal


async def control(page: Page, method: str, path: str, body: Any = None) -> Any:
    """What somebody does at the simulated phone."""
    answer = await page.request.fetch(path, method=method, data=body)
    assert answer.ok, await answer.text()
    return (await answer.json())["data"]


async def test_a_phone_is_linked_and_a_customers_message_appears(
    terminal: Terminal, data_dir: Path, page: Page
) -> None:
    async with terminal.start("demo", "--port", "0", "--data-dir", data_dir) as demo:
        link = await demo.line(r"(http://127\.0\.0\.1:\d+)/login\?ticket=\S+")
        url = link[1]
        await page.goto(link[0])
        await page.get_by_role("button").click()
        await page.wait_for_url(url + "/")
        loads: list[str] = []
        page.on(
            "request", lambda request: loads.append(request.url) if request.is_navigation_request() else None
        )
        modal = page.get_by_test_id("session-modal")

        await page.get_by_test_id("sessions-button").click()
        await expect(modal).to_have_attribute("data-state", "list")
        await modal.get_by_test_id("create-session").click()
        await modal.get_by_label("Name").fill("Shop")
        await modal.get_by_label("Phone number").fill("+49 151 23456789")
        await modal.get_by_test_id("create-session").click()

        image = modal.get_by_test_id("qr-image")
        await expect(image).to_be_visible()
        await expect(modal).to_have_attribute("data-state", "qr")
        await expect(modal.get_by_test_id("qr-countdown")).to_be_visible()
        (session,) = await control(page, "GET", f"{url}/_simulator/sessions")
        number = session["id"]
        shown = read_code(await image.screenshot())
        upstream = await page.request.get(f"{url}/api/whatsapp-sessions/{number}/qr-code?format=raw")
        assert shown == await upstream.text()
        assert session["code_tail"]
        assert shown.endswith(session["code_tail"])

        await control(page, "POST", f"{url}/_simulator/sessions/{number}/scan")
        await expect(modal).to_have_attribute("data-state", "success")
        await expect(modal).to_have_attribute("data-state", "closed")
        await expect(image).to_have_count(0)

        hostile = '<img src=x onerror="alert(1)"> open today?'
        inbound = {"from": "+34600111222", "push_name": "<b>Carla</b>", "text": hostile}
        await control(page, "POST", f"{url}/_simulator/sessions/{number}/inbound", inbound)
        row = page.get_by_test_id("conversation-row")
        await expect(row).to_have_count(1)
        await expect(row).to_contain_text("<b>Carla</b>")
        await expect(row.get_by_test_id("unread-badge")).to_have_text("1")
        await expect(page).to_have_title(re.compile(r"^\(1\) "))
        await row.click()
        message = page.get_by_test_id("thread").get_by_test_id("message")
        await expect(message).to_contain_text(hostile)
        await expect(row.get_by_test_id("unread-badge")).to_have_count(0)

        await insert_by_sql(data_dir, number)
        await expect(message).to_have_count(2)
        await expect(message.last).to_contain_text("inserted by somebody else")
        assert loads == []
        await page.close()  # before the demo ends: a page that loses its gateway says so on its console


async def insert_by_sql(data_dir: Path, session: int) -> None:
    """What another program that writes to the same table does, knowing nothing of the gateway."""
    connection = await asyncpg.connect(address_of_running(data_dir))
    try:
        await connection.execute(
            "INSERT INTO whatsapp_incoming_messages"
            " (message_id, wasender_session_id, from_phone, message_text, received_at)"
            " VALUES ('sql-1', $1, '34600111222', 'inserted by somebody else', now())",
            session,
        )
    finally:
        await connection.close()


def address_of_running(data_dir: Path) -> str:
    """Address of the database of a demo that runs."""
    lines = (data_dir / "demo" / "postgres" / "data" / "postmaster.pid").read_text().splitlines()
    port, socket_dir = lines[3], lines[4]
    return f"postgresql://{ROLE}@/{DATABASE}?host={quote(socket_dir)}&port={port}"
