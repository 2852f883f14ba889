"""How fast a session may send, learnt from an upstream that counts."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import send_pace
from gateway.domain.send_pace import Pace

NOW = 1_000_000.0


@dataclass
class Upstream:
    """Fixed windows from the first call on; whole seconds, rounded up; a call takes its time to get there."""

    count: int
    window_s: float
    delay_s: float = 0.2
    began: float = float("-inf")
    used: int = 0
    refusals: list[float] = field(default_factory=list)

    def call(self, at: float) -> float | None:
        """None: accepted. Else the seconds to wait."""
        if at >= self.began + self.window_s:
            self.began, self.used = at, 0
        if self.used >= self.count:
            self.refusals.append(at)
            return float(-((at - self.began - self.window_s) // 1))
        self.used += 1
        return None


def sent(upstream: Upstream, sends: int, *, protected: bool = False) -> float:
    """Sends as fast as the pace lets; when it was done."""
    pace, now, done = Pace(), NOW, 0
    while done < sends:
        now = max(now, send_pace.allowed_at(pace, now, protected=protected))
        wait_s = upstream.call(now + upstream.delay_s / 2)
        now += upstream.delay_s
        if wait_s is None:
            pace, done = send_pace.accepted(pace, now), done + 1
        else:
            pace = send_pace.refused(pace, now, wait_s)
    return now


def test_with_account_protection_nothing_is_ever_refused() -> None:
    upstream = Upstream(1, 5.0)
    ended = sent(upstream, 20, protected=True)

    assert upstream.refusals == []
    assert ended - NOW < 20 * 6.0


@pytest.mark.parametrize(("count", "window_s"), [(1, 5.0), (1, 60.0), (3, 10.0), (20, 60.0)])
def test_a_limit_that_nobody_told_costs_one_refusal(count: int, window_s: float) -> None:
    upstream = Upstream(count, window_s)
    ended = sent(upstream, 4 * count + 2)

    assert len(upstream.refusals) == 1
    assert ended - NOW < 6 * (window_s + 2)


@given(count=st.integers(1, 30), window_s=st.floats(2.0, 60.0), delay_s=st.floats(0.01, 0.5))
def test_a_learnt_limit_is_kept(count: int, window_s: float, delay_s: float) -> None:
    if count * delay_s > window_s / 2:
        return  # upstream is too slow to be too much for
    upstream = Upstream(count, window_s, delay_s)
    sent(upstream, 5 * count)

    assert len(upstream.refusals) <= 1


def test_a_success_that_was_the_last_of_its_window_pauses_before_any_refusal() -> None:
    pace = send_pace.accepted(Pace(), NOW, spent_s=30.0)

    assert send_pace.allowed_at(pace, NOW, protected=False) == NOW + 30.5


def test_a_pause_of_a_day_is_kept_and_teaches_no_window() -> None:
    pace = send_pace.refused(send_pace.accepted(Pace(), NOW), NOW + 1, 40_000.0)

    assert send_pace.allowed_at(pace, NOW + 1, protected=False) == NOW + 40_001.5
    assert pace.count is None


def test_a_learnt_limit_is_forgotten_after_an_hour_without_a_refusal() -> None:
    pace = send_pace.refused(send_pace.accepted(Pace(), NOW), NOW + 0.1, 5.0)
    later = NOW + 3_700
    pace = send_pace.accepted(pace, later)

    assert pace.count == 1
    assert send_pace.allowed_at(pace, later, protected=False) <= later
    assert send_pace.gap_s(pace, later, protected=False) == 0.0
    assert send_pace.gap_s(pace, NOW + 1, protected=True) == 5.5


def test_a_shorter_pause_does_not_end_a_longer_one() -> None:
    pace = send_pace.refused(Pace(), NOW, 60.0)

    assert send_pace.refused(pace, NOW + 1, 2.0).not_before == NOW + 60.5
