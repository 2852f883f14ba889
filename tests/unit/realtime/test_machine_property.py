"""Whatever happens in whatever order: no gap, no double, no other history, bounded bytes, and everybody gets there."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.realtime.machine import MOST_BYTES, Client, Core, quiet

INBOXES = st.sampled_from([0, 1, 2])


class Machine(RuleBasedStateMachine):
    """One client, three inboxes, writers, and everything that can go wrong between them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.core = self.run(self._begin())
        self.client = Client(self.core.streams)
        self.wished: set[str] = set()

    async def _begin(self) -> Core:
        core = Core()
        await core.feed.open()
        return core

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def take(self) -> None:
        self.client.take(self.core.pipe.frames)

    # ------------------------------------------------------------------------------------------ the store

    @rule(inbox=INBOXES, count=st.sampled_from([1, 1, 1, 3, 40, 300]))
    def write(self, inbox: int, count: int) -> None:
        self.core.streams.write(inbox, count)

    @rule(inbox=INBOXES)
    def write_and_ring(self, inbox: int) -> None:
        self.core.streams.write(inbox, 1)
        self.core.feed.notify(str(inbox))
        self.run(self.core.turn())

    @rule(inboxes=st.sets(INBOXES, min_size=1))
    def ring(self, inboxes: set[int]) -> None:
        self.core.feed.notify(",".join(map(str, inboxes)))
        self.run(self.core.turn())

    @rule()
    def tick(self) -> None:
        self.core.feed.notify("*")
        self.run(self.core.turn())

    @rule(inbox=INBOXES)
    def flood(self, inbox: int) -> None:
        self.core.streams.write(inbox, 0)
        self.core.streams.flood(inbox)

    @rule(inbox=INBOXES, share=st.floats(0, 1))
    def prune(self, inbox: int, share: float) -> None:
        self.core.streams.write(inbox, 0)
        self.core.streams.prune(inbox, share)

    @rule(is_away=st.booleans())
    def outage(self, is_away: bool) -> None:
        self.core.streams.is_away = is_away

    # ------------------------------------------------------------------------------------------ the client

    @rule(is_stalled=st.booleans())
    def read_or_not(self, is_stalled: bool) -> None:
        self.core.pipe.is_stalled = is_stalled
        if not is_stalled:
            self.core.pipe.read()
        self.run(quiet())

    @rule()
    def heartbeat(self) -> None:
        self.core.connection.heartbeat()
        self.take()

    @precondition(lambda self: "inbox:*" not in self.wished)
    @rule(inbox=INBOXES, resumes=st.booleans(), shift=st.sampled_from([0, 0, 0, -1, -5, 1, 1000]))
    def subscribe(self, inbox: int, resumes: bool, shift: int) -> None:
        self.take()
        known = self.client.at.get(str(inbox))
        more = {"after": {"off": known[0] + shift, "epoch": known[1]}} if resumes and known else {}
        self._subscribe(f"inbox:{inbox}", more)

    @precondition(lambda self: self.wished <= {"inbox:*"})
    @rule(resumes=st.booleans())
    def subscribe_to_all(self, resumes: bool) -> None:
        self.take()
        after = {inbox: {"off": off, "epoch": epoch} for inbox, (off, epoch) in self.client.at.items()}
        self._subscribe("inbox:*", {"after": after} if resumes else {})

    def _subscribe(self, topic: str, more: dict[str, Any]) -> None:
        self.run(self.core.ask(type="subscribe", ref=topic, topic=topic, **more))
        is_refused = any(item["type"] == "error" for item in self.core.pipe.frames)
        if not is_refused:
            self.wished.add(topic)
        self.run(quiet())

    @precondition(lambda self: self.wished)
    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        topic = data.draw(st.sampled_from(sorted(self.wished)))
        self.run(self.core.ask(type="unsubscribe", ref="u", topic=topic))
        self.wished.discard(topic)

    @rule()
    def come_back(self) -> None:
        """The socket is cut; whatever was on its way is lost with it."""
        self.take()
        self.core.reconnect()
        topics, self.wished = self.wished, set()
        for topic in sorted(topics):
            if topic == "inbox:*":
                self.subscribe_to_all(resumes=True)
            else:
                self.subscribe(int(topic[6:]), resumes=True, shift=0)

    # ------------------------------------------------------------------------------------------ what must hold

    @invariant()
    def nothing_is_wrong(self) -> None:
        self.take()
        assert self.core.pipe.most <= MOST_BYTES

    def teardown(self) -> None:
        try:
            self.core.streams.is_away = False
            self.core.pipe.is_stalled = False
            self.core.pipe.read()
            for _ in range(12):
                self.core.feed.notify("*")
                self.run(self.core.turn())
                self.take()
            for topic in self.wished:
                assert topic in self.client.announced, f"{topic} never became live"
                for inbox, stream in self.core.streams.streams.items():
                    is_new = str(inbox) not in self.client.at and not stream.events
                    if topic in (f"inbox:{inbox}", "inbox:*") and not is_new:
                        assert self.client.at[str(inbox)] == (stream.top, stream.epoch), inbox
        finally:
            self.core.connection.end()
            self.run(quiet())
            self.loop.close()


class MachineWithBackups(Machine):
    """As above; now and then an older database is brought back."""

    @rule(count=st.integers(1, 20))
    def go_back(self, count: int) -> None:
        # At a moment when the gateway knows the tops: what has shrunk and grown again unseen is not its to see.
        self.core.streams.is_away = False
        self.tick()
        self.take()
        self.core.streams.go_back(count)
        self.tick()


bounded = settings(
    max_examples=50, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestMachine = Machine.TestCase
TestMachine.settings = bounded
TestMachineWithBackups = MachineWithBackups.TestCase
TestMachineWithBackups.settings = settings(bounded, max_examples=25)
