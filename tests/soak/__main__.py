"""A gateway with everything on, for some minutes: `python -m tests.soak --minutes 30`.

Customers write and send files, colleagues answer, browsers stay, come and go, pages are read, a receiver of webhooks
out takes everything. Before and after, the gateway is looked at while it rests: what grew is said, and what may not
grow (tasks, threads, descriptors, connections; memory by more than --memory-mib) makes the exit code 1. Gateway,
simulator and Postgres have processes of their own. It ends by itself.
"""

import argparse
import asyncio
import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from tests.faults.server import Server, own_server
from tests.http.receivers import receiving
from tests.launcher.child import Child, client_of, serving_child
from tests.launcher.terminal import Terminal
from tests.soak.load import Load
from tests.soak.measure import Moment, look, rows

WARM_UP_S = 20.0
"""What is made once, and caches that fill, are no growth."""

REST_S = 20.0
"""After the load: sends end, files are fetched, connections that nobody uses are closed."""

SLACK = {"tasks": 5, "threads": 4, "descriptors": 15, "sockets": 5, "backends": 6}
"""What may differ at rest: a pool of connections that has grown, a timer that has just begun."""


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextlib.asynccontextmanager
async def stage(server: Server, folder: Path) -> AsyncIterator[tuple[Child, Load, asyncpg.Connection]]:
    """A gateway with a number that is linked, and everybody around it."""
    async with contextlib.AsyncExitStack() as stack:
        (folder / "simulator").mkdir()
        simulator = await stack.enter_async_context(
            Terminal(folder / "simulator").start("simulator", "--port", "0")
        )
        base = (await simulator.line(r"WASENDER_BASE_URL=(\S+)/api"))[1]
        token = (await simulator.line(r"WASENDER_TOKEN=(\S+)"))[1]
        dsn = server.dsn_of(await stack.enter_async_context(server.database()))
        port = free_port()
        child = Child(
            dsn, folder / "gateway", tasks_file=folder / "tasks", port=port, public_url=f"http://127.0.0.1:{port}",
            wasender_base_url=base + "/api", wasender_token=token, target_networks="127.0.0.0/8",
        )  # fmt: skip
        await stack.enter_async_context(serving_child(child))
        gateway = await stack.enter_async_context(client_of(child))
        receiver = await stack.enter_async_context(receiving())
        db = await asyncpg.connect(dsn)
        stack.push_async_callback(db.close)
        load = Load(gateway, base, receiver)
        await load.link()
        yield child, load, db


async def run(server: Server, folder: Path, minutes: float, memory_mib: float) -> list[str]:
    """What grew that may not grow."""
    async with stage(server, folder) as (child, load, db):

        async def at_rest() -> Moment:
            await asyncio.sleep(REST_S)
            load.receiver.got.clear()
            return await look(child.pid, folder / "tasks", db)

        say(f"warming up for {WARM_UP_S:.0f} s")
        async with load.going_on():
            await asyncio.sleep(WARM_UP_S)
        before, rows_before = await at_rest(), await rows(db)
        say(f"at rest before: {before.line()}")
        load.done.clear()
        async with load.going_on():
            await _watch(child, folder, load, db, minutes * 60)
        done = dict(load.done)
        after, rows_after = await at_rest(), await rows(db)
        say(f"at rest after: {after.line()}")
        say(f"done: {', '.join(f'{count:,} {name}' for name, count in sorted(done.items()))}")
        for fault, count in load.faults.most_common(10):
            say(f"  {count} × {fault}")
        _tell_rows(rows_before, rows_after)
    grown = [
        f"{name} grew from {getattr(before, name)} to {getattr(after, name)}"
        for name, slack in SLACK.items()
        if getattr(after, name) > getattr(before, name) + slack
    ]
    if after.memory_mib > before.memory_mib + memory_mib:
        grown.append(f"memory grew from {before.memory_mib:.0f} to {after.memory_mib:.0f} MiB")
    return grown + [f"{sum(load.faults.values())} steps failed" for _ in [0] if load.faults]


async def _watch(child: Child, folder: Path, load: Load, db: asyncpg.Connection, seconds: float) -> None:
    """A line every so often, at most thirty in all."""
    ends = time.monotonic() + seconds
    every_s = max(10.0, seconds / 30)
    while (left := ends - time.monotonic()) > 0:
        await asyncio.sleep(min(every_s, left))
        load.receiver.got.clear()
        moment = await look(child.pid, folder / "tasks", db)
        say(f"  {max(0.0, ends - time.monotonic()) / 60:4.1f} min left: {moment.line()}")


def _tell_rows(before: dict[str, int], after: dict[str, int]) -> None:
    grown = {
        name: (before.get(name, 0), count) for name, count in after.items() if count != before.get(name, 0)
    }
    say("rows of tables that changed:")
    for name, (was, now) in sorted(grown.items(), key=lambda item: item[1][0] - item[1][1]):
        say(f"  {name}: {was:,} → {now:,}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--memory-mib", type=float, default=48.0, help="so much more memory is no leak yet")
    options = parser.parse_args()
    with own_server() as server, tempfile.TemporaryDirectory(prefix="gateway-soak-") as folder:
        grown = asyncio.run(run(server, Path(folder), options.minutes, options.memory_mib))
    for line in grown or ["nothing grew that may not"]:
        say(line)
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
