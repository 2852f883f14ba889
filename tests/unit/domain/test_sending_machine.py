"""Whatever upstream, the network, other gateways and people do to a queue, in whatever order."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.domain import send_queue, sending
from gateway.domain.errors import Conflict
from gateway.domain.send_evidence import Evidence
from gateway.domain.sending import STEPS, SendStatus
from tests.unit.domain.sending_world import Mood, World

CHATS = st.sampled_from(["ann", "ann", "bob"])
WORDS = st.sampled_from(["ok", "ok", "ok", "yes"])
MOODS: st.SearchStrategy[Mood] = st.sampled_from(
    [
        "accepts", "accepts", "accepts", "accepts_silently", "accepts_silently", "resets_before", "fails", "limits",
        "refuses", "not_connected", "unauthorized", "subscription", "restricts", "unreachable",
    ]
)  # fmt: skip
STATES = st.sampled_from(
    [SendStatus.SENT, SendStatus.DELIVERED, SendStatus.READ, SendStatus.PLAYED, SendStatus.FAILED]
)
_ORDER = list(SendStatus)[:7]


class Sending(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(chat=CHATS, words=WORDS, send_in_s=st.sampled_from([None, None, None, 30.0, 600.0]))
    def an_agent_writes(self, chat: str, words: str, send_in_s: float | None) -> None:
        self.world.now += 0.001
        self.world.write(chat, words, send_in_s)

    @precondition(lambda self: self.world.call is None)
    @rule(chat=CHATS, words=WORDS, mood=MOODS)
    def a_message_is_written_and_tried(self, chat: str, words: str, mood: Mood) -> None:
        """In one rule what takes four: so that chance gets to the states in which several things have gone wrong."""
        self.world.write(chat, words, None)
        self.world.now += 61.0
        self.world.step(mood)
        if self.world.call is not None:
            self.world.answer()

    @rule(chat=CHATS)
    def a_customer_writes(self, chat: str) -> None:
        self.world.wrote.add(chat)

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0, 61.0, 700.0, 4_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.now += seconds

    @precondition(lambda self: self.world.call is None)
    @rule(mood=MOODS)
    def the_sender_steps(self, mood: Mood) -> None:
        self.world.step(mood)

    @precondition(lambda self: self.world.call is not None)
    @rule()
    def an_answer_comes(self) -> None:
        self.world.answer()

    @rule(answer_comes=st.booleans())
    def the_sender_dies(self, answer_comes: bool) -> None:
        self.world.sender_dies(answer_comes)

    @precondition(lambda self: self.world.late)
    @rule()
    def a_late_answer_comes(self) -> None:
        self.world.late_answer()

    @precondition(lambda self: self.world.accepted)
    @rule(data=st.data())
    def upstream_names_a_key(self, data: st.DataObject) -> None:
        self.world.now += 0.001
        self.world.tell_sent(data.draw(st.integers(0, len(self.world.accepted) - 1)))

    @precondition(lambda self: self.world.accepted)
    @rule(data=st.data(), state=STATES)
    def upstream_tells_a_state(self, data: st.DataObject, state: SendStatus) -> None:
        self.world.tell_state(data.draw(st.integers(0, len(self.world.accepted) - 1)), state)

    @rule(connected=st.booleans())
    def the_connection_changes(self, connected: bool) -> None:
        self.world.queue = send_queue.connection_changed(self.world.queue, connected, self.world.now)

    @rule()
    def the_key_changes(self) -> None:
        self.world.queue = send_queue.key_changed(self.world.queue)

    @precondition(lambda self: self.world.rows)
    @rule(data=st.data(), act=st.sampled_from(["cancel", "retry", "settle_true", "settle_false"]))
    def a_person_acts(self, data: st.DataObject, act: str) -> None:
        world = self.world
        send = world.rows[data.draw(st.sampled_from(sorted(world.rows)))]
        try:
            if act == "cancel":
                world.put(sending.cancel(send))
            elif act == "retry":
                world.retry(send)
            elif (act == "settle_true") is world.taken(send):  # this person knows the truth
                world.put(sending.settle(send, act == "settle_true", world.now))
        except Conflict:
            assert world.rows[send.id] is send

    # ------------------------------------------------------------------ what always holds

    @invariant()
    def upstream_takes_at_most_one_per_attempt_and_only_a_retry_begins_another(self) -> None:
        assert all(times == 1 for times in self.world.calls.values())
        for row in self.world.rows.values():
            taken = [one for one in self.world.accepted if one[0] == row.id]
            assert len(taken) <= 1 + self.world.retries[row.id]

    @invariant()
    def no_status_goes_backwards(self) -> None:
        for before, after in self.world.steps:
            assert after.status in STEPS[before.status]
            if before.status in _ORDER and after.status in _ORDER and after.status is not SendStatus.QUEUED:
                assert _ORDER.index(after.status) > _ORDER.index(before.status)
        requeued = [(b, a) for b, a in self.world.steps if a.status is SendStatus.QUEUED]
        assert all(not self.world.taken(before) for before, _ in requeued)

    @invariant()
    def nothing_marked_failed_was_taken_unless_upstream_took_it_back(self) -> None:
        for row in self.world.rows.values():
            if row.status is SendStatus.FAILED and row.error_code != "upstream":
                assert not self.world.taken(row), row

    @invariant()
    def nothing_marked_sent_was_not(self) -> None:
        for row in self.world.rows.values():
            if row.status in (SendStatus.ACCEPTED, *sending.REACHED):
                assert self.world.taken(row), row

    @invariant()
    def a_key_belongs_to_one_row(self) -> None:
        keys = [row.key_id for row in self.world.rows.values() if row.key_id]
        assert len(keys) == len(set(keys))

    @invariant()
    def within_a_chat_the_order_is_total(self) -> None:
        for chat in ("ann", "bob"):
            plain = [
                row.id
                for row in (self.world.rows[send_id] for send_id, _, _ in self.world.accepted)
                if row.chat == chat and row.send_at is None and not self.world.retries[row.id]
            ]
            assert plain == sorted(plain)

    @invariant()
    def one_send_at_a_time(self) -> None:
        under_way = [row for row in self.world.rows.values() if row.status is SendStatus.SENDING]
        assert len(under_way) == (self.world.call is not None)

    def teardown(self) -> None:
        """When the trouble is over, everything that waits goes, and nothing is left between."""
        world = self.world
        world.queue = send_queue.key_changed(send_queue.connection_changed(world.queue, True, world.now))
        if world.call is not None:
            world.answer()
        for _ in range(4 * len(world.rows) + 40):
            if not world.open_rows():
                break
            step = world.step("accepts")
            if isinstance(step, send_queue.Begin):
                world.answer()
            elif isinstance(step, send_queue.Wait):
                assert step.until is not None, (step, world.queue, world.open_rows())
                world.now = max(world.now + 0.001, step.until)
        assert not world.open_rows()


Sending.TestCase.settings = settings(
    max_examples=150,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestSending: Any = Sending.TestCase


def test_a_piece_of_evidence_of_the_phone_alone_settles_nothing() -> None:
    """Typed on the phone at the same moment with the same words: an echo, whose key upstream names for no send."""
    world = World()
    world.write("ann", "ok", None)
    world.step("resets_before")
    world.answer()
    world.settle_by_evidence()

    assert [row.status for row in world.rows.values()] == [SendStatus.UNKNOWN]
    assert Evidence("K", "ann", "ok", world.now) not in world.evidence
