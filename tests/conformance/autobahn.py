"""Autobahn's fuzzing client (`wstest -m fuzzingclient`), which needs a Python 2.7, against the echo servers."""

import asyncio
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests import leftovers
from tests.conformance.echo import OURS, OURS_BY_SEND, UVICORN, echo_servers
from tests.conformance.report import Verdict, describe, read_report, worse
from tests.conformance.tools import Missing, end

HERE = Path(__file__).parent
SUITE = HERE / "site-packages"
INSTALL = "python2.7 -m pip install --target tests/conformance/site-packages autobahntestsuite==0.8.2"

CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"]
"""All but 9 (large messages: frames end at 256 kB) and 12, 13 (compression, which we do not offer)."""

AT_MOST_S = 300.0
"""All runs together; the first takes about 40 s."""

AGAIN = 3
"""A broken frame right behind a message: whether the message is still answered (OK) or not (NON-STRICT) depends on the
packets they come in. Only what is worse every time counts."""

_WSTEST = (
    "import site, sys; site.addsitedir(sys.argv.pop(1)); from autobahntestsuite.wstest import run; run()"
)
"""Not `PYTHONPATH`: Zope's packages are found by their `.pth` files only."""


def find_python2(given: str | None) -> str:
    """The Python 2.7 to run Autobahn with. Raises Missing."""
    found = shutil.which(given or "python2.7")
    if found is None:
        raise Missing(
            f"There is no Python 2.7 at {given}." if given
            else "Autobahn's test suite needs a Python 2.7: put python2.7 on PATH, or name it with --python2 PATH."
        )  # fmt: skip
    if not (SUITE / "autobahntestsuite").is_dir():
        raise Missing(f"Autobahn's test suite is not installed: `{INSTALL}` brings it.")
    return found


async def run_autobahn(python2: str, out: Path) -> tuple[list[str], bool]:
    """The report's lines, and whether our transport is nowhere worse than uvicorn's. Raises Missing, TimeoutError."""
    shutil.rmtree(out, ignore_errors=True)  # of an earlier run
    async with asyncio.timeout(AT_MOST_S), echo_servers() as addresses:
        verdicts = await _fuzz(python2, addresses, CASES, out)
        lines = [describe(name, verdicts.get(name, {})) for name in addresses]
        fallen = _fallen(verdicts)
        for number in range(AGAIN):
            if fallen:
                cases = sorted({case for _, case in fallen})
                verdicts = await _fuzz(python2, addresses, cases, out / f"again-{number + 1}")
                fallen &= _fallen(verdicts)
    lines += [f"worse than {UVICORN}: {name}, case {case}" for name, case in sorted(fallen)]
    return lines, not fallen


def _fallen(verdicts: Mapping[str, Mapping[str, Verdict]]) -> set[tuple[str, str]]:
    """Server and case where one of ours is worse than uvicorn's."""
    theirs = verdicts[UVICORN]
    return {(name, case) for name in (OURS, OURS_BY_SEND) for case in worse(verdicts.get(name, {}), theirs)}


async def _fuzz(
    python2: str, addresses: Mapping[str, str], cases: Sequence[str], out: Path
) -> dict[str, dict[str, Verdict]]:
    with tempfile.TemporaryDirectory(prefix="gateway-conformance-") as folder:
        leftovers.watch(Path(folder), remove=True)
        spec = _write_spec(Path(folder), addresses, cases, out)
        with _log_of(out).open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                python2, "-c", _WSTEST, str(SUITE), "-m", "fuzzingclient", "-s", str(spec),
                cwd=folder, stdout=log, stderr=log,
            )  # fmt: skip
            try:
                await process.wait()
            finally:
                await end(process)
    return _verdicts(process.returncode, out)


def _log_of(out: Path) -> Path:
    return out / "wstest.log"


def _write_spec(folder: Path, addresses: Mapping[str, str], cases: Sequence[str], out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    spec = {
        "outdir": str(out.resolve()),
        "servers": [{"agent": name, "url": url} for name, url in addresses.items()],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    file = folder / "spec.json"
    file.write_text(json.dumps(spec))
    return file


def _verdicts(exit_code: int | None, out: Path) -> dict[str, dict[str, Verdict]]:
    index = out / "index.json"
    verdicts = {} if exit_code or not index.is_file() else read_report(json.loads(index.read_text()))
    if not verdicts.get(UVICORN):
        raise Missing(f"Autobahn's test suite does not run here: {_log_of(out)} says why.")
    return verdicts
