"""How long to wait before the next try: pure functions."""

STEPS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
LEAST_S = 0.1


def backoff_s(attempt: int, chance: float) -> float:
    """Seconds before try number `attempt` (from 0); `chance` in [0, 1).

    All of the step is left to chance, so that the clients of a restarted server do not come back in one wave.
    """
    return max(LEAST_S, STEPS_S[min(attempt, len(STEPS_S) - 1)] * chance)


def may_return(code: int) -> bool:
    """Whether to come back after this close code: 4500–4999 would end the same way again."""
    return not 4500 <= code <= 4999
