"""The state machine of a linking attempt, rule by rule."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import linking
from gateway.domain.errors import (
    ConfigError,
    GatewayError,
    SessionNotFound,
    StoreUnavailable,
    UpstreamFailed,
    UpstreamInvalid,
    UpstreamLimit,
    UpstreamRateLimited,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from gateway.domain.linking import (
    Answered,
    Attempt,
    Call,
    Cancelled,
    Connect,
    Effect,
    End,
    Failed,
    IllegalStep,
    Limits,
    Signal,
    Stage,
    StoreCode,
    StoreScanned,
    StoreStatus,
    StoreTrouble,
    Tick,
    Touch,
    WaitUntil,
)

START = 1_800_000_000.0
LIMITS = Limits()


def preparing(**changes: Any) -> Attempt:
    row = Attempt(id=1, session_id=12, holder="h", actor="Ann", started_at=START, moved_at=START)
    return replace(row, **changes)


def showing(code: str = "2@one", at: float = START, **changes: Any) -> Attempt:
    return preparing(
        **{"code": code, "seq": 7, "number": 1, "issued_at": at, "expires_at": at + 45, "moved_at": at}
        | changes
    )


def finishing(at: float, **changes: Any) -> Attempt:
    return showing(**{"scanned_at": at, "moved_at": at} | changes)


def decide(attempt: Attempt, signal: Signal, now: float = START, roll: float = 0.5) -> list[Effect]:
    return linking.decide(attempt, signal, now=now, limits=LIMITS, roll=roll)


def without_wait(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if not isinstance(effect, WaitUntil)]


def wait_of(effects: list[Effect]) -> float:
    [wait] = [effect for effect in effects if isinstance(effect, WaitUntil)]
    return wait.at


CODE_A, CODE_B = "2@one", "2@two"

ANSWERS = {
    # what: (the attempt, the answer, what is to be done besides waiting)
    "the connect reply's code": (preparing(), Answered(None, CODE_A), [StoreCode(CODE_A)]),
    "a connect reply without a code": (preparing(), Answered(None, None), []),
    "nothing yet": (preparing(), Answered("connecting", None), [StoreStatus("connecting")]),
    "the first code": (
        preparing(),
        Answered("need_scan", CODE_A, "connecting"),
        [StoreStatus("need_scan"), StoreCode(CODE_A)],
    ),
    "the same code again": (
        showing(),
        Answered("need_scan", CODE_A, "need_scan"),
        [StoreStatus("need_scan")],
    ),
    "the next code": (
        showing(),
        Answered("need_scan", CODE_B, "need_scan"),
        [StoreStatus("need_scan"), StoreCode(CODE_B)],
    ),
    "the gap between two codes": (
        showing(),
        Answered("need_scan", None, "need_scan"),
        [StoreStatus("need_scan")],
    ),
    "the status left need_scan for connecting": (
        showing(),
        Answered("connecting", CODE_A, "need_scan"),
        [StoreStatus("connecting"), StoreScanned()],
    ),
    "the code is gone and it connects": (
        showing(),
        Answered("connecting", None),
        [StoreStatus("connecting"), StoreScanned()],
    ),
    "the code is gone under a word nobody knows": (
        showing(),
        Answered("syncing_history", None, "need_scan"),
        [StoreStatus("syncing_history"), StoreScanned()],
    ),
    "a lagging status beside a code on show": (
        showing(),
        Answered("connecting", CODE_A, "connecting"),
        [StoreStatus("connecting")],
    ),
    "a new code is newer than a status that says scanned": (
        showing(),
        Answered("connecting", CODE_B, "need_scan"),
        [StoreStatus("connecting"), StoreCode(CODE_B)],
    ),
    "a passkey is asked for": (
        showing(),
        Answered("need_passkey", None, "need_scan"),
        [StoreStatus("need_passkey"), Touch()],
    ),
    "the codes are used up": (
        showing(),
        Answered("expired", None, "need_scan"),
        [StoreStatus("expired"), Touch()],
    ),
    "a new code after a scan": (
        finishing(START),
        Answered("need_scan", CODE_B, "connecting"),
        [StoreStatus("need_scan"), StoreCode(CODE_B)],
    ),
    "still finishing": (
        finishing(START),
        Answered("connecting", None, "connecting"),
        [StoreStatus("connecting")],
    ),
    "linked": (showing(), Answered("connected", None), [StoreStatus("connected"), End("connected")]),
    "linked without a code": (
        preparing(),
        Answered("connected", None),
        [StoreStatus("connected"), End("connected")],
    ),
    "linked after a scan": (
        finishing(START),
        Answered("connected", CODE_A, "connecting"),
        [StoreStatus("connected"), End("connected")],
    ),
    "a taken-over attempt that never got to upstream": (
        preparing(),
        Answered("logged_out", None, connect_made=False),
        [StoreStatus("logged_out"), Connect()],
    ),
    "a taken-over attempt that got to upstream": (
        preparing(),
        Answered("connecting", None, connect_made=False),
        [StoreStatus("connecting")],
    ),
    "a taken-over attempt whose codes are used up": (
        showing(),
        Answered("disconnected", None, connect_made=False),
        [StoreStatus("disconnected")],
    ),
}


@pytest.mark.parametrize(("attempt", "answer", "expected"), ANSWERS.values(), ids=ANSWERS.keys())
def test_each_answer_of_upstream_has_its_effects(
    attempt: Attempt, answer: Answered, expected: list[Effect]
) -> None:
    assert without_wait(decide(attempt, answer)) == expected


@pytest.mark.parametrize("roll", [0.0, 0.5, 0.999])
def test_polls_are_spread_around_the_interval(roll: float) -> None:
    wait = wait_of(decide(showing(), Answered("need_scan", CODE_A, "need_scan"), roll=roll)) - START

    assert 0.85 * LIMITS.poll_s <= wait <= 1.15 * LIMITS.poll_s


@pytest.mark.parametrize(
    ("attempt", "ends_at"),
    [
        (preparing(), START + 75),
        (showing(at=START + 60), START + 135),
        (showing(at=START + 140), START + 160),
        (finishing(START + 10), START + 70),
        (finishing(START + 159.5), START + 219.5),
        (finishing(START + 30, moved_at=START + 80), START + 90),
    ],
    ids=[
        "idle",
        "idle since the last code",
        "in all",
        "after a scan",
        "after a late scan",
        "scan not extended",
    ],
)
def test_an_attempt_times_out_exactly_at_its_limit(attempt: Attempt, ends_at: float) -> None:
    assert decide(attempt, Tick(), now=ends_at - 0.01) == []
    assert decide(attempt, Tick(), now=ends_at) == [End("timeout")]


FINAL = {
    "401": (UpstreamUnauthorized("no"), "upstream_unauthorized", "check_token"),
    "403": (UpstreamLimit("plan"), "upstream_limit", "show_limit"),
    "404": (SessionNotFound("gone"), "session_not_found", "refresh_sessions"),
    "no token": (ConfigError("none"), "config", None),
}


@pytest.mark.parametrize("during", ["connect", "status", "code"])
@pytest.mark.parametrize(("error", "code", "action"), FINAL.values(), ids=FINAL.keys())
def test_a_refusal_ends_the_attempt_with_an_error(
    error: GatewayError, code: str, action: str | None, during: Call
) -> None:
    *_, end = decide(showing(), Failed(error, during, 1))

    assert end == End("error", {"code": code, "message": error.message, "action": action})


@pytest.mark.parametrize("during", ["connect", "status", "code"])
def test_a_session_that_is_not_found_is_gone_whatever_was_asked(during: Call) -> None:
    assert StoreStatus("gone") in decide(showing(), Failed(SessionNotFound("gone"), during, 1))


SLOW = [UpstreamFailed("500"), UpstreamTimeout("none"), UpstreamRateLimited("429"), StoreUnavailable("away")]


@pytest.mark.parametrize("error", SLOW, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("failures", [1, 5, 5000])
def test_a_fault_slows_the_attempt_down_and_never_ends_it(error: GatewayError, failures: int) -> None:
    effect, trouble = decide(preparing(), Failed(error, "status", failures))

    assert isinstance(effect, WaitUntil)
    assert LIMITS.poll_s <= effect.at - START <= linking.SLOWEST_S
    assert trouble == StoreTrouble({**linking.described(error), "retry_at": effect.at})


TROUBLE = {"code": "upstream_error", "message": "500", "action": "retry", "retry_at": START}


def test_trouble_has_passed_when_all_that_was_asked_is_answered() -> None:
    half = Answered("need_scan", None, is_whole=False)
    assert StoreTrouble(None) not in decide(preparing(trouble=TROUBLE), half)
    assert StoreTrouble(None) in decide(preparing(trouble=TROUBLE), Answered("need_scan", None))
    assert StoreTrouble(None) not in decide(preparing(), Answered("need_scan", None))


def test_trouble_that_lasted_to_the_end_is_told_with_the_end() -> None:
    end = decide(preparing(trouble=TROUBLE), Tick(), now=START + LIMITS.idle_s)

    assert end == [End("timeout", TROUBLE)]


def test_the_back_off_doubles() -> None:
    waits = [
        wait_of(decide(preparing(), Failed(UpstreamFailed("500"), "status", n), roll=1.0)) - START
        for n in (1, 2, 3, 4, 5)
    ]

    assert waits == pytest.approx([4, 8, 16, 30, 30], rel=1e-6)


@pytest.mark.parametrize("roll", [0.0, 0.999])
def test_a_named_pause_is_never_cut_short(roll: float) -> None:
    error = UpstreamRateLimited("429", retry_after_s=20)
    wait = wait_of(decide(preparing(), Failed(error, "code", 1), roll=roll)) - START

    assert 20 <= wait <= 24


@pytest.mark.parametrize(
    ("during", "reason"), [("connect", "error"), ("status", None), ("code", None)], ids=str
)
def test_refused_fields_are_final_only_when_connecting(during: Call, reason: str | None) -> None:
    effects = decide(preparing(), Failed(UpstreamInvalid("422"), during, 1))

    assert [e.reason for e in effects if isinstance(e, End)] == ([reason] if reason else [])


@pytest.mark.parametrize("attempt", [preparing(), showing(), finishing(START)], ids=lambda a: a.stage.value)
def test_cancelling_ends_every_running_attempt(attempt: Attempt) -> None:
    assert decide(attempt, Cancelled()) == [End("cancelled")]


@pytest.mark.parametrize(
    "signal",
    [Answered("connected", None), Failed(UpstreamTimeout(""), "code", 1), Tick(), Cancelled()],
    ids=lambda signal: type(signal).__name__,
)
def test_nothing_follows_an_end(signal: Signal) -> None:
    with pytest.raises(IllegalStep):
        decide(showing(ended_at=START + 1, reason="timeout"), signal)


@pytest.mark.parametrize(
    ("stage", "effect"),
    [
        (Stage.PREPARING, StoreScanned()),
        (Stage.FINISHING, StoreScanned()),
        (Stage.SHOWING, Connect()),
        (Stage.FINISHING, Connect()),
        (Stage.ENDED, StoreCode(CODE_A)),
        (Stage.ENDED, End("connected")),
    ],
    ids=lambda value: value.value if isinstance(value, Stage) else type(value).__name__,
)
def test_a_step_that_does_not_exist_raises(stage: Stage, effect: Effect) -> None:
    with pytest.raises(IllegalStep):
        linking.step(stage, effect)


WORDS = st.sampled_from(
    [
        None,
        "disconnected",
        "connecting",
        "need_scan",
        "need_passkey",
        "connected",
        "logged_out",
        "gone",
        "new_word",
    ]
)


@given(
    attempt=st.sampled_from([preparing(), showing(), finishing(START)]),
    status=WORDS,
    before=WORDS,
    code=st.sampled_from([None, CODE_A, CODE_B]),
    connect_made=st.booleans(),
    roll=st.floats(0, 0.999),
)
def test_every_answer_leads_to_an_end_or_to_the_next_question(
    attempt: Attempt,
    status: str | None,
    before: str | None,
    code: str | None,
    connect_made: bool,
    roll: float,
) -> None:
    last = decide(attempt, Answered(status, code, before, connect_made), roll=roll)[-1]

    assert isinstance(last, End) == (status == "connected")
    assert isinstance(last, End) or (isinstance(last, WaitUntil) and START <= last.at <= START + 3)
