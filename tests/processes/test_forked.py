"""A command that is forked from a process which has loaded the gateway is the one that Python would have started."""

import os
import signal

import pytest

from tests.launcher.settings import SECRET
from tests.launcher.terminal import Terminal, until

NOWHERE = {"DATABASE_URL": "postgresql://gateway:pass@127.0.0.1:1/shop", "GATEWAY_SECRET": SECRET}


@pytest.mark.parametrize(
    ("arguments", "env", "stdin"),
    [
        (["--help"], {}, ""),
        (["serve", "--help"], {"COLUMNS": "60"}, ""),
        (["--version"], {}, ""),
        (["nonsense"], {}, ""),
        (["serve", "--port", "a lot"], {}, ""),
        (["serve"], {"GATEWAY_TIMEZONE": "Mars/Olympus"}, ""),
        (["token", "--expires", "[/nonsense]…"], NOWHERE, ""),
        (["migrate"], NOWHERE, ""),
        (["integrations", "set", "wasender"], NOWHERE, "  \n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
async def test_it_says_and_returns_the_same(
    terminal: Terminal, arguments: list[str], env: dict[str, str], stdin: str
) -> None:
    (terminal.folder / ".env").write_text("GATEWAY_LOG_LEVEL=debug\n")

    forked = await terminal.run(*arguments, env=env, stdin=stdin)
    started = await terminal.run(*arguments, env=env, stdin=stdin, is_forked=False)

    assert forked == started
    assert forked.out + forked.err != ""


def files_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
async def test_it_ends_by_a_signal_as_the_other_does(terminal: Terminal, number: signal.Signals) -> None:
    codes = []
    for is_forked in (True, False):
        async with terminal.start("simulator", "--port", "0", is_forked=is_forked) as simulator:
            await simulator.line("phone:")
            codes.append((await simulator.end(number)).code)

    assert codes[0] == codes[1] == (-9 if number == signal.SIGKILL else 0)


async def test_it_has_no_file_open_that_the_other_has_not(terminal: Terminal) -> None:
    async with (
        terminal.start("simulator", "--port", "0"),  # the next ones must not inherit anything of this one
        terminal.start("simulator", "--port", "0", is_forked=True) as forked,
        terminal.start("simulator", "--port", "0", is_forked=False) as other,
    ):
        await forked.line("phone:")
        await other.line("phone:")
        # Each has files open for a moment while it starts.
        await until(lambda: files_of(forked.pid) == files_of(other.pid), "both have as many files open")
