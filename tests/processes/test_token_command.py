"""`gateway token`: the claims that were asked for, and what they open."""

import asyncio
import time
from pathlib import Path

import jwt
import pytest

from tests.launcher.running import reach
from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal


async def token(terminal: Terminal, *arguments: str) -> str:
    ended = await terminal.run("token", *arguments, env={"GATEWAY_SECRET": SECRET})
    assert ended.code == 0, ended
    assert ended.err == ""
    return ended.out


async def test_a_tokens_claims_are_what_was_asked_for(terminal: Terminal) -> None:
    text = await token(
        terminal, "--role", "viewer", "--name", "Änne", "--session", "7", "--session", "3", "--expires", "30m"
    )

    claims = jwt.decode(text, SECRET, algorithms=["HS256"])
    assert (claims["sub"], claims["name"], claims["role"]) == ("Änne", "Änne", "viewer")
    assert claims["sessions"] == [3, 7]
    assert abs(claims["exp"] - time.time() - 1800) < 60


async def test_a_token_is_an_agents_for_all_sessions_and_half_a_day_unless_told_otherwise(
    terminal: Terminal,
) -> None:
    claims = jwt.decode(await token(terminal), SECRET, algorithms=["HS256"])

    assert (claims["role"], claims["sessions"]) == ("agent", "*")
    assert abs(claims["exp"] - time.time() - 12 * 3600) < 60


@pytest.mark.parametrize("expires", ["", "12", "0h", "1.5h", "²h", "9" * 400 + "d"])
async def test_a_time_that_is_none_is_refused(terminal: Terminal, expires: str) -> None:
    ended = await terminal.run("token", "--expires", expires, env={"GATEWAY_SECRET": SECRET})

    assert "is not a time like 30m, 12h or 7d" in ended.complaint()


async def test_a_role_that_is_none_is_refused(terminal: Terminal) -> None:
    for role in ("root", "", "viewer,admin"):
        ended = await terminal.run("token", "--role", role, env={"GATEWAY_SECRET": SECRET})
        assert "is not one of viewer, agent, admin" in ended.complaint()


async def test_inbox_0_cannot_be_named_in_a_token(terminal: Terminal) -> None:
    ended = await terminal.run("token", "--session", "0", env={"GATEWAY_SECRET": SECRET})

    assert ended.code == 2
    assert "Usage:" in ended.err


async def test_a_token_of_the_data_folder_opens_the_gateway_on_it_and_keeps_to_its_sessions(
    terminal: Terminal, used_data_dir: Path
) -> None:
    folder = used_data_dir
    limited = (await terminal.run("token", "--role", "viewer", "--session", "1", "--data-dir", folder)).out
    full = (await terminal.run("token", "--role", "admin", "--data-dir", folder)).out
    async with (
        terminal.start("demo", "--port", "0", "--data-dir", used_data_dir) as demo,
        reach((await demo.line(r"(http\S+)/login"))[1]) as remote,
    ):
        numbers = []
        for name in ("One", "Two"):
            wish = {"name": name, "phone_number": "+1555000222" + str(len(name))}
            numbers.append((await remote.data("POST", "/api/whatsapp-sessions", wish, token=full))["id"])
        assert numbers == [1, 2]
        seen = await remote.data("GET", "/api/whatsapp-sessions", token=limited)
        assert [row["id"] for row in seen] == [1]
        assert (await remote.call("GET", "/api/whatsapp-sessions/2", token=limited))[0] == 403
        assert (await remote.call("POST", "/api/whatsapp-sessions", wish, token=limited))[0] == 403
        async with remote.socket(limited) as client:
            await client.send(type="subscribe", ref="1", topic="inbox:2")
            assert (await client.next("error"))["code"] == "forbidden"


async def test_the_secret_is_made_once_and_only_its_owner_can_read_it(terminal: Terminal) -> None:
    folder = terminal.folder / "new" / "data"
    tokens = await asyncio.gather(*(terminal.run("token", "--data-dir", folder) for _ in range(4)))

    secret = (folder / "secret").read_text().strip()
    for ended in tokens:
        jwt.decode(ended.out, secret, algorithms=["HS256"])
    assert len(secret) >= 32
    assert (folder / "secret").stat().st_mode & 0o777 == 0o600
