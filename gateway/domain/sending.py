"""One message on its way out, as a state machine.

    queued ──begin──> SENDING ──> accepted ──> sent ──> delivered ──> read ──> played
      │  ^               │            └─────────┴──> failed (upstream, WhatsApp)
      │  └─surely not────┤
      │     sent         ├──> failed (upstream names what is wrong with it)
      └──> cancelled     └──> UNKNOWN ──evidence, a late answer, a person──> sent, accepted, failed

A row is `sending`, committed, before its call begins; an attempt is one call. Whose turn it is, `send_queue` says;
what proves that an unknown one was sent, `send_evidence`. Nothing here changes by itself: functions take a row and
give a new one. All times are unix seconds of one clock.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Literal, assert_never

from gateway.domain.errors import Conflict

SETTLE_AFTER_S = 120.0
"""How long after its call began an unknown row waits for evidence before a person may decide."""


class SendStatus(StrEnum):
    """How far an outgoing message has come."""

    QUEUED = "queued"
    SENDING = "sending"
    ACCEPTED = "accepted"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELLED = "cancelled"


_S = SendStatus
_TICKS = (_S.ACCEPTED, _S.SENT, _S.DELIVERED, _S.READ, _S.PLAYED)
REACHED = frozenset({_S.SENT, _S.DELIVERED, _S.READ, _S.PLAYED})
"""WhatsApp has it."""

STEPS: dict[SendStatus, frozenset[SendStatus]] = {
    _S.QUEUED: frozenset({_S.SENDING, _S.CANCELLED, _S.FAILED, _S.UNKNOWN}),
    _S.SENDING: frozenset({_S.QUEUED, _S.ACCEPTED, _S.FAILED, _S.UNKNOWN}),
    _S.ACCEPTED: frozenset({*_TICKS[1:], _S.FAILED}),
    _S.SENT: frozenset({*_TICKS[2:], _S.FAILED}),
    _S.DELIVERED: frozenset(_TICKS[3:]),
    _S.READ: frozenset(_TICKS[4:]),
    _S.PLAYED: frozenset(),
    _S.UNKNOWN: frozenset({*_TICKS, _S.FAILED}),
    # A person's retry; and proof that it arrived after all.
    _S.FAILED: frozenset({_S.QUEUED, *_TICKS}),
    _S.CANCELLED: frozenset(),
}
"""What may follow what. `sending` → `queued` only when the message surely was not sent."""

NotSentReason = Literal[
    "not_reached", "rate_limit", "not_connected", "restricted", "unauthorized", "subscription", "gone"
]


class IllegalStep(RuntimeError):
    """A step the state machine does not have: a bug of the caller."""


@dataclass(frozen=True, slots=True)
class Send:
    """One outgoing message of ours: one row of `whatsapp_outgoing_messages`."""

    id: int
    chat: str
    queued_at: float
    """When it was queued, the last time. Grows with `id` within a chat, retries aside."""
    content: str = ""
    """Digest of what is sent; rows of one chat and content look alike to upstream."""
    status: SendStatus = SendStatus.QUEUED
    send_at: float | None = None
    """The time that a person has chosen; None: as soon as it can."""
    attempt: int = 0
    """How many calls have begun."""
    sending_at: float | None = None
    """When the newest call began."""
    holder: str | None = None
    """The sender that began it."""
    is_first_contact: bool = False
    """The newest call began while nothing had ever come from the chat."""
    msg_id: int | None = None
    key_id: str | None = None
    error: str | None = None
    error_code: str | None = None

    @property
    def due_at(self) -> float:
        """When it may go: the time that a person chose, else the time it was queued."""
        return self.queued_at if self.send_at is None else self.send_at

    @property
    def call(self) -> tuple[int, str | None, float | None]:
        """Which call the row speaks of. A number is not enough: two senders may have tried to begin the same one."""
        return self.attempt, self.holder, self.sending_at

    def to(self, status: SendStatus, **changes: object) -> "Send":
        """The row in another status. Raises IllegalStep where there is no such step."""
        if status not in STEPS[self.status]:
            raise IllegalStep(f"message {self.id}: {self.status} does not become {status}")
        return replace(self, status=status, **changes)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------------------- what the sender does


def begin(send: Send, now: float, *, holder: str | None = None, is_first_contact: bool = False) -> Send:
    """The row as it is committed before its call."""
    return send.to(
        SendStatus.SENDING,
        attempt=send.attempt + 1,
        sending_at=now,
        holder=holder,
        is_first_contact=is_first_contact,
        error=None,
        error_code=None,
    )


def expire(send: Send) -> Send:
    """The row after it has waited too long without a way out."""
    text = "It waited too long: the number was not connected, or may not write to new chats."
    return send.to(SendStatus.FAILED, error=text, error_code="expired")


def orphaned(send: Send) -> Send:
    """A row in `sending` whose sender is gone, or of another history: whether it was sent cannot be said."""
    text = "The gateway stopped while this was being sent, so whether it was cannot be said."
    return send.to(SendStatus.UNKNOWN, error=text, error_code="interrupted")


def of_older_history(send: Send) -> Send:
    """A waiting or sending row after a backup was brought back: it may have been sent since the backup was made."""
    text = "A backup was brought back; this may have been sent after the backup was made."
    return send.to(SendStatus.UNKNOWN, error=text, error_code="restored", sending_at=send.sending_at)


# ---------------------------------------------------------------------------------------------- answers


@dataclass(frozen=True, slots=True)
class Accepted:
    """Upstream has taken the message over."""

    msg_id: int
    spent_s: float | None = None
    """The answer's headers say that it was the last of its window, which ends in this time."""


@dataclass(frozen=True, slots=True)
class NotSent:
    """It surely did not reach WhatsApp, and may be sent later as it is."""

    reason: NotSentReason
    error: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It surely did not reach WhatsApp, and never will as it is: upstream names what is wrong."""

    error: str
    error_code: str = "invalid"


@dataclass(frozen=True, slots=True)
class Unclear:
    """Silence, a reset, a 5xx, words that say neither: it may have been sent."""

    error: str
    is_restriction: bool = False
    """The words tell that WhatsApp lets the number start no new chats."""


Answer = Accepted | NotSent | Refused | Unclear


def answered(send: Send, begun: Send, answer: Answer) -> Send:
    """The row after an answer to the call that began with the row `begun`.

    An answer that comes late (the row is `unknown`, or a person has called it failed) still tells the truth; one to
    another call, an older one or another sender's, says nothing of this one.
    """
    if begun.call != send.call:
        return send
    return _row_after(send, answer) if send.status is SendStatus.SENDING else _late(send, answer)


def _row_after(send: Send, answer: Answer) -> Send:
    match answer:
        case Accepted():
            return send.to(SendStatus.ACCEPTED, msg_id=answer.msg_id)
        case NotSent():
            return send.to(SendStatus.QUEUED)
        case Refused():
            return send.to(SendStatus.FAILED, error=answer.error, error_code=answer.error_code)
        case Unclear():
            return send.to(SendStatus.UNKNOWN, error=answer.error, error_code="no_answer")
        case _:
            assert_never(answer)


def _late(send: Send, answer: Answer) -> Send:
    is_open = send.status is SendStatus.UNKNOWN
    match answer:
        case Accepted() if is_open or (send.status is SendStatus.FAILED and send.error_code == "settled"):
            return send.to(SendStatus.ACCEPTED, msg_id=answer.msg_id, error=None, error_code=None)
        case Accepted() if send.msg_id is None and send.status in REACHED:
            return replace(send, msg_id=answer.msg_id)
        case NotSent() if is_open:  # not queued again: later ones of the chat may have gone meanwhile
            return send.to(SendStatus.FAILED, error=answer.error, error_code="not_sent")
        case Refused() if is_open:
            return send.to(SendStatus.FAILED, error=answer.error, error_code=answer.error_code)
        case _:
            return send


# ---------------------------------------------------------------------------------------------- what upstream tells


def reported(send: Send, status: SendStatus, *, key_id: str | None = None, error: str | None = None) -> Send:
    """The row after a delivery state, or after upstream has said that an accepted one failed. Never backwards."""
    if status is SendStatus.FAILED:
        if send.status not in (SendStatus.ACCEPTED, SendStatus.SENT):
            return send
        return send.to(status, error=error or "WhatsApp did not take the message.", error_code="upstream")
    if status not in REACHED:
        raise IllegalStep(f"{status} is no delivery state")
    if send.status not in (*_TICKS, SendStatus.UNKNOWN, SendStatus.FAILED):
        return send
    send = replace(send, key_id=send.key_id or key_id)
    if send.status is SendStatus.FAILED and status is SendStatus.SENT:
        return send  # a state that was overtaken by the failure; only an arrival proves the failure wrong
    if send.status in _TICKS and _TICKS.index(status) <= _TICKS.index(send.status):
        return send
    return send.to(status, error=None, error_code=None)


# ---------------------------------------------------------------------------------------------- what people do


def cancel(send: Send) -> Send:
    """Raises Conflict unless it still waits; cancelling twice is one."""
    if send.status is SendStatus.CANCELLED:
        return send
    if send.status is not SendStatus.QUEUED:
        raise _conflict(send, "Only a message that still waits can be cancelled.")
    return send.to(SendStatus.CANCELLED)


def retry(send: Send, now: float) -> Send:
    """Another attempt of a failed one. Raises Conflict otherwise: an unknown one has to be settled first."""
    if send.status is not SendStatus.FAILED:
        text = "Only a message that has failed can be sent again."
        if send.status is SendStatus.UNKNOWN:
            text = "Say first whether this message was sent; then it can be sent again."
        raise _conflict(send, text)
    return send.to(
        SendStatus.QUEUED,
        queued_at=now,
        send_at=None,
        error=None,
        error_code=None,
        msg_id=None,
        key_id=None,
    )


def settle(send: Send, was_sent: bool, now: float) -> Send:
    """A person says what became of an unknown one. Raises Conflict unless it is unknown and evidence had its time."""
    if send.status is not SendStatus.UNKNOWN:
        raise _conflict(send, "Only a message whose fate is unknown can be settled.")
    if send.sending_at is not None and now < send.sending_at + SETTLE_AFTER_S:
        wait_s = send.sending_at + SETTLE_AFTER_S - now
        raise _conflict(send, "WhatsApp may still say whether this was sent; try again in a moment.", wait_s)
    if was_sent:
        return send.to(SendStatus.SENT, error=None, error_code=None)
    return send.to(SendStatus.FAILED, error="A person says that it was not sent.", error_code="settled")


Change = Literal["row", "upstream"]


def way_to_edit(send: Send) -> Change:
    """Where an edit goes: to the row while it waits, to upstream once WhatsApp has it. Raises Conflict."""
    return _way(send, "edited")


def way_to_delete(send: Send) -> Change:
    """`row`: cancel it. `upstream`: delete it for everyone. Raises Conflict."""
    if send.status is SendStatus.CANCELLED:
        return "row"
    return _way(send, "deleted")


def _way(send: Send, done: str) -> Change:
    if send.status is SendStatus.QUEUED:
        return "row"
    if send.status in REACHED and send.msg_id is not None:
        return "upstream"
    if send.status in REACHED:
        raise _conflict(
            send, f"WasenderAPI has no number for this message, so it can be {done} on the phone only."
        )
    raise _conflict(send, f"A message that is {send.status} cannot be {done}.")


def _conflict(send: Send, text: str, retry_after_s: float | None = None) -> Conflict:
    return Conflict(text, retry_after_s=retry_after_s, details={"status": str(send.status)})
