"""The program of `child.Child`: `serve` with settings from the environment, and with what no setting says.

What a child is tuned by stands in one variable as JSON: timings, constants of modules, the way in which frames
leave, the size of its sockets' send buffers. It says where it runs, or why it cannot, as the command `serve` does.
"""

import asyncio
import importlib
import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import uvloop

from gateway.cli.log import start_logging
from gateway.domain.errors import GatewayError
from gateway.runtime import http_server, server
from gateway.runtime.context import Timings
from gateway.runtime.gateway import Gateway
from gateway.services.background import Background
from gateway.settings import Settings, read_settings
from tests.launcher.running import open_port

TUNING = "TUNING_OF_A_CHILD"
READY_FRAMES, PLAIN_ASGI = "ready frames", "plain ASGI"


def set_constants(constants: Mapping[str, Any]) -> None:
    """Sets what each path names: a module's constant, or something within what a module has."""
    for path, value in constants.items():
        names = path.split(".")
        place: Any = None
        for number, name in enumerate(names[:-1], start=1):
            place = getattr(place, name, None) or importlib.import_module(".".join(names[:number]))
        assert hasattr(place, names[-1]), f"there is no {path} any more"
        setattr(place, names[-1], value)


async def _announce(gateway: Gateway) -> None:
    print(f"The gateway runs at {gateway.url}", flush=True)  # noqa: T201  what it is waited for


async def _count_tasks(path: Path) -> None:
    while True:
        _write(path, len(asyncio.all_tasks()))
        await asyncio.sleep(1.0)


def _write(path: Path, count: int) -> None:
    path.write_text(str(count))


async def _run(settings: Settings, sock: socket.socket, timings: Timings, tasks_file: str | None) -> None:
    counting = Background()
    if tasks_file is not None:
        counting.start(_count_tasks(Path(tasks_file)), "count-tasks")
    try:
        await server.run(settings, _announce, sock, timings)
    finally:
        await counting.close()


def _main() -> None:
    tuning = json.loads(os.environ.pop(TUNING))
    start_logging("info")
    if tuning["way"] == PLAIN_ASGI:
        setattr(http_server, "GatewayWebSocketProtocol", "websockets-sansio")  # noqa: B010  not a name it exports
    set_constants(tuning["constants"])
    try:
        settings = read_settings()
        sock, timings = open_port(settings, tuning["send_buffer"]), Timings(**tuning["timings"])
        uvloop.run(_run(settings, sock, timings, tuning["tasks_file"]))
    except GatewayError as error:
        print(f"Error: {error.message}", file=sys.stderr, flush=True)  # noqa: T201
        sys.exit(2)


if __name__ == "__main__":
    _main()
