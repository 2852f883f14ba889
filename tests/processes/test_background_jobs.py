"""Signals that a shell or `nohup` lets a job ignore: the gateway leaves them ignored, and the tests do not mind."""

import signal
from collections.abc import Iterator

import aiohttp
import pytest

from tests.launcher.terminal import Terminal

IGNORABLE = [signal.SIGINT, signal.SIGHUP]


async def status_of(url: str) -> int:
    async with aiohttp.ClientSession() as http, http.get(url) as reply:
        return reply.status


@pytest.fixture(params=IGNORABLE, ids=lambda number: number.name)
def ignored_here(request: pytest.FixtureRequest) -> Iterator[signal.Signals]:
    """A signal that this process, the parent of what the tests start, ignores."""
    number: signal.Signals = request.param
    before = signal.signal(number, signal.SIG_IGN)
    yield number
    signal.signal(number, before)


async def test_a_command_that_tests_start_has_the_signals_of_a_terminal(
    terminal: Terminal, ignored_here: signal.Signals
) -> None:
    async with terminal.start("simulator", "--port", "0") as simulator:
        await simulator.line(r"phone: (\S+)")

        assert (await simulator.end(ignored_here)).code == 0


@pytest.mark.parametrize("number", IGNORABLE, ids=lambda number: number.name)
async def test_a_job_that_was_started_to_ignore_a_signal_ignores_it(
    terminal: Terminal, number: signal.Signals
) -> None:
    def as_a_background_job() -> None:
        signal.signal(number, signal.SIG_IGN)

    async with terminal.start("simulator", "--port", "0", before=as_a_background_job) as simulator:
        url = (await simulator.line(r"phone: (\S+)"))[1]
        simulator.send(number)

        assert await status_of(url) == 200
        assert await status_of(url) == 200
        assert (await simulator.end(signal.SIGTERM)).code == 0
