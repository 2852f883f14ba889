"""`python -m tests.attacks [--seconds 6] [--checkout DIR] [WORDS…]`: every attack, or those whose name has the words.

`--checkout` attacks the gateway of another tree: for the figures of before a change.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.attacks.attacker import ATTACKS
from tests.attacks.bystanders import Suffered, bystanders
from tests.attacks.rows import fill
from tests.attacks.victim import HERE, Victim, database, victim


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def attack(target: Victim, names: Sequence[str], seconds: float, calm_s: float = 30.0) -> Suffered:
    """These attacks at the same time, beside well-behaved clients."""
    async with bystanders(target, calm_s=calm_s) as suffered:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.attacks.attacker",
            str(target.port), str(seconds), str(target.session_id), *names, cwd=HERE,
        )  # fmt: skip
        await process.wait()
        suffered.attack_is_over()
    return suffered


async def main(names: list[str], seconds: float, checkout: Path, files: int, rows: int) -> None:
    say("| attack | ping p99 | slowest webhook | read p99 | memory | left | stale | faults |")
    say("|---|---|---|---|---|---|---|---|")
    for name in names:
        async with database() as dsn, victim(dsn, checkout=checkout, files=files) as target:
            if "search" in name:
                await fill(target, rows)
            suffered = await attack(target, [name], seconds)
            say(f"| {name} | {suffered.row()} |")
            for fault in sorted(set(suffered.faults))[:3]:
                say(f"    {fault[:160]}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--checkout", type=Path, default=HERE)
    parser.add_argument("--files", type=int, default=1024)
    parser.add_argument("--rows", type=int, default=200_000)
    given = parser.parse_args()
    chosen = [name for name in ATTACKS if not given.words or any(word in name for word in given.words)]
    asyncio.run(main(chosen, given.seconds, given.checkout.resolve(), given.files, given.rows))
