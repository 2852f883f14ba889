"""The queue of one session: whose turn it is, and what an answer means for those that wait.

Chats that ever wrote go before first contacts; within a chat the order is total, scheduled messages aside; one send
at a time. `next_step` says what the sender does now, `answered` what the queue is after upstream's word.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal, assert_never

from gateway.domain import send_pace
from gateway.domain.backoff import Backoff
from gateway.domain.send_pace import Pace
from gateway.domain.sending import REACHED, Accepted, Answer, NotSent, Refused, Send, SendStatus, Unclear

PROBE_S = 300.0
"""First wait before a paused queue tries its next row; it doubles."""
SLOWEST_PROBE_S = 3_600.0
RESTRICTED_S = 3_600.0
"""First wait before a first contact is tried again; it doubles. WhatsApp names no time, and trying makes it worse."""
LONGEST_RESTRICTED_S = 86_400.0
TRIAL_S = 120.0
"""So long WhatsApp may take to say whether it takes a first contact again; until then no other one goes."""
TOLD_EARLY_S = 5.0
"""Webhooks have whole seconds of another clock: a failure may be told as older than its send."""
NOT_CONNECTED_S = 30.0
"""How long "not connected" from a send is believed against a status that says connected."""

PauseReason = Literal["rate_limit", "not_connected", "restricted", "unauthorized", "subscription", "gone"]


@dataclass(frozen=True, slots=True)
class Queue:
    """What a sender knows of its session beside the rows."""

    connected: bool = True
    not_connected_since: float | None = None
    """Also while a send was told so and the status says otherwise."""
    protected: bool = False
    """WasenderAPI's account protection is on."""
    pace: Pace = field(default_factory=Pace)
    reason: PauseReason | None = None
    """Why nothing goes, pace aside; restrictions hold only first contacts and stand apart."""
    paused_until: float = float("-inf")
    probes: int = 0
    """How often in a row the queue tried in vain after such a pause."""
    restricted_until: float = float("-inf")
    """No first contact goes before."""
    restricted_since: float | None = None
    """None while there is no restriction, as far as is known."""
    restrictions: int = 0
    """How often in a row WhatsApp has said so."""
    restriction_ended_at: float | None = None
    """When the last one ended; one that follows soon counts on."""
    trial: int | None = None
    """The first contact that went after a restriction's time: upstream took it, and WhatsApp has not spoken yet."""
    restriction_told_at: float | None = None
    """The last restriction that came after its send was accepted, as far as this queue has heeded it."""
    key_is_fresh: bool = False
    """The key was fetched anew for a send, so that a second 401 is believed."""


@dataclass(frozen=True, slots=True)
class Terms:
    """The limits of one sender."""

    keep_s: float = 24 * 3600.0
    """How long a due message waits for a connection, or for the end of a restriction. Of a session that is gone none is
    given up."""
    call_s: float = 20.0
    """The longest that a call may take; a lease that ends sooner lets none begin."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Make this row `sending`, commit, then call."""

    send: Send
    is_first_contact: bool


@dataclass(frozen=True, slots=True)
class Expire:
    """These have waited too long without a way out; each becomes `failed`."""

    sends: tuple[Send, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can go before `until` (None: before something changes)."""

    until: float | None = None
    reason: PauseReason | None = None


Step = Begin | Expire | Wait


def next_step(
    queue: Queue,
    sends: Iterable[Send],
    wrote: Callable[[str], bool],
    *,
    now: float,
    lease_until: float,
    terms: Terms,
) -> Step:
    """What the sender does now.

    `sends` are the session's rows in `queued` and `sending`; `wrote` tells whether a chat ever wrote to us, as known at
    this moment.
    """
    rows = list(sends)
    if expired := _expired(queue, rows, wrote, now, terms):
        return Expire(tuple(expired))
    if any(send.status is SendStatus.SENDING for send in rows):
        return Wait()  # one at a time; its answer, or the end of its holder, comes first
    waiting = [send for send in rows if send.status is SendStatus.QUEUED]
    due = heads([send for send in waiting if send.due_at <= now])
    later = min((send.due_at for send in waiting if send.due_at > now), default=None)
    if not due:
        return Wait(later)
    if not queue.connected:
        return _wait(queue, now, None, later, waiting, wrote, terms, "not_connected")
    if queue.paused_until > now or queue.reason == "gone":
        until = None if queue.reason == "gone" else queue.paused_until
        return _wait(queue, now, until, later, waiting, wrote, terms, queue.reason)
    known = [send for send in due if wrote(send.chat)]
    first = [send for send in due if not wrote(send.chat)]
    if not known and first and queue.restricted_until > now:
        return _wait(queue, now, queue.restricted_until, later, waiting, wrote, terms, "restricted")
    allowed_at = send_pace.allowed_at(queue.pace, now, protected=queue.protected)
    if allowed_at > now:
        reason: PauseReason | None = "rate_limit" if queue.pace.not_before > now else None
        return Wait(allowed_at, reason)
    if lease_until < now + terms.call_s:
        return Wait(None)  # the sender's next renewal wakes it
    return Begin(min(known or first, key=_age), is_first_contact=not known)


def heads(due: Iterable[Send]) -> list[Send]:
    """The one message of each chat that goes next: the oldest, a scheduled one at the place of its time."""
    scheduled: dict[str, Send] = {}
    plain: dict[str, Send] = {}
    for send in due:
        shelf, age = (plain, _by_id) if send.send_at is None else (scheduled, _age)
        if send.chat not in shelf or age(send) < age(shelf[send.chat]):
            shelf[send.chat] = send
    return [
        min((shelf[chat] for shelf in (plain, scheduled) if chat in shelf), key=_age)
        for chat in {**plain, **scheduled}
    ]


def _by_id(send: Send) -> tuple[float, int]:
    return (0.0, send.id)


def _age(send: Send) -> tuple[float, int]:
    return (send.due_at, send.id)


def _wait(
    queue: Queue,
    now: float,
    until: float | None,
    later: float | None,
    waiting: list[Send],
    wrote: Callable[[str], bool],
    terms: Terms,
    reason: PauseReason | None,
) -> Wait:
    """A wait that also ends when a message becomes due, or has waited too long."""
    ends = [until, later, *(_expires_at(queue, send, wrote, now, terms) for send in waiting)]
    return Wait(min((end for end in ends if end is not None), default=None), reason)


def _expired(
    queue: Queue, rows: list[Send], wrote: Callable[[str], bool], now: float, terms: Terms
) -> list[Send]:
    found = []
    for send in rows:
        if send.status is SendStatus.QUEUED:
            at = _expires_at(queue, send, wrote, now, terms)
            if at is not None and at <= now:
                found.append(send)
    return found


def _expires_at(
    queue: Queue, send: Send, wrote: Callable[[str], bool], now: float, terms: Terms
) -> float | None:
    """When a waiting message is given up; None while it only waits for its turn."""
    if queue.not_connected_since is not None:
        return max(send.due_at, queue.not_connected_since) + terms.keep_s
    is_restricted = queue.restricted_until > now and not wrote(send.chat)
    if queue.connected and is_restricted and queue.restricted_since is not None:
        return max(send.due_at, queue.restricted_since) + terms.keep_s
    return None


# ---------------------------------------------------------------------------------------------- after an answer


def answered(
    queue: Queue, answer: Answer, now: float, *, is_first_contact: bool = False, number: int | None = None
) -> Queue:
    """The queue after an answer to a send, whatever became of the row, whose number it is."""
    queue = _heard(queue, answer)
    on_trial = number is not None and is_first_contact and queue.restricted_since is not None
    match answer:
        case Accepted():
            pace = send_pace.accepted(queue.pace, now, _spent_s(queue, answer))
            queue = replace(queue, reason=None, probes=0, key_is_fresh=False, pace=pace)
            return replace(queue, trial=number, restricted_until=now + TRIAL_S) if on_trial else queue
        case NotSent():
            return _after_not_sent(queue, answer, now, is_first_contact)
        case Refused() | Unclear():
            # Upstream may count what it refused, and what it took without a word.
            queue = replace(queue, pace=send_pace.accepted(queue.pace, now))
            if isinstance(answer, Refused) or not is_first_contact:
                return queue
            if answer.is_restriction:
                return restricted(queue, now)
            return replace(queue, trial=number, restricted_until=now + TRIAL_S) if on_trial else queue
        case _:
            assert_never(answer)


def _spent_s(queue: Queue, answer: Accepted) -> float | None:
    """What the headers say, unless it is account protection, rounded up to whole seconds: that is known exactly."""
    is_protection = (
        queue.protected and answer.spent_s is not None and answer.spent_s <= send_pace.PROTECTION_S + 1.0
    )
    return None if is_protection else answer.spent_s


def _heard(queue: Queue, answer: Answer) -> Queue:
    """Whatever else upstream says of a send, it does not say that the number is not connected."""
    is_silent = isinstance(answer, Unclear) or (
        isinstance(answer, NotSent) and answer.reason in ("not_connected", "not_reached")
    )
    if is_silent or not queue.connected or queue.not_connected_since is None:
        return queue
    return replace(
        queue, not_connected_since=None, reason=None if queue.reason == "not_connected" else queue.reason
    )


def _after_not_sent(queue: Queue, answer: NotSent, now: float, is_first_contact: bool) -> Queue:
    match answer.reason:
        case "rate_limit":
            wait_s = answer.retry_after_s or send_pace.PROTECTION_S
            return replace(queue, pace=send_pace.refused(queue.pace, now, wait_s))
        case "restricted" if is_first_contact:
            return restricted(queue, now)
        case "unauthorized" if not queue.key_is_fresh:
            return replace(queue, key_is_fresh=True)  # the caller fetches the key; the next 401 pauses
        case "not_reached":
            wait_s = Backoff(1.0, NOT_CONNECTED_S).pause_s(queue.probes + 1)
            return replace(queue, paused_until=now + wait_s, reason=None, probes=queue.probes + 1)
        case "not_connected":
            since = queue.not_connected_since if queue.not_connected_since is not None else now
            until = now + NOT_CONNECTED_S
            return replace(queue, reason="not_connected", paused_until=until, not_connected_since=since)
        case "unauthorized" | "subscription" | "gone" | "restricted":
            wait_s = Backoff(PROBE_S, SLOWEST_PROBE_S).pause_s(queue.probes + 1)
            until = now + max(wait_s, answer.retry_after_s or 0.0)
            return replace(
                queue, reason=answer.reason, paused_until=until, probes=queue.probes + 1, key_is_fresh=False
            )
        case _:
            assert_never(answer.reason)


def restricted(queue: Queue, now: float) -> Queue:
    """WhatsApp refuses new chats: first contacts wait, everything else goes on."""
    ended_at = queue.restriction_ended_at
    is_new = queue.restricted_since is None and (ended_at is None or now > ended_at + LONGEST_RESTRICTED_S)
    count = 1 if is_new else queue.restrictions + 1
    return replace(
        queue,
        restricted_until=now + Backoff(RESTRICTED_S, LONGEST_RESTRICTED_S).pause_s(count),
        restricted_since=now if queue.restricted_since is None else queue.restricted_since,
        restrictions=count,
        trial=None,
    )


def restriction_told(queue: Queue, at: float) -> Queue:
    """A first contact that was accepted has failed by a restriction. Each is heeded once.

    Those that were accepted before the first one failed tell of the same restriction; one that fails after a trial
    began tells that the restriction is not over.
    """
    if queue.restriction_told_at is not None and at <= queue.restriction_told_at:
        return queue
    told = replace(queue, restriction_told_at=at)
    known_until = queue.restricted_until - (0.0 if queue.trial is None else TRIAL_S + TOLD_EARLY_S)
    return told if at < known_until else restricted(told, at)


def trial_stands(queue: Queue, status: SendStatus | None, now: float) -> Queue:
    """What the row of the trial says: WhatsApp has it, so that there is no restriction; or it says nothing of one.

    What upstream alone has taken says nothing yet.
    """
    if queue.trial is None or status in (SendStatus.SENDING, SendStatus.ACCEPTED, SendStatus.UNKNOWN):
        return queue
    if status in REACHED:
        return first_contact_went(queue, now)
    return replace(queue, trial=None)  # the next one waits for as long as this one might have


def first_contact_went(queue: Queue, now: float) -> Queue:
    """WhatsApp has taken a first contact: there is no restriction."""
    return replace(
        queue,
        restricted_until=float("-inf"),
        restricted_since=None,
        restriction_ended_at=now,
        trial=None,
    )


def connection_changed(queue: Queue, connected: bool, now: float) -> Queue:
    """The session's status says so; what a send was told before counts no more."""
    if not connected:
        since = queue.not_connected_since if queue.not_connected_since is not None else now
        return replace(queue, connected=False, not_connected_since=since)
    queue = replace(queue, connected=True, not_connected_since=None)
    if queue.reason in ("not_connected", "gone"):
        return replace(queue, reason=None, paused_until=float("-inf"), probes=0)
    return queue


def session_gone(queue: Queue) -> Queue:
    """Upstream has no such session: everything waits, and nothing is given up."""
    return replace(queue, connected=False, not_connected_since=None)


def session_found(queue: Queue) -> Queue:
    """Upstream has the session after all: the next row goes now. If it has not, the pauses go on to double."""
    return replace(queue, reason=None, paused_until=float("-inf")) if queue.reason == "gone" else queue


def key_changed(queue: Queue) -> Queue:
    """The session has another API key: a pause for the old one is over."""
    if queue.reason != "unauthorized":
        return replace(queue, key_is_fresh=False)
    return replace(queue, reason=None, paused_until=float("-inf"), probes=0, key_is_fresh=False)


# ---------------------------------------------------------------------------------------------- what people see


def as_session(queue: Queue, *, connected: bool, protected: bool) -> Queue:
    """What a sender knew of the queue, with what the session's row says now."""
    return replace(queue, connected=connected, protected=protected)


def time_of(queue: Queue, place: int | None, due_at: float, *, is_known: bool, now: float) -> float | None:
    """When the message at this place (from 1) may go; None while nothing goes, and for one without a place yet."""
    is_held = not queue.connected or queue.reason is not None
    if place is None or is_held or (queue.restricted_until > now and not is_known):
        return None
    gap_s = send_pace.gap_s(queue.pace, now, protected=queue.protected)
    start = max(now, send_pace.allowed_at(queue.pace, now, protected=queue.protected), queue.paused_until)
    return max(due_at, start + (place - 1) * gap_s)
