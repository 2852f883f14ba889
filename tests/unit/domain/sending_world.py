"""A world around the pure queue: rows as a database has them, an upstream with a will of its own, and people.

It keeps its own books: what upstream accepted, and every step of every row. The tests compare the rows with those.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Literal

from gateway.domain import send_evidence, send_queue, sending
from gateway.domain.send_evidence import Evidence
from gateway.domain.send_queue import Begin, Expire, Queue, Terms
from gateway.domain.sending import Accepted, Answer, NotSent, Refused, Send, SendStatus, Unclear

Mood = Literal[
    "accepts", "accepts_silently", "resets_before", "fails", "limits", "refuses", "not_connected", "unauthorized",
    "subscription", "restricts", "unreachable",
]  # fmt: skip
TERMS = Terms(keep_s=3_600.0)
CALL_S = 15.0


@dataclass
class Call:
    """One call under way: the answer that it will have, whether or not its sender still waits."""

    begun: Send
    answer: Answer


@dataclass
class World:
    now: float = 1_000_000.0
    queue: Queue = field(default_factory=lambda: Queue(protected=False))
    rows: dict[int, Send] = field(default_factory=dict)
    wrote: set[str] = field(default_factory=set)
    call: Call | None = None
    late: list[Call] = field(default_factory=list)
    """Calls of senders that have died or frozen."""

    accepted: list[tuple[int, int, str]] = field(default_factory=list)
    """What upstream took: row, attempt, key. In its order."""
    calls: Counter[tuple[int, int]] = field(default_factory=Counter)
    retries: Counter[int] = field(default_factory=Counter)
    steps: list[tuple[Send, Send]] = field(default_factory=list)
    """Every change of a status, but a person's retry."""
    evidence: list[Evidence] = field(default_factory=list)
    reported: set[str] = field(default_factory=set)
    rejected: set[str] = field(default_factory=set)
    """Keys of which upstream later says that they failed."""
    _ids: "count[int]" = field(default_factory=lambda: count(1))
    _numbers: "count[int]" = field(default_factory=lambda: count(100_000))

    def put(self, send: Send) -> None:
        before = self.rows.get(send.id)
        if before is not None and before.status is not send.status:
            self.steps.append((before, send))
        self.rows[send.id] = send

    def write(self, chat: str, content: str, send_in_s: float | None) -> Send:
        send_at = None if send_in_s is None else self.now + send_in_s
        send = Send(id=next(self._ids), chat=chat, queued_at=self.now, content=content, send_at=send_at)
        self.put(send)
        return send

    def open_rows(self) -> list[Send]:
        return [row for row in self.rows.values() if row.status in (SendStatus.QUEUED, SendStatus.SENDING)]

    # ------------------------------------------------------------------ the sender

    def step(self, mood: Mood) -> send_queue.Step:
        step = send_queue.next_step(
            self.queue,
            self.open_rows(),
            self.wrote.__contains__,
            now=self.now,
            lease_until=self.now + 60,
            terms=TERMS,
        )
        if isinstance(step, Expire):
            for send in step.sends:
                self.put(sending.expire(send))
        elif isinstance(step, Begin):
            self.put(sending.begin(step.send, self.now, is_first_contact=step.is_first_contact))
            self._upstream_gets(self.rows[step.send.id], mood)
        return step

    def _upstream_gets(self, send: Send, mood: Mood) -> None:
        self.calls[send.id, send.attempt] += 1
        msg_id = next(self._numbers)
        takes = mood in ("accepts", "accepts_silently") or (mood == "restricts" and not send.is_first_contact)
        if takes:
            key = f"3EB0{send.id}-{send.attempt}"
            self.accepted.append((send.id, send.attempt, key))
        answer = _answer(mood, msg_id, send.is_first_contact)
        self.call = Call(send, answer)

    def answer(self) -> None:
        """The answer reaches its sender."""
        assert self.call is not None
        call, self.call = self.call, None
        self._apply(call)

    def _apply(self, call: Call) -> None:
        self.queue = send_queue.answered(
            self.queue, call.answer, self.now, is_first_contact=call.begun.is_first_contact
        )
        self.put(sending.answered(self.rows[call.begun.id], call.begun, call.answer))

    def sender_dies(self, answer_comes: bool) -> None:
        """Another gateway takes over; the call's answer may still come to the old one, which is only frozen."""
        if self.call is not None and answer_comes:
            self.late.append(self.call)
        self.call = None
        self.queue = replace(self.queue, pace=Queue().pace)
        for send in self.open_rows():
            if send.status is SendStatus.SENDING:
                self.put(sending.orphaned(send))

    def late_answer(self) -> None:
        self._apply(self.late.pop(0))

    # ------------------------------------------------------------------ what upstream tells later

    def tell_sent(self, index: int) -> None:
        """`message.sent`, or message info: the key of something accepted."""
        send_id, attempt, key = self.accepted[index]
        row = self.rows[send_id]
        if key in self.reported:
            return
        self.reported.add(key)
        if row.attempt == attempt and row.status is SendStatus.ACCEPTED:
            self.put(sending.reported(row, SendStatus.SENT, key_id=key))
        else:
            self.evidence.append(Evidence(key, row.chat, row.content, self.now))
        self.settle_by_evidence()

    def tell_state(self, index: int, status: SendStatus) -> None:
        """A delivery state, matched by its key as the store does."""
        _, _, key = self.accepted[index]
        for row in list(self.rows.values()):
            if row.key_id == key:
                after = sending.reported(row, status)
                if after.error_code == "upstream":
                    self.rejected.add(key)
                elif status is not SendStatus.FAILED and after.status in sending.REACHED:
                    self.rejected.discard(key)  # it arrived after all
                self.put(after)

    def settle_by_evidence(self) -> None:
        claimed = {row.key_id for row in self.rows.values() if row.key_id}
        for send in send_evidence.settled(self.rows.values(), self.evidence, claimed):
            self.put(send)

    # ------------------------------------------------------------------ people

    def retry(self, send: Send) -> None:
        self.retries[send.id] += 1
        self.rows[send.id] = sending.retry(send, self.now)

    # ------------------------------------------------------------------ the books

    def taken(self, send: Send) -> bool:
        """Whether upstream has accepted the row's newest attempt, and has not taken that back."""
        return any(
            (row, attempt) == (send.id, send.attempt) and key not in self.rejected
            for row, attempt, key in self.accepted
        )


def _answer(mood: Mood, msg_id: int, is_first_contact: bool) -> Answer:
    match mood:
        case "accepts":
            return Accepted(msg_id)
        case "accepts_silently" | "resets_before" | "fails":
            return Unclear("WasenderAPI did not answer.")
        case "limits":
            return NotSent("rate_limit", "slow down", 4.0)
        case "refuses":
            return Refused("JID does not exist on WhatsApp", "not_on_whatsapp")
        case "not_connected" | "unauthorized" | "subscription":
            return NotSent(mood, mood)
        case "restricts":
            return NotSent("restricted", "error 463") if is_first_contact else Accepted(msg_id)
        case "unreachable":
            return NotSent("not_reached", "connection refused")
