"""What Autobahn's `index.json` says, in words that can be compared."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GRADES = (
    "OK",
    "INFORMATIONAL",
    "NON-STRICT",
    "UNIMPLEMENTED",
    "UNCLEAN",
    "WRONG CODE",
    "FAILED BY CLIENT",
    "FAILED",
)
"""From good to bad; what is no word of these is worse than all."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one case: on what was said, and on how the connection was closed."""

    behaviour: str
    close: str

    def __str__(self) -> str:
        return (
            self.behaviour
            if self.close in (self.behaviour, "OK")
            else f"{self.behaviour}, close: {self.close}"
        )


def read_report(index: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> dict[str, dict[str, Verdict]]:
    """Verdicts by server and case."""
    return {
        server: {case: Verdict(said["behavior"], said["behaviorClose"]) for case, said in cases.items()}
        for server, cases in index.items()
    }


def worse(ours: Mapping[str, Verdict], theirs: Mapping[str, Verdict]) -> list[str]:
    """Cases in which ours is worse, or has not run."""
    return [
        case
        for case, other in theirs.items()
        if (mine := ours.get(case)) is None
        or _grade(mine.behaviour) > _grade(other.behaviour)
        or _grade(mine.close) > _grade(other.close)
    ]


def describe(server: str, verdicts: Mapping[str, Verdict]) -> str:
    """One line: how many cases of each grade, and which ones failed."""
    counts = Counter(verdict.behaviour for verdict in verdicts.values())
    grades = [*GRADES, *sorted(set(counts) - set(GRADES))]
    numbers = ", ".join(f"{counts[grade]} {grade}" for grade in grades if counts[grade]) or "nothing ran"
    limit = _grade("NON-STRICT")
    bad = [
        f"{case} {verdict}"
        for case, verdict in verdicts.items()
        if _grade(verdict.behaviour) > limit or _grade(verdict.close) > limit
    ]
    return f"{server}: {len(verdicts)} cases: {numbers}" + (f" ({'; '.join(bad)})" if bad else "")


def _grade(word: str) -> int:
    return GRADES.index(word) if word in GRADES else len(GRADES)
