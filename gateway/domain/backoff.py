"""How long to wait after failures in a row."""

from dataclasses import dataclass

_STEPS = 64
"""No wait grows for longer: an outage of hours is thousands of failures, and no float holds two to that power."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that grow with each failure, and stop growing at `most_s`.

    `spread` is the part of a wait that is left to chance, so that those who fail together do not come back together:
    nothing (0), half of it (0.5) or all of it (1).
    """

    first_s: float
    most_s: float
    factor: float = 2.0
    spread: float = 0.5

    def pause_s(self, failures: int, roll: float = 1.0) -> float:
        """Seconds to wait after so many failures in a row, from 1 on; 0 ≤ `roll` ≤ 1, and 1 is the whole wait."""
        steps = min(max(failures - 1, 0), _STEPS)
        longest_s = min(self.most_s, self.first_s * self.factor**steps)
        return longest_s * (1.0 - self.spread + self.spread * roll)
