"""The benchmarks run. What they measure is not looked at: a busy machine has no figures worth a test."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks import table
from tests.benchmarks.figures import Row
from tests.launcher.terminal import CHECKOUT


def test_a_quick_run_leaves_a_table_and_a_file(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.benchmarks",
            "--quick",
            "--only",
            "growth,webhooks",
            "--out",
            str(tmp_path),
        ],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "benchmarks.json").read_text())["rows"]
    assert {row["part"] for row in rows} == {"growth", "webhooks"}
    for row in rows:
        assert row["name"] in done.stdout
        assert row["value"] > 0


def test_an_unknown_part_is_refused_with_the_names_of_the_others() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "--only", "fan-out"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 2
    assert "there is no part fan-out: fanout, growth" in done.stderr


def test_the_table_takes_its_place_on_its_page(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"Before.\n{table.BEGIN}\nold\n{table.END}\nAfter.\n")
    rows = [
        Row("fan-out", "gateway", 8.25, "µs", "≤ 10", True),
        Row("idle", "somebody else", 30, "kB"),
        Row("idle", "gateway", 25, "kB", "≤ 24 kB", False),
        Row("webhooks", "gateway", 1994.8, "requests/s", "≥ 4", True),
    ]
    table.write_docs(rows, page, tmp_path / "picture.png")

    text = page.read_text()
    assert text.startswith("Before.\n<!-- benchmarks -->\n2")
    assert text.endswith("|\n<!-- /benchmarks -->\nAfter.\n")
    assert "| fan-out: gateway | 8.25 µs | ≤ 10 | yes |" in text
    assert "| idle: gateway | 25 kB | ≤ 24 kB | **no** |" in text
    assert "| webhooks: gateway | 1,995 requests/s | ≥ 4 | yes |" in text
    assert "old" not in text
    assert "somebody else" not in text


def test_server_and_load_have_a_core_each_where_there_are_two() -> None:
    script = (
        "import os; from tests.benchmarks import machine; from tests.benchmarks.served import Served\n"
        "os.sched_setaffinity(0, {machine.cores()[1]})\n"
        "with Served(['sleep', '60']) as server: theirs = os.sched_getaffinity(server.pid)\n"
        "print(len(theirs), theirs & os.sched_getaffinity(0))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == ("1 set()\n" if len(os.sched_getaffinity(0)) > 1 else "1 {0}\n")
