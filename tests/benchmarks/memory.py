"""Idle connections: memory of the gateway's process for each, and its share of a core."""

import time

from tests.benchmarks.crowd import Crowd
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import crowd_of
from tests.benchmarks.peers.listed import PEERS
from tests.benchmarks.served import Served

PART = "idle"


def _grown(process: Served, crowd: Crowd, size: int) -> float:
    """kB for each connection."""
    crowd.grow_to(min(20, size // 2))  # what is made once is not counted
    time.sleep(0.5)
    before, had = process.resident_bytes(), len(crowd)
    crowd.grow_to(size)
    time.sleep(0.5)
    return (process.resident_bytes() - before) / (size - had) / 1000


def run_part(run: Run) -> None:
    size = run.size
    recipe = PEERS[0]
    with recipe.started() as (process, port, _):
        crowd = Crowd(port, recipe.manners)
        try:
            run.add(PART, recipe.name, _grown(process, crowd, size.idle_connections), "kB/connection")
        finally:
            crowd.close()
    with run.ground.database() as dsn, run.ground.gateway(dsn) as (process, port):
        crowd = crowd_of(port, 0)
        try:
            kilobytes = _grown(process, crowd, size.idle_connections)
            before, began = process.cpu_s(), time.monotonic()
            ends = began + size.idle_s
            crowd.watch(lambda: time.monotonic() > ends)
            share = 100 * (process.cpu_s() - before) / (time.monotonic() - began)
        finally:
            crowd.close()
    name = f"gateway, {size.idle_connections:,} connections"
    run.add(PART, name, kilobytes, "kB/connection", "≤ 24 kB", is_met=kilobytes <= 24)
    run.add(PART, f"{name}, CPU", share, "% of a core", "≤ 5 %", is_met=share <= 5)
