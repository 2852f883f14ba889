"""Chance against the queue of one session: two gateways that die and freeze, a Postgres that goes away before and after
commits, an upstream of all moods, people who write and cancel, a connection that comes and goes.

`python -m tests.unit.services.sender_hunt 1000` runs that many seeds and says what they came to.
"""

import asyncio
import random
import sys
from collections import Counter

from gateway.domain import sending
from gateway.domain.send_queue import Terms
from gateway.domain.sending import REACHED, SendStatus
from gateway.services.sending.ports import SendingContext
from gateway.services.sending.sender import Sender
from tests.clock import VirtualLoop, now
from tests.unit.services.send_fakes import FakePreparation, FakeUpstream, MemoryStore

S = SendStatus
CHATS = ("ann", "bob", "cem", "dee")
MOODS = (
    "accepts", "accepts", "accepts", "accepts", "accepts_silently", "resets", "limits", "refuses", "not_connected",
    "unauthorized", "not_reached",
)  # fmt: skip
TROUBLE_S = 400.0


class Hunt:
    """One seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.began = now()
        self.store = MemoryStore(self._trouble)
        self.store.wrote.update(self.random.sample(CHATS, 2))
        self.upstream = FakeUpstream(self._mood, lambda: self.random.choice((0.05, 0.3, 2.0, 12.0)))
        self.context = SendingContext(
            self.store, self.upstream, FakePreparation(), now, lambda _: float("inf"), Terms(keep_s=1e9)
        )
        self.tasks: list[asyncio.Task[None]] = []
        self.senders: list[Sender] = []

    @property
    def _is_over(self) -> bool:
        return now() > self.began + TROUBLE_S

    def _trouble(self, name: str) -> str | None:
        if self._is_over or self.random.random() > 0.08:
            return None
        moments = ("before", "after", "late") if name == "begin" else ("before", "after")
        return self.random.choice(moments)

    def _mood(self) -> str:
        return "accepts" if self._is_over else self.random.choice(MOODS)

    def new_sender(self) -> None:
        """Another gateway takes over. The former one may be dead, frozen, or only believed to be."""
        if self.tasks and self.random.random() < 0.5:
            self.tasks[-1].cancel()
        sender = Sender(12, f"holder-{len(self.tasks)}", self.context)
        self.senders.append(sender)
        self.tasks.append(asyncio.create_task(sender.run()))

    def act(self) -> None:
        """One thing that may happen."""
        match self.random.randrange(12):
            case 0 | 1 | 2 | 3 | 4:
                at = now() + self.random.uniform(1, 200) if self.random.random() < 0.1 else None
                self.store.write(self.random.choice(CHATS), send_at=at)
            case 5:
                self.store.wrote.add(self.random.choice(CHATS))
            case 6:
                self.store.connect(self.random.random() < 0.6)
            case 7:
                self.new_sender()
            case 8:
                waiting = [row for row in self.store.rows.values() if row.status is S.QUEUED]
                if waiting:
                    row = self.random.choice(waiting)
                    self.store.put(sending.cancel(row))
            case 9:
                for commit in self.store.late_commits:
                    commit()
                self.store.late_commits.clear()
            case _:
                pass
        if self.random.random() < 0.7:
            self.senders[-1].wake()

    async def run(self) -> Counter[str]:
        """Lets chance work, then peace; raises AssertionError where a promise is broken."""
        self.new_sender()
        while not self._is_over:
            self.act()
            await asyncio.sleep(self.random.expovariate(0.3))
        self.store.late_commits.clear()
        self.store.connect(True)
        self.new_sender()
        async with asyncio.timeout(40_000):
            while any(row.status in (S.QUEUED, S.SENDING) for row in self.store.rows.values()):
                await self.store.changed.wait()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.check()
        return Counter(row.status.value for row in self.store.rows.values())

    def check(self) -> None:
        """Upstream's books against the rows."""
        taken = Counter(self.upstream.accepted)
        assert all(times == 1 for times in self.upstream.calls.values()), self.upstream.calls
        assert len({row for row, _ in taken}) == len(taken), "a message was taken twice"
        for row in self.store.rows.values():
            was_taken = (row.id, row.attempt) in taken
            match row.status:
                case S.FAILED | S.CANCELLED:
                    assert not was_taken, row
                case S.UNKNOWN:
                    pass
                case _:
                    assert row.status is S.ACCEPTED or row.status in REACHED, row
                    assert was_taken, row
        for chat in CHATS:
            rows = (self.store.rows[number] for number, _ in self.upstream.accepted)
            # A call of a frozen sender may arrive after later ones: an unknown message holds up none.
            of_chat = [row for row in rows if row.chat == chat and row.send_at is None]
            plain = [row.id for row in of_chat if row.id not in self.store.were_unknown]
            assert plain == sorted(plain), (chat, plain)


def hunt(seed: int) -> Counter[str]:
    """What became of the messages of that seed. Raises AssertionError where a promise is broken."""

    async def main() -> Counter[str]:
        return await Hunt(seed).run()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


if __name__ == "__main__":
    total: Counter[str] = Counter()
    for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000):
        total += hunt(seed)
    sys.stdout.write(f"{sum(total.values())} messages: {dict(total)}\n")
