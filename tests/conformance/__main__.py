"""Whether our transport speaks WebSocket, and outlasts slow clients, by tools of others: `python -m tests.conformance`.

`autobahn`: the fuzzing client of Autobahn's test suite against an echo server on our protocol classes, and on
uvicorn's own in the same run. `slow`: Debian's `slowhttptest` against a gateway, beside well-behaved clients. It
installs nothing; what is missing is named.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from tests.conformance.autobahn import find_python2, run_autobahn
from tests.conformance.slow import find_slowhttptest, run_slow
from tests.conformance.tools import Missing

OUT = Path(__file__).parents[2] / "test-results" / "conformance"
PARTS = ("autobahn", "slow")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance", description=__doc__)
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument(
        "--python2", metavar="PATH", help="the Python 2.7 for Autobahn; else python2.7 on PATH"
    )
    parser.add_argument("--out", type=Path, default=OUT, help="where the tools' own reports go")
    options = parser.parse_args()
    names = options.only.split(",")
    if unknown := sorted(set(names) - set(PARTS)):
        parser.error(f"there is no part {unknown[0]}: {', '.join(PARTS)}")
    results = [_run(name, options.python2, options.out) for name in names]
    return 0 if all(results) else 1


def _run(name: str, python2: str | None, out: Path) -> bool:
    """One part, whose lines are printed; whether all was well."""
    try:
        if name == "autobahn":
            lines, is_well = asyncio.run(run_autobahn(find_python2(python2), out / "autobahn"))
        else:
            lines, is_well = asyncio.run(run_slow(find_slowhttptest()))
    except Missing as missing:
        lines, is_well = [f"Error: {missing}"], False
    except TimeoutError:
        lines, is_well = [f"Error: {name} took too long and was ended."], False
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
    return is_well


if __name__ == "__main__":
    sys.exit(main())
