"""How fast a session may send: what its settings and upstream's answers have said, never a number from a page.

A limit is "so many sends in a window", counted from the window's first send. Account protection is one in 5 s, and
upstream tells of it. Any other limit is learnt from the first 429: what was sent in the running window is what it
takes, and the window ends when upstream says. All times are of one clock that does not jump.
"""

from dataclasses import dataclass, replace

PROTECTION_S = 5.0
"""With account protection WasenderAPI takes one message in this time."""
SAFETY_S = 0.5
"""Added to what upstream says: it names whole seconds, and its clock started before ours."""
LONGEST_WINDOW_S = 120.0
"""A 429 that names more is a pause (a day's limit), and teaches nothing about a window."""
UNLEARNT_WINDOW_S = 60.0
"""How far back sends are counted while no limit is known."""
BELIEVED_S = 3_600.0
"""How long a learnt limit holds without another 429: the plan may have changed."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of one session's pace."""

    count: int | None = None
    """How many sends a window takes; None while nothing is learnt."""
    window_s: float = UNLEARNT_WINDOW_S
    believed_until: float = float("-inf")
    began: float | None = None
    """When the running window's first send was accepted."""
    used: int = 0
    last: float = float("-inf")
    """When the newest send was accepted."""
    not_before: float = float("-inf")
    """The end of the pause that upstream has asked for."""


def allowed_at(pace: Pace, now: float, *, protected: bool) -> float:
    """When the next send may begin; `now` or earlier means at once."""
    at = pace.not_before
    if protected:
        at = max(at, pace.last + PROTECTION_S + SAFETY_S)
    if pace.began is not None and pace.count is not None and pace.used >= pace.count and _believes(pace, now):
        at = max(at, pace.began + pace.window_s + SAFETY_S)
    return at


def gap_s(pace: Pace, now: float, *, protected: bool) -> float:
    """The time that one send takes of the queue, on average; for telling when a message may go."""
    learnt = pace.window_s / pace.count if pace.count and _believes(pace, now) else 0.0
    return max(learnt, PROTECTION_S + SAFETY_S if protected else 0.0)


def accepted(pace: Pace, now: float, spent_s: float | None = None) -> Pace:
    """After a send that upstream took. `spent_s`: it was the last of its window, by the answer's headers."""
    if spent_s is not None:
        pace = replace(pace, not_before=max(pace.not_before, now + spent_s + SAFETY_S))
    window_s = pace.window_s if _believes(pace, now) else UNLEARNT_WINDOW_S
    if pace.began is None or now >= pace.began + window_s:
        return replace(pace, began=now, used=1, last=now)
    return replace(pace, used=pace.used + 1, last=now)


def refused(pace: Pace, now: float, retry_after_s: float) -> Pace:
    """After a 429: the pause it asks for, and the limit that it shows."""
    pause = max(pace.not_before, now + retry_after_s + SAFETY_S)
    pace = replace(pace, not_before=pause)
    is_running = pace.began is not None and now < pace.began + LONGEST_WINDOW_S and pace.used > 0
    if not is_running or retry_after_s > LONGEST_WINDOW_S or pace.began is None:
        return pace
    return replace(
        pace,
        count=pace.used,
        window_s=min(LONGEST_WINDOW_S, now + retry_after_s - pace.began),
        believed_until=now + BELIEVED_S,
    )


def _believes(pace: Pace, now: float) -> bool:
    return now < pace.believed_until
