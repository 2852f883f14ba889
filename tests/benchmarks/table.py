"""The figures as a table, a JSON file and a picture."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks import machine
from tests.benchmarks.figures import Row, Run

BEGIN, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"
"""Between them the page has the table."""


def as_text(rows: Sequence[Row]) -> str:
    lines = []
    part = ""
    for row in rows:
        if row.part != part:
            part = row.part
            lines.append(f"\n{part}")
        mark = {None: " ", True: "✓", False: "✗"}[row.is_met]
        aim = f"   {row.target}" if row.target else ""
        note = f"   ({row.note})" if row.note else ""
        lines.append(f"  {mark} {row.name:<68} {row.value:>10.4g} {row.unit}{aim}{note}")
    return "\n".join(lines) + "\n"


def as_markdown(rows: Sequence[Row]) -> str:
    """For the documentation, with date and machine: what has a target, and who fans out for how much."""
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {machine.described()}, shared by server, Postgres and load:",
        "",
        "| figure | value | must reach | |",
        "|---|---|---|---|",
    ]
    for row in rows:
        if row.is_met is None and row.part != "fan-out":
            continue
        mark = {None: "", True: "yes", False: "**no**"}[row.is_met]
        note = f" ({row.note})" if row.note else ""
        lines.append(
            f"| {row.part}: {row.name}{note} | {_rounded(row.value)} {row.unit} | {row.target} | {mark} |"
        )
    return "\n".join(lines)


def write_docs(rows: Sequence[Row], page: Path, picture: Path) -> None:
    """Puts table and picture where the documentation shows them."""
    text = page.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{BEGIN}\n{as_markdown(rows)}\n{END}{after}", "utf-8")
    write_picture(rows, picture)


def write_json(run: Run, path: Path) -> None:
    content: dict[str, Any] = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine.described(),
        "rows": [
            {
                name: getattr(row, name)
                for name in ("part", "name", "value", "unit", "target", "is_met", "note")
            }
            for row in run.rows
        ],
        "missing": run.missing,
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_picture(rows: Sequence[Row], path: Path) -> bool:
    """Fan-out beside the peers, and growth; False if there is no matplotlib or nothing to draw."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    fanout = sorted(
        (row for row in rows if row.part == "fan-out" and "ten" not in row.name),
        key=lambda row: row.value,
    )
    growth = [row for row in rows if row.part == "growth" and row.unit == "µs"]
    panels = [each for each in (fanout, growth) if each]
    if not panels:
        return False
    figure: Any = Figure(figsize=(6 * len(panels), 3.6), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for panel, bars_of in zip(axes, panels, strict=True):
        names = [row.name.removeprefix("gateway, ") for row in bars_of]
        colours = ["#1f7a4d" if row.name.startswith("gateway") else "#9aa5ad" for row in bars_of]
        bars = panel.barh(names, [row.value for row in bars_of], color=colours)
        panel.bar_label(bars, fmt=" %.1f")
        panel.invert_yaxis()
        panel.spines[["top", "right"]].set_visible(False)
        panel.set_xlabel("µs of server CPU per delivery")
        panel.set_title(
            "One message to many" if bars_of is fanout else "More and more connections", loc="left"
        )
        panel.margins(x=0.12)
    figure.savefig(path, dpi=120)
    return True


def _rounded(value: float) -> str:
    """Three digits; `:.3g` alone would print thousands as 1.99e+03."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
