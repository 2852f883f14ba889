"""How soon a second start answers, everything embedded."""

import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request

from tests.benchmarks.figures import Run
from tests.benchmarks.machine import median
from tests.benchmarks.served import Served
from tests.launcher.settings import NOWHERE, environment_of

PART = "start"


def _start_s(folder: str) -> float:
    env = environment_of({**NOWHERE, "data_dir": folder})
    began = time.monotonic()
    with Served([sys.executable, "-m", "gateway", "serve", "--embedded", "--port", "0"], env) as process:
        port = int(process.wait_for(r"runs at \S+:(\d+)")[1])
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
                    assert answer.status == 200
                    return time.monotonic() - began
            except urllib.error.HTTPError:
                if time.monotonic() - began > 30:
                    raise
                time.sleep(0.01)


def run_part(run: Run) -> None:
    folder = tempfile.mkdtemp(prefix="gateway-bench-")
    try:
        run.add(PART, "first start with an empty folder", _start_s(folder), "s")
        again = median(_start_s(folder) for _ in range(min(3, run.size.rounds)))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    run.add(PART, "second start", again, "s", "≤ 3 s", is_met=again <= 3)
