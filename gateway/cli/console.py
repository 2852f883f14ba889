"""What the commands share: how they print, how they run, and the options most of them have."""

import logging
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from gateway.settings import Settings

# What is printed holds paths and addresses: neither "[::1]" nor ":tada:" is meant as markup.
out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where data is kept. [GATEWAY_DATA_DIR]")]
Embedded = Annotated[
    bool | None, typer.Option("--embedded", help="A private Postgres, no server needed. [GATEWAY_EMBEDDED]")
]


def read_settings(**flags: Any) -> "Settings":
    """The settings in force; flags that are None were not given. Raises ConfigError with one sentence."""
    from gateway import settings

    return settings.read_settings(**flags)


class OneLine(logging.Formatter):
    """Whatever a stranger calls itself, one event is one line; a traceback below it stays as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line of a record, with its message in one line."""
        from gateway.domain.lines import one_line

        record.message = one_line(record.message)
        return super().formatMessage(record)


def start_logging(level: str) -> None:
    """From now on the log goes to stderr, from that level on."""
    logging.basicConfig(stream=sys.stderr, level=level.upper(), format=_FORMAT)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(OneLine(_FORMAT))
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    # While Postgres is away, asyncpg prints a traceback for each try to keep its pool filled. We say so ourselves.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)


def run(work: Coroutine[Any, Any, None]) -> None:
    """Does the work to its end, or until a signal, which cancels it and becomes the exit code."""
    import asyncio
    import signal

    import uvloop

    from gateway.runtime.signals import shutdown_signals

    async def until_told_to_end() -> None:
        main = asyncio.current_task()
        assert main is not None
        # So that what a command has opened, an embedded Postgres above all, is closed again.
        for number in shutdown_signals():
            if number is not signal.SIGINT:  # asyncio makes a KeyboardInterrupt of it
                asyncio.get_running_loop().add_signal_handler(number, main.cancel)
        await work

    try:
        uvloop.run(until_told_to_end())
    except asyncio.CancelledError:
        sys.exit(143)
