"""What the gateway costs, beside its peers, on this machine: `python -m tests.benchmarks`.

Server on one core, everything else on the other; server CPU time per unit of work; medians; ratios within the same
run. It installs nothing: `pip install '.[bench]'`, `npm ci` in tests/benchmarks and Debian's libnginx-mod-nchan bring
the peers, and what is missing is named. The linking benchmark is `python -m tests.benchmarks.linking`.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import (
    connecting,
    fanout,
    files,
    growth,
    latency,
    lone,
    machine,
    memory,
    mute,
    rows,
    sends,
    sessions,
    several,
    starting,
    stored,
    table,
    webhooks,
)
from tests.benchmarks.figures import QUICK, Run, Size
from tests.benchmarks.gateways import ground
from tests.launcher.terminal import CHECKOUT

PARTS: dict[str, Callable[[Run], None]] = {
    "fanout": fanout.run_part,
    "growth": growth.run_part,
    "webhooks": webhooks.run_part,
    "rows": rows.run_part,
    "lone": lone.run_part,
    "connecting": connecting.run_part,
    "sessions": sessions.run_part,
    "latency": latency.run_part,
    "idle": memory.run_part,
    "mute": mute.run_part,
    "stored": stored.run_part,
    "files": files.run_part,
    "sends": sends.run_part,
    "start": starting.run_part,
    "several": several.run_part,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny numbers: only whether everything works")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--out", type=Path, default=CHECKOUT / "test-results" / "benchmarks")
    parser.add_argument(
        "--docs", action="store_true", help="put the table and the picture into docs/benchmarks.md, too"
    )
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := sorted(set(names) - set(PARTS)):
        parser.error(f"there is no part {unknown[0]}: {', '.join(PARTS)}")
    machine.raise_file_limit()
    # Postgres and every other child inherit it; servers move themselves to theirs.
    os.sched_setaffinity(0, {machine.cores()[1]})
    options.out.mkdir(parents=True, exist_ok=True)
    failed = _run(names, QUICK if options.quick else Size(), options.out, for_docs=options.docs)
    return 1 if failed else 0


def _run(names: list[str], size: Size, out: Path, *, for_docs: bool) -> list[str]:
    failed = []
    _say(machine.described())
    with ground(is_durable=size is not QUICK) as made:
        run = Run(made, size, _say)
        for name in names:
            began = time.monotonic()
            _say(name)
            try:
                PARTS[name](run)
            except Exception as error:
                # One part that breaks must not cost the others.
                failed.append(name)
                _say(f"  {name} failed: {type(error).__name__}: {error}")
            _say(f"  ({time.monotonic() - began:.0f} s)")
    _say(table.as_text(run.rows))
    table.write_json(run, out / "benchmarks.json")
    if table.write_picture(run.rows, out / "benchmarks.png"):
        _say(f"{out}/benchmarks.json and benchmarks.png")
    else:
        _say(f"{out}/benchmarks.json; no picture (pip install '.[bench]' brings matplotlib)")
    if for_docs:
        table.write_docs(run.rows, CHECKOUT / "docs" / "benchmarks.md", CHECKOUT / "docs" / "benchmarks.png")
    for name, what in run.missing.items():
        _say(f"missing: {name} ({what})")
    return failed


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
