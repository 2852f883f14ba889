"""What the commands share: how they print, how they run, and the options most of them have."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console

from gateway import serving

# What is printed holds paths and addresses: neither "[::1]" nor ":tada:" is meant as markup.
out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where data is kept. [GATEWAY_DATA_DIR]")]
Embedded = Annotated[
    bool | None, typer.Option("--embedded", help="A private Postgres, no server needed. [GATEWAY_EMBEDDED]")
]


def run(work: Coroutine[Any, Any, None]) -> None:
    async def until_told_to_end() -> None:
        main = asyncio.current_task()
        assert main is not None
        # So that what a command has opened, an embedded Postgres above all, is closed again.
        for number in serving.ending_signals():
            if number is not signal.SIGINT:  # asyncio makes a KeyboardInterrupt of it
                asyncio.get_running_loop().add_signal_handler(number, main.cancel)
        await work

    try:
        uvloop.run(until_told_to_end())
    except asyncio.CancelledError:
        sys.exit(143)
