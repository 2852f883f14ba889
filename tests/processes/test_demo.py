"""`gateway demo`: one command, a login link, a clean end, and everything again at the next start."""

import asyncio
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from tests.launcher.running import Remote, reach
from tests.launcher.terminal import PATIENCE_S, Command, Terminal, until
from tests.processes.postgres_processes import servers_of

SOON_S = 30.0
"""Longest that a person waits for Ctrl-C."""


async def opened(demo: Command) -> re.Match[str]:
    """The login link, and the gateway's address as its first group."""
    return await demo.line(r"(http://127\.0\.0\.1:\d+)/login\?ticket=(\S+)")


def secret_in(data_dir: Path) -> str:
    return (data_dir / "secret").read_text().strip()


async def test_a_fresh_demo_prints_a_login_link_and_is_ready(terminal: Terminal, data_dir: Path) -> None:
    async with terminal.start("demo", "--port", "0", "--data-dir", data_dir, is_forked=False) as demo:
        url = (await opened(demo))[1]
        async with reach(url, secret_in(data_dir)) as remote:
            assert (await remote.call("GET", "/readyz", token=""))[0] == 200
        ended = await demo.end(signal.SIGINT, SOON_S)

    assert ended.code == 0, ended
    assert ended.err == ""
    assert servers_of(data_dir) == []


async def test_looking_at_the_login_link_does_not_use_it_up_and_the_button_does(
    terminal: Terminal, used_data_dir: Path
) -> None:
    async with (
        terminal.start("demo", "--port", "0", "--data-dir", used_data_dir) as demo,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
    ):
        link = await opened(demo)
        for _ in range(2):  # a link preview, then the person
            async with browser.get(link[0]) as page:
                assert page.status == 200
                assert "Set-Cookie" not in page.headers
        async with browser.post(link[0]) as first:
            assert first.status == 200
            cookie = first.headers["Set-Cookie"]
        async with browser.get(f"{link[1]}/api/me") as me:
            assert (await me.json())["data"]["role"] == "admin"
        async with aiohttp.ClientSession() as stranger, stranger.post(link[0]) as second:
            assert second.status == 401
            assert "Set-Cookie" not in second.headers

    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


async def test_the_button_of_the_page_leads_a_browser_to_the_inbox(
    terminal: Terminal, used_data_dir: Path
) -> None:
    async with (
        terminal.start("demo", "--port", "0", "--data-dir", used_data_dir) as demo,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser,
    ):
        link = await opened(demo)
        form = {"data": {"ticket": link[2]}, "headers": {"Accept": "text/html"}}
        async with browser.post(f"{link[1]}/login", **form) as page:  # type: ignore[arg-type]
            assert page.url.path == "/"
            assert page.status == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_signal_ends_the_demo_cleanly_and_no_postgres_remains(
    terminal: Terminal, used_data_dir: Path, number: signal.Signals
) -> None:
    async with terminal.start("demo", "--port", "0", "--data-dir", used_data_dir) as demo:
        await opened(demo)
        assert servers_of(used_data_dir) != []
        ended = await demo.end(number, SOON_S)

    assert ended.code == 0, ended
    assert ended.err == ""
    assert servers_of(used_data_dir) == []


async def test_open_sockets_and_requests_do_not_hold_up_the_end(
    terminal: Terminal, used_data_dir: Path
) -> None:
    async with terminal.start("demo", "--port", "0", "--data-dir", used_data_dir) as demo:
        url = (await opened(demo))[1]
        async with reach(url, secret_in(used_data_dir)) as remote, remote.socket() as socket:
            await socket.subscribe("inbox:*")
            demo.send(signal.SIGTERM)
            await socket.next("drain")
            await socket.raw.wait_closed()
            assert socket.raw.close_code == 1012
            ended = await demo.end(within_s=SOON_S)

    assert ended.code == 0, ended
    assert servers_of(used_data_dir) == []


async def test_ctrl_c_in_the_middle_of_a_linking_is_as_quiet_as_any_other(
    terminal: Terminal, used_data_dir: Path
) -> None:
    async with terminal.start("demo", "--port", "0", "--data-dir", used_data_dir) as demo:
        url = (await opened(demo))[1]
        async with reach(url, secret_in(used_data_dir)) as remote, remote.socket() as socket:
            wish = {"name": "Shop", "phone_number": "+15550001111"}
            number = (await remote.data("POST", "/api/whatsapp-sessions", wish))["id"]
            await socket.subscribe(f"session:{number}")
            await remote.data("POST", f"/api/whatsapp-sessions/{number}/connect")
            await socket.state("session.qr")
            await remote.data("POST", f"/_simulator/sessions/{number}/scan", token="")
            ended = await demo.end(signal.SIGINT, SOON_S)

    assert ended.code == 0, ended
    assert ended.err == ""


def renamed(folder: Path, name: str) -> Path:
    return folder.rename(folder.with_name(name))


async def test_what_is_printed_is_taken_literally(terminal: Terminal, used_data_dir: Path) -> None:
    folder = renamed(used_data_dir, "[red]data :tada:")
    async with terminal.start("demo", "--port", "0", "--data-dir", folder) as demo:
        await opened(demo)
        assert (await demo.end(signal.SIGINT, SOON_S)).code == 0

    assert f"Your data stays in {folder}/demo." in demo.said


def _exists(*parts: str) -> Callable[[Path], bool]:
    return lambda data_dir: data_dir.joinpath("demo", "postgres", *parts).exists()


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(_exists("lock"), id="as-the-folder-is-taken"),
        pytest.param(_exists("data.new"), id="while-the-cluster-is-made"),
        pytest.param(_exists("data", "postmaster.pid"), id="while-postgres-starts"),
    ],
)
async def test_ctrl_c_during_the_first_start_leaves_nothing_running(
    terminal: Terminal, data_dir: Path, moment: Callable[[Path], bool]
) -> None:
    async with terminal.start("demo", "--port", "0", "--data-dir", data_dir) as demo:
        await until(lambda: moment(data_dir), "the moment of the start")
        ended = await demo.end(signal.SIGINT, SOON_S)

    assert ended.code == 0, ended
    assert "login?ticket" not in ended.out
    assert "Traceback" not in ended.err
    assert servers_of(data_dir) == []


async def test_a_start_after_an_interrupted_one_works(terminal: Terminal, data_dir: Path) -> None:
    async with terminal.start("demo", "--port", "0", "--data-dir", data_dir) as demo:
        await until(lambda: _exists("data.new")(data_dir), "the cluster is being made")
        await demo.end(signal.SIGINT, SOON_S)
    async with terminal.start("demo", "--port", "0", "--data-dir", data_dir) as demo:
        await opened(demo)
        assert (await demo.end(signal.SIGINT, SOON_S)).code == 0


async def linked_session(remote: Remote) -> int:
    """A session that a simulated phone is linked to."""
    wish = {"name": "Shop", "phone_number": "+15550001111"}
    number: int = (await remote.data("POST", "/api/whatsapp-sessions", wish))["id"]
    async with remote.socket() as socket:
        await socket.subscribe(f"session:{number}")
        await remote.data("POST", f"/api/whatsapp-sessions/{number}/connect")
        await socket.state("session.qr")
        await remote.data("POST", f"/_simulator/sessions/{number}/scan", token="")
        ended = await socket.state("session.link_ended")
    assert ended["data"]["reason"] == "connected"
    return number


async def written_to(remote: Remote, number: int, text: str) -> None:
    """A customer's message to that session, once the gateway has pushed it."""
    async with remote.socket() as socket:
        await socket.subscribe("inbox:*")
        inbound = {"from": "+4915123456789", "text": text, "push_name": "Ann"}
        await remote.data("POST", f"/_simulator/sessions/{number}/inbound", inbound, token="")
        assert (await socket.event("message.created"))["data"]["message_text"] == text


async def test_a_second_start_finds_session_messages_and_phone_again(
    terminal: Terminal, used_data_dir: Path
) -> None:
    async with terminal.start("demo", "--port", "0", "--data-dir", used_data_dir) as demo:
        async with reach((await opened(demo))[1], secret_in(used_data_dir)) as remote:
            number = await linked_session(remote)
            await written_to(remote, number, "Is it open?")
        await demo.end(signal.SIGINT, SOON_S)

    async with (
        terminal.start("demo", "--port", "0", "--data-dir", used_data_dir) as demo,
        reach((await opened(demo))[1], secret_in(used_data_dir)) as remote,
    ):
        session = await remote.data("GET", f"/api/whatsapp-sessions/{number}?refresh=1")
        assert (session["name"], session["status"]) == ("Shop", "connected")
        found = await remote.data("GET", f"/api/conversations/4915123456789/messages?session={number}")
        assert [row["message_text"] for row in found["messages"]] == ["Is it open?"]
        # The simulator's webhooks follow the gateway to its new port.
        await written_to(remote, number, "And now?")


async def test_the_orphan_of_a_killed_demo_is_taken_over_by_the_next(
    terminal: Terminal, used_data_dir: Path
) -> None:
    async with terminal.start("demo", "--port", "0", "--data-dir", used_data_dir) as demo:
        async with reach((await opened(demo))[1], secret_in(used_data_dir)) as remote:
            number = await linked_session(remote)
        await demo.end(signal.SIGKILL, SOON_S)
    orphan = servers_of(used_data_dir)
    assert orphan != []

    async with terminal.start("demo", "--port", "0", "--data-dir", used_data_dir) as demo:
        async with reach((await opened(demo))[1], secret_in(used_data_dir)) as remote:
            assert not set(orphan) & set(servers_of(used_data_dir))
            session = await remote.data("GET", f"/api/whatsapp-sessions/{number}")
            assert session["status"] == "connected"
            await written_to(remote, number, "Still there?")
        ended = await demo.end(signal.SIGINT, SOON_S)

    assert ended.code == 0, ended
    assert servers_of(used_data_dir) == []


async def test_a_second_demo_on_the_same_folder_is_refused_and_the_first_goes_on(
    terminal: Terminal, used_data_dir: Path
) -> None:
    async with terminal.start("demo", "--port", "0", "--data-dir", used_data_dir) as demo:
        url = (await opened(demo))[1]
        second = await terminal.run("demo", "--port", "0", "--data-dir", used_data_dir)
        async with reach(url, secret_in(used_data_dir)) as remote:
            status, _ = await remote.call("GET", "/readyz", token="")

    assert "Another gateway already runs on" in second.complaint()
    assert status == 200


async def test_the_demo_touches_nothing_of_the_shop_whatever_the_environment_names(
    terminal: Terminal, used_data_dir: Path, database: str
) -> None:
    shop = {
        "DATABASE_URL": "postgresql://shop:secret@127.0.0.1:1/shop",
        "GATEWAY_LISTEN_URL": "postgresql://shop:secret@127.0.0.1:1/shop",
        "GATEWAY_HOST": "0.0.0.0",
        "GATEWAY_PUBLIC_URL": "https://shop.example",
        "WASENDER_TOKEN": "shop-token",
        "WASENDER_BASE_URL": "https://shop.example",
    }
    async with terminal.start("demo", "--port", "0", "--data-dir", used_data_dir, env=shop) as demo:
        async with reach((await opened(demo))[1], secret_in(used_data_dir)) as remote:
            await written_to(remote, await linked_session(remote), "Hello")
        assert (await demo.end(signal.SIGINT, SOON_S)).code == 0


async def test_an_embedded_postgres_that_dies_is_started_again(
    terminal: Terminal, used_data_dir: Path
) -> None:
    async with terminal.start("demo", "--port", "0", "--data-dir", used_data_dir) as demo:
        url = (await opened(demo))[1]
        async with reach(url, secret_in(used_data_dir)) as remote:
            os.kill(postmaster_of(used_data_dir), signal.SIGKILL)
            await demo.line("postgres.died")
            async with asyncio.timeout(PATIENCE_S):
                while (await remote.call("GET", "/api/conversations"))[0] != 200:
                    pass
        ended = await demo.end(signal.SIGINT, SOON_S)

    assert ended.code == 0, ended
    assert servers_of(used_data_dir) == []


def postmaster_of(data_dir: Path) -> int:
    """The server itself, and not one of the processes it has started."""
    return int((data_dir / "demo" / "postgres" / "data" / "postmaster.pid").read_text().split()[0])
