"""Debian's `slowhttptest` against a gateway on loopback, while well-behaved clients ping, post webhooks and read."""

import asyncio
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from tests.attacks.bystanders import Suffered, bystanders
from tests.attacks.victim import Victim, database, victim
from tests.conformance.tools import Missing, end

SECONDS = 40
AT_MOST_S = 60.0
CONNECTIONS = 1000
CALM_S = 30.0
WATCH_S = 0.2

HEAD = (
    "| slow | tried | open at most | at the end | available | ping p99 | slowest webhook | read p99 | memory | left | "
    "stale | faults |",
    "|" + "---|" * 12,
)
"""What the tool did, then what the well-behaved clients had of it."""

MAX_PING_MS = 250.0
MAX_WEBHOOK_S = 2.0
MAX_GROWTH_MIB = 64.0


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to be slow."""

    name: str
    path: str
    options: Sequence[str]


SLOW_BODY = ("-B", "-i", "5", "-x", "10", "-s", "8192", "-t", "POST")
"""Of a body of 8 kB, a piece of up to 10 bytes every 5 s."""

MODES = (
    # A header of up to 24 bytes every 2 s.
    Mode("headers", "/", ("-H", "-i", "2", "-x", "24")),
    Mode("body, login", "/login", SLOW_BODY),
    # Refused by its head: it shows no secret.
    Mode("body, webhook", "/api/whatsapp/webhook", SLOW_BODY),
    # Three large answers asked for on each connection; 32 bytes of them read every 5 s, through a small window.
    Mode("reading", "/openapi.json", ("-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32", "-k", "3")),
)


@dataclass(slots=True)
class Held:
    """Connections that the gateway holds itself: the tool counts those as open whose end it has not read."""

    most: int = 0
    now: int = 0


def find_slowhttptest() -> str:
    """The tool's path. Raises Missing."""
    found = shutil.which("slowhttptest")
    if found is None:
        raise Missing("slowhttptest is not installed: `apt-get install slowhttptest` brings it.")
    return found


async def run_slow(tool: str) -> tuple[list[str], bool]:
    """The report's lines, and whether the well-behaved clients noticed nothing. Raises Missing, TimeoutError."""
    lines, is_well = list(HEAD), True
    for mode in MODES:
        async with database() as dsn, victim(dsn) as target:
            async with bystanders(target, calm_s=CALM_S) as suffered:
                said, held = await _attack(tool, mode, target)
            is_available = was_available(said)
            lines.append(
                f"| {mode.name} | {CONNECTIONS} | {held.most} | {held.now} | {'yes' if is_available else 'no'} | "
                f"{suffered.row()} |"
            )
            lines += [f"    {fault}" for fault in sorted(set(suffered.faults))[:3]]
            is_well = is_well and is_available and _is_well(suffered)
    return lines, is_well


async def _attack(tool: str, mode: Mode, target: Victim) -> tuple[str, Held]:
    process = await asyncio.create_subprocess_exec(
        tool, *mode.options, "-c", str(CONNECTIONS), "-r", "250", "-l", str(SECONDS), "-p", "3",
        "-u", target.url + mode.path, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    held = Held()
    watch = asyncio.create_task(_watch(target, held))
    try:
        async with asyncio.timeout(AT_MOST_S):
            output, _ = await process.communicate()
    finally:
        watch.cancel()
        await end(process)
    if process.returncode:
        raise Missing(f"slowhttptest does not run here: {output.decode(errors='replace')[-300:]!r}.")
    return output.decode(errors="replace"), held


async def _watch(target: Victim, held: Held) -> None:
    process = psutil.Process(target.pid)
    while True:
        found = await asyncio.to_thread(process.net_connections, "tcp")
        held.now = sum(
            each.laddr.port == target.port and each.status == psutil.CONN_ESTABLISHED for each in found
        )
        held.most = max(held.most, held.now)
        await asyncio.sleep(WATCH_S)


def was_available(said: str) -> bool:
    """Whether the tool's own probe was answered in time, each of the times that it tells of it."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", said)
    told = re.findall(r"^service available:\s+(\w+)", plain, re.MULTILINE)
    return bool(told) and set(told) == {"YES"}


def _is_well(suffered: Suffered) -> bool:
    return (
        suffered.ping_p99_ms() <= MAX_PING_MS
        and max(suffered.webhooks, default=float("inf")) < MAX_WEBHOOK_S
        and suffered.grown_mib <= MAX_GROWTH_MIB
        and not suffered.stale
        and not suffered.faults
    )
