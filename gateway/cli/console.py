"""What the commands share: how they print, how they run, and the options most of them have."""

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

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where data is kept. [GATEWAY_DATA_DIR]")]
Embedded = Annotated[
    bool | None, typer.Option("--embedded", help="A private Postgres, no server needed. [GATEWAY_EMBEDDED]")
]


def read_settings(**flags: Any) -> "Settings":
    """The settings in force; flags that are None were not given. Raises ConfigError with one sentence."""
    from gateway import settings

    return settings.read_settings(**flags)


def find_settings(**flags: Any) -> "Settings":
    """As `read_settings`, for a command beside a gateway: with the database and the data folder of that one."""
    settings = read_settings(**flags)
    from gateway.runtime.database import locate

    return locate(settings)


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
