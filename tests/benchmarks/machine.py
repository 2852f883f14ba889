"""What the machine gives: one core for the server, the other for the load, CPU time, memory, and open files (Linux)."""

import functools
import os
import resource
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

WANTED_FILES = 20_000


@functools.cache
def cores() -> tuple[int, int]:
    """The server's core and everybody else's; the same one if there is only one."""
    # Asked once: who has moved to one of them sees only that one from then on.
    usable = sorted(os.sched_getaffinity(0))
    return usable[-1], usable[0]


def raise_file_limit() -> int:
    """As many open files as we may have, up to what we want; children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < WANTED_FILES:
        # Root may go beyond the hard limit.
        for limit in (WANTED_FILES, hard):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit, max(limit, hard)))
                break
            except (ValueError, OSError):
                continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def cpu_s(pid: int) -> float:
    """Seconds of CPU (user and system) that a process and its children have used, to the nanosecond."""
    # Linux: a process' CPU clock is addressed by its number. /proc/<pid>/stat counts in steps of 10 ms.
    return sum(time.clock_gettime((~each << 3) | 2) for each in _tree(pid))


def resident_bytes(pid: int) -> int:
    """Memory of a process and its children that is in use."""
    return sum(int(psutil.Process(each).memory_info().rss) for each in _tree(pid))


def kernel_bytes(port: int) -> int:
    """Bytes written to this port's connections that their peers have not taken yet."""
    found = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, local, _, _, queues, *_ = line.split()
        if int(local.partition(":")[2], 16) == port:
            found += int(queues.partition(":")[0], 16)
    return found


def _tree(pid: int) -> list[int]:
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found += _tree(int(child))
    return found


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def described() -> str:
    """The machine in a line."""
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = psutil.virtual_memory().total / 2**30
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GB, Linux {os.uname().release.partition('-')[0]}"
