"""Tools of others that a command starts, and ends."""

import asyncio
import contextlib

STOP_S = 5.0


class Missing(Exception):
    """A tool that the command needs is not there; the sentence says what brings it."""


async def end(process: asyncio.subprocess.Process) -> None:
    """Ends the process if it still runs; returns once it is gone."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
