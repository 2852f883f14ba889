"""One attempt to link a phone, as a state machine: what happens goes in, what to do about it comes out.

    PREPARING ──code──> SHOWING ──scan──> FINISHING        every stage ──end──> ENDED
                        ^  │ ^──new code─────┘             (connected, timeout, cancelled, error)
                        └──┘ new code

`decide` takes one signal and answers with effects; it changes nothing by itself. The row in Postgres is the
state, so an attempt goes on from its row when another gateway takes it over. All times are unix seconds, and
all randomness is passed in.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, assert_never

from gateway.domain.backoff import Backoff
from gateway.domain.errors import GatewayError, SessionNotFound, UpstreamInvalid
from gateway.domain.session import SessionStatus

FIRST_CODE_S = 60.0
"""Life of an attempt's first code by WhatsApp's own clock. An estimate: no reply carries an expiry."""
NEXT_CODE_S = 20.0
"""Life of each later one, until the attempt shows another rhythm."""
LEARNT_S = (10.0, 60.0)
"""What the life of a replaced code may teach about the next one: a hand that replaces codes is no rhythm."""
MAX_CODES = 6
"""How many codes WhatsApp hands out before it gives up. Upstream says when it has: we never count it out."""
SCANNED_S = 60.0
"""How long a phone that has scanned may take to finish."""
SLOWEST_S = 30.0
"""Where the back-off after failures stops growing."""

EndReason = Literal["connected", "timeout", "cancelled", "error"]
Call = Literal["connect", "status", "code"]
"""What upstream was asked."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How often to ask, and when to give up. Seconds."""

    poll_s: float = 2.0
    idle_s: float = 75.0
    """Without a new code or status. WhatsApp's first code lives 60 s: 60 would end it as it is replaced."""
    max_s: float = 160.0
    """In all: one code of 60 s and five of 20 s."""


class Stage(Enum):
    """How far an attempt has come."""

    PREPARING = "preparing"
    SHOWING = "showing"
    FINISHING = "finishing"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row of `gateway.whatsapp_link_attempts`."""

    id: int
    session_id: int
    holder: str | None
    """Token of the poller that may write; None before the first one has come."""
    actor: str
    """Name of the person or part that asked for it."""
    started_at: float
    moved_at: float
    """When the last new code or status came."""
    code: str | None = None
    seq: int | None = None
    """Number of the code among all codes of the session."""
    number: int = 0
    """Number of the code in this attempt; 0 before the first."""
    issued_at: float | None = None
    expires_at: float | None = None
    scanned_at: float | None = None
    ended_at: float | None = None
    reason: str | None = None
    error: dict[str, Any] | None = None
    trouble: dict[str, Any] | None = None
    """Why upstream does not answer as it should, while the attempt goes on; None while it does."""
    trouble_at: float | None = None
    """When the trouble began or passed; None if there has been none."""

    @property
    def running(self) -> bool:
        """Whether the attempt has not ended."""
        return self.ended_at is None

    @property
    def stage(self) -> Stage:
        """How far it has come, as its row says."""
        if self.ended_at is not None:
            return Stage.ENDED
        if self.scanned_at is not None:
            return Stage.FINISHING
        return Stage.PREPARING if self.code is None else Stage.SHOWING


class IllegalStep(RuntimeError):
    """A step the state machine does not have: a bug of the caller."""


# ---------------------------------------------------------------------------------------------- signals


@dataclass(frozen=True, slots=True)
class Answered:
    """Upstream answered."""

    status: str | None
    """None where the answer names no status, or (the reply to `connect`) none that proves anything."""
    code: str | None
    """None where there is no code now."""
    before: str | None = None
    """The status of the answer before this one; None when this is the first."""
    connect_made: bool = True
    """Whether upstream is known to have been asked to connect for this attempt."""
    is_whole: bool = True
    """Whether all that was asked was answered: then what went wrong before has passed."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Upstream did not answer, or refused."""

    error: GatewayError
    during: Call
    failures: int
    """How many times in a row by now; 1 for the first."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A caller disconnects, deletes or restarts the session."""


Signal = Answered | Failed | Tick | Cancelled

# ---------------------------------------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class Connect:
    """Ask upstream to connect."""


@dataclass(frozen=True, slots=True)
class StoreCode:
    """Make this the newest code. It takes back a scan: the phone did not finish, and there is a new code."""

    code: str


@dataclass(frozen=True, slots=True)
class StoreScanned:
    """A phone has scanned the code."""


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """Upstream says that the session has this status."""

    status: str


@dataclass(frozen=True, slots=True)
class Touch:
    """The status is a new one: the idle time starts again."""


@dataclass(frozen=True, slots=True)
class StoreTrouble:
    """Upstream fails for this reason while the attempt goes on; None: it has passed."""

    trouble: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Ask again at this time, not earlier unless a notification comes."""

    at: float


@dataclass(frozen=True, slots=True)
class End:
    """The machine's last word: the attempt is over, for this reason."""

    reason: EndReason
    error: dict[str, Any] | None = None


Effect = Connect | StoreCode | StoreScanned | StoreStatus | StoreTrouble | Touch | WaitUntil | End

# ---------------------------------------------------------------------------------------------- the machine

_STEPS: dict[tuple[Stage, type[Effect]], Stage] = {
    (Stage.PREPARING, StoreCode): Stage.SHOWING,
    (Stage.SHOWING, StoreCode): Stage.SHOWING,
    (Stage.FINISHING, StoreCode): Stage.SHOWING,
    (Stage.SHOWING, StoreScanned): Stage.FINISHING,
    (Stage.PREPARING, Connect): Stage.PREPARING,
    **{
        (stage, effect): stage
        for stage in (Stage.PREPARING, Stage.SHOWING, Stage.FINISHING)
        for effect in (StoreStatus, StoreTrouble, Touch, WaitUntil)
    },
    **{(stage, End): Stage.ENDED for stage in (Stage.PREPARING, Stage.SHOWING, Stage.FINISHING)},
}

# Statuses in which upstream is doing nothing about a link.
_AT_REST = frozenset({SessionStatus.DISCONNECTED, SessionStatus.LOGGED_OUT, SessionStatus.EXPIRED})
# A code that is gone under one of these was used up. Under any other word, unknown ones too, it was scanned.
_NOT_SCANNED = _AT_REST | {SessionStatus.NEED_SCAN, SessionStatus.NEED_PASSKEY, SessionStatus.GONE}


def step(stage: Stage, effect: Effect) -> Stage:
    """The stage after this effect. Raises IllegalStep where there is none."""
    try:
        return _STEPS[stage, type(effect)]
    except KeyError:
        raise IllegalStep(f"{type(effect).__name__} is not possible while {stage.value}") from None


def decide(
    attempt: Attempt, signal: Signal, *, now: float, limits: Limits, roll: float = 0.5
) -> list[Effect]:
    """What to do about a signal, in order.

    `roll` (0 ≤ roll < 1) spreads the waits, so that a thousand attempts do not ask in the same instant.
    Raises IllegalStep if the attempt has ended: nothing can follow.
    """
    if not attempt.running:
        raise IllegalStep(f"attempt {attempt.id} has ended, {type(signal).__name__} cannot follow")
    effects: list[Effect]
    match signal:
        case Answered():
            effects = _on_answer(attempt, signal, now, limits, roll)
        case Failed():
            effects = _on_failure(signal, now, limits, roll)
        case Tick():
            # An outage that lasted to the end is told as one, and not as a code that expired.
            effects = [End("timeout", attempt.trouble)] if now >= deadline(attempt, limits) else []
        case Cancelled():
            effects = [End("cancelled")]
        case _:
            assert_never(signal)
    stage = attempt.stage
    for effect in effects:
        stage = step(stage, effect)
    return effects


def deadline(attempt: Attempt, limits: Limits) -> float:
    """When the attempt times out if nothing more happens.

    A scan stops both clocks and starts its own: what is left to do is the phone's.
    """
    if attempt.scanned_at is not None:
        return attempt.scanned_at + SCANNED_S
    return min(attempt.moved_at + limits.idle_s, attempt.started_at + limits.max_s)


def described(error: GatewayError) -> dict[str, Any]:
    """An error as the attempt's row and `link_ended` carry it."""
    return {"code": error.code, "message": error.message, "action": error.action}


def _on_answer(attempt: Attempt, answer: Answered, now: float, limits: Limits, roll: float) -> list[Effect]:
    effects: list[Effect] = []
    if attempt.trouble is not None and answer.is_whole:
        effects.append(StoreTrouble(None))
    if answer.status is not None:
        effects.append(StoreStatus(answer.status))
    if answer.status == SessionStatus.CONNECTED:
        return [*effects, End("connected")]
    is_new_status = answer.status is not None and answer.before not in (None, answer.status)
    if answer.code is not None and answer.code != attempt.code:
        # Asked for after the status: whatever the status says of a scan is older than this code.
        effects.append(StoreCode(answer.code))
    elif attempt.stage is Stage.SHOWING and _says_scanned(answer):
        effects.append(StoreScanned())
    elif is_new_status:
        effects.append(Touch())
    if attempt.number >= MAX_CODES and answer.code is None and answer.status in _AT_REST:
        return [
            *effects,
            End("timeout"),
        ]  # all codes are used up, and upstream has stopped: nothing would follow
    if attempt.code is None and answer.code is None and answer.status in _AT_REST and not answer.connect_made:
        return [*effects, Connect(), WaitUntil(now)]
    return [*effects, WaitUntil(now + limits.poll_s * (0.85 + 0.3 * roll))]


def _says_scanned(answer: Answered) -> bool:
    """Whether upstream's answer means that the code on show has been scanned.

    `connecting` also comes before the first code, and a lagging status may still say so while the code is
    on show already. So the code must be gone, or the status must have *left* need_scan.
    """
    if answer.status is None or answer.status in _NOT_SCANNED:
        return False
    if answer.code is None:
        return True
    return answer.status == SessionStatus.CONNECTING and answer.before == SessionStatus.NEED_SCAN


def _on_failure(failed: Failed, now: float, limits: Limits, roll: float) -> list[Effect]:
    error = failed.error
    if _is_final(failed):
        # Also when only the code was asked for: the session may have been deleted since its status was read.
        gone = isinstance(error, SessionNotFound)
        status: list[Effect] = [StoreStatus(SessionStatus.GONE)] if gone else []
        return [*status, End("error", described(error))]
    if error.retry_after_s is not None and error.retry_after_s > 0:
        # Never earlier than asked for; a little later, so that not all pollers come back at once.
        next_at = now + max(limits.poll_s, error.retry_after_s) * (1 + 0.2 * roll)
    else:
        pause_s = Backoff(2 * limits.poll_s, SLOWEST_S).pause_s(failed.failures, roll)
        next_at = now + max(limits.poll_s, pause_s)
    return [WaitUntil(next_at), StoreTrouble({**described(error), "retry_at": next_at})]


def _is_final(failed: Failed) -> bool:
    """401, 403 and 404 end the attempt; 429, 5xx and silence never do; refused fields only on connect."""
    if isinstance(failed.error, UpstreamInvalid):
        return failed.during == "connect"
    return not failed.error.retryable
