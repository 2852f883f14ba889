"""Whatever a line does to the frames, a reader sees each event once, in order, or is told to load again."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.client.topics import Phase
from tests.unit.client.model import Bench

INBOXES = st.sampled_from(["1", "2", "3"])


class Trouble(RuleBasedStateMachine):
    """Rules are what writers, the line, retention and the reader do. The reader itself fails on doubles and holes."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(after={})
        self.topic = self.bench.topic
        self.server = self.bench.server
        self.topic.join()
        self.restored: set[str] = set()
        """The client has not been told yet that these were."""

    @initialize(names_new=st.booleans())
    def names_new(self, names_new: bool) -> None:
        self.server.names_new = names_new

    @rule(inbox=INBOXES, count=st.integers(1, 5))
    def write(self, inbox: str, count: int) -> None:
        for _ in range(count):
            self.server.write(inbox)

    @rule(inbox=INBOXES)
    def begin_anew(self, inbox: str) -> None:
        if inbox in self.server.inboxes:
            self.server.begin_anew(inbox)

    @rule(inbox=INBOXES)
    def forget(self, inbox: str) -> None:
        if inbox in self.server.inboxes:
            self.server.forget(inbox)

    @rule(count=st.integers(1, 10))
    def deliver(self, count: int) -> None:
        self.bench.deliver(count)

    @rule()
    def beat(self) -> None:
        self.server.beat()

    @rule()
    def cut(self) -> None:
        self.bench.reconnect()

    @rule(inbox=INBOXES)
    def restore(self, inbox: str) -> None:
        if inbox in self.server.inboxes:
            self.server.restore(inbox)
            self.restored.add(inbox)
            self.bench.reconnect()

    @rule(is_away=st.booleans())
    def database(self, is_away: bool) -> None:
        self.server.is_away = is_away

    @rule()
    def retry(self) -> None:
        while self.bench.retries:
            self.bench.retries.pop()()

    @rule()
    def fall_behind(self) -> None:
        self.topic.fall_behind()

    @rule()
    def catch_up(self) -> None:
        self.topic.catch_up()

    # ------------------------------------------------------------------------------------------ the line

    def events(self) -> list[int]:
        """Where events are on the line: answers are never lost on a connection that lives, and not overtaken."""
        return [number for number, frame in enumerate(self.server.line) if frame["type"] == "event"]

    def run_of(self, number: int) -> range:
        """The events around this one, up to the next answer on either side."""
        events = set(self.events())
        start = end = number
        while start - 1 in events:
            start -= 1
        while end + 1 in events:
            end += 1
        return range(start, end + 1)

    @precondition(lambda self: self.events())
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        del self.server.line[data.draw(st.sampled_from(self.events()))]

    @precondition(lambda self: self.events())
    @rule(data=st.data())
    def double(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(self.events()))
        place = data.draw(st.integers(self.run_of(number).start, len(self.server.line)))
        self.server.line.insert(place, self.server.line[number])

    @precondition(lambda self: len(self.events()) > 1)
    @rule(data=st.data())
    def swap(self, data: st.DataObject) -> None:
        line, one = self.server.line, data.draw(st.sampled_from(self.events()))
        other = data.draw(st.sampled_from(self.run_of(one)))
        line[one], line[other] = line[other], line[one]

    # ------------------------------------------------------------------------------------------ what holds

    @invariant()
    def nothing_is_shown_that_is_not_there(self) -> None:
        if self.topic.phase is Phase.LIVE:
            self.restored.clear()
        for inbox, off in self.bench.reader.shown.items():
            assert inbox in self.restored or off <= self.server.inboxes[inbox].top

    def teardown(self) -> None:
        """The trouble ends: after what is on its way, and a heartbeat or two, everything is shown."""
        self.server.is_away = False
        self.topic.catch_up()
        for _ in range(3):
            self.retry()
            self.bench.deliver()
            self.server.beat()
        self.bench.deliver()
        assert self.topic.phase is Phase.LIVE
        tops = {inbox: history.top for inbox, history in self.server.inboxes.items()}
        assert self.bench.reader.shown == tops
        for inbox, epochs in self.bench.reader.epochs.items():
            assert epochs <= {self.server.inboxes[inbox].epoch}, "two histories are mixed"


Trouble.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestTrouble = Trouble.TestCase
