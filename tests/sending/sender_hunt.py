"""Chance against the queue in its real table: gateways that take over from one another, freeze and die in the middle,
connections that Postgres ends, commits of which no word or a late one comes back, an upstream of several moods, people
who cancel, reword and retry, and evidence that settles.

`python -m tests.sending.sender_hunt --seeds 200` hunts on a server of its own. The clock is the real one, and account
protection is off: it makes each message wait for 5.5 s. The schedule is not part of the seed: run one that fails again.
"""

import argparse
import asyncio
import contextlib
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from functools import partial
from typing import Any, TypeVar

import asyncpg

from gateway.domain import sending
from gateway.domain.errors import Conflict, StoreUnavailable
from gateway.domain.message import DeliveryState
from gateway.domain.send_queue import Queue
from gateway.domain.sending import REACHED, Answer, Refused, Send, SendStatus
from gateway.postgres.connection.pool import open_pool, prepare
from gateway.postgres.sending.checks import CheckTable
from gateway.postgres.sending.outbox import OutboxTable
from gateway.postgres.sending.store import SendTable
from gateway.services.sending.ports import QueueView, SendingContext, Start
from gateway.services.sending.sender import Sender
from tests.postgres_fixtures import FAST, clone, dismiss, serving_cluster
from tests.unit.services.send_fakes import FakePreparation, FakeUpstream

S = SendStatus
T = TypeVar("T")
CHATS = ("15550001@s.whatsapp.net", "15550002@s.whatsapp.net", "15550003@s.whatsapp.net")
MOODS = ("accepts",) * 6 + ("accepts_silently", "accepts_silently", "resets", "refuses", "not_reached")
MESSAGES = 24
AT_ONCE = 8
"""Seeds, each a session of its own, that share the connections and their trouble."""
DEADLINE_S = 60.0
KILL_EVERY_S = 0.7
IN_THE_WAY = "another transaction was in the way"
PEOPLE = {"application_name": "people", "timezone": "UTC"}
"""Postgres ends the connections of gateways alone: what goes wrong with people's is a finding."""

_SESSION = """
INSERT INTO whatsapp_sessions (wasender_session_id, name, phone_number, status, account_protection)
VALUES ($1, 'Hunt', '+1', 'connected', false)
"""
_WROTE = """
INSERT INTO whatsapp_incoming_messages (message_id, from_phone, chat, wasender_session_id, message_text, received_at)
VALUES ($1, split_part($2, '@', 1), $2, $3, 'hello', now())
"""
_QUEUE = """
SELECT gateway.queue_send_v1(
    $1, $2, $3, split_part($3, '@', 1), 'ok', 'text', NULL, NULL, 'api', 'Hunter', 'hunter', $4, 'hash')
"""
_KILL = """
SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.application_name = 'whatsapp-gateway' ORDER BY random() LIMIT 1
"""


class _OnConnection(SendTable):
    """The table within a transaction of its caller's."""

    def __init__(self, connection: Any, versions: dict[int, dict[int, str]]) -> None:
        super().__init__(connection)
        self._versions = versions


class FaultyTable(SendTable):
    """The table as one gateway sees it. What goes wrong on the way, `trouble` says."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        trouble: Callable[[str], str | None],
        were_unknown: set[int],
        was_away: Callable[[str], None],
    ) -> None:
        super().__init__(pool)
        self._trouble = trouble
        self._were_unknown = were_unknown
        self._was_away = was_away
        self.under_way: set[asyncio.Task[None]] = set()

    async def _through(self, name: str, call: Callable[[], Awaitable[T]]) -> T:
        trouble = self._trouble(name)
        if trouble == "before":
            raise StoreUnavailable(f"Postgres is away ({name}).")
        try:
            done = await call()
        except StoreUnavailable as error:
            self._was_away(str(error))
            raise
        if trouble == "after":
            raise StoreUnavailable(f"Postgres is away; it was done ({name}).")
        return done

    async def take(self, session_id: int, holder: str) -> Queue | None:
        return await self._through("take", partial(super().take, session_id, holder))

    async def view(self, session_id: int, holder: str) -> QueueView | None:
        return await self._through("view", partial(super().view, session_id, holder))

    async def row(self, send_id: int) -> Send | None:
        return await self._through("row", partial(super().row, send_id))

    async def begin(self, session_id: int, holder: str, before: Send, after: Send) -> Start:
        begin = partial(super().begin, session_id, holder, before, after)
        if self._trouble("late") == "late":
            await self._begin_late(session_id, holder, before, after)
        return await self._through("begin", begin)

    async def _begin_late(self, session_id: int, holder: str, before: Send, after: Send) -> None:
        """The sender hears that Postgres is away while its commit is still under way."""
        is_waiting = asyncio.Event()

        async def commit() -> None:
            try:
                with contextlib.suppress(
                    StoreUnavailable,
                    asyncpg.PostgresError,
                    asyncpg.InterfaceError,
                    asyncpg.InternalClientError,  # the pool lends a connection that is just being ended
                    OSError,
                ):
                    async with self._pool.acquire() as connection, connection.transaction():
                        late = _OnConnection(connection, self._versions)
                        await late.begin(session_id, holder, before, after)
                        is_waiting.set()
                        await asyncio.sleep(random.uniform(0, 0.6))
            finally:
                is_waiting.set()

        task = asyncio.create_task(commit())
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)
        await is_waiting.wait()
        raise StoreUnavailable("Postgres is away (begin).")

    async def replace(self, before: Send, after: Send) -> bool:
        if after.status is S.UNKNOWN:
            self._were_unknown.add(after.id)
        return await self._through("replace", partial(super().replace, before, after))

    async def save_queue(self, session_id: int, holder: str, queue: Queue) -> None:
        await self._through("save_queue", partial(super().save_queue, session_id, holder, queue))


class Preparation(FakePreparation):
    """Its bodies say what is sent, too."""

    async def payload_of(self, send: Send) -> Mapping[str, Any] | Refused:
        return {"id": send.id, "attempt": send.attempt + 1, "look": send.content}


@dataclass
class Upstream(FakeUpstream):
    """Remembers what it was given."""

    looks: dict[tuple[int, int], str] = field(default_factory=dict)

    async def send(self, api_key: str, payload: Mapping[str, Any], /) -> Answer:
        self.looks[payload["id"], payload["attempt"]] = payload["look"]
        return await super().send(api_key, payload)


class Hunt:
    """One seed, on a session of its own."""

    def __init__(self, seed: int, senders_pool: asyncpg.Pool, people: asyncpg.Pool) -> None:
        self.random = random.Random(seed)
        self.pool, self.people = senders_pool, people
        self.session = 1000 + seed
        self.upstream = Upstream(self._mood, lambda: self.random.choice((0.0, 0.005, 0.02, 0.2)))
        self.outbox, self.checks = OutboxTable(people, UTC), CheckTable(people)
        self.is_over = False
        self.were_unknown: set[int] = set()
        self.retried: set[int] = set()
        self.troubles: Counter[str] = Counter()
        self.tables: list[FaultyTable] = []
        self.senders: list[Sender] = []
        self.tasks: list[asyncio.Task[None]] = []

    def _mood(self) -> str:
        return "accepts" if self.is_over else self.random.choice(MOODS)

    def _trouble(self, name: str) -> str | None:
        if self.is_over or self.random.random() > 0.04:
            return None
        trouble = "late" if name == "late" else self.random.choice(("before", "after"))
        self.troubles[trouble] += 1
        return trouble

    def _was_away(self, words: str) -> None:
        self.troubles["deadlocks" if IN_THE_WAY in words else "broken statements"] += 1

    def _take_over(self) -> None:
        """Another gateway has the lease. The former one is dead, frozen in a call, or only believed to be."""
        if self.tasks and self.random.random() < 0.5:
            self.tasks[-1].cancel()  # in the middle of whatever it does
        table = FaultyTable(self.pool, self._trouble, self.were_unknown, self._was_away)
        context = SendingContext(table, self.upstream, Preparation(), table.clock.now, lambda _: float("inf"))
        sender = Sender(self.session, f"holder-{len(self.senders)}", context)
        self.tables.append(table)
        self.senders.append(sender)
        self.tasks.append(asyncio.create_task(sender.run()))
        self.troubles["take-overs"] += 1

    # ------------------------------------------------------------------ trouble, then peace

    async def run(self) -> Counter[str]:
        """Lets chance work, then peace; raises AssertionError where a promise is broken."""
        await self.people.execute(_SESSION, self.session)
        for chat in self.random.sample(CHATS, 2):
            await self.people.execute(_WROTE, f"{self.session}-{chat}", chat, self.session)
        try:
            self._take_over()
            for number in range(MESSAGES):
                look = {"look": f"m{number}"}
                await self.people.execute(_QUEUE, self.session, f"m{number}", self.random.choice(CHATS), look)
                for _ in range(self.random.randrange(4)):
                    await self._act()
            self.is_over = True
            self._take_over()
            await self._come_to_rest()
        finally:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
        return await self._check()

    async def _act(self) -> None:
        match self.random.randrange(8):
            case 0:
                self._take_over()
            case 1:
                await self._step_of_a_person(S.QUEUED, sending.cancel)
            case 2:
                await self._step_of_a_person(S.FAILED, lambda send: sending.retry(send, time.time()))
            case 3:
                if (number := await self._one(S.QUEUED)) is not None:
                    await self.outbox.reword(self.session, number, f"other {number} {self.random.random()}")
            case 4:
                await self._hear_evidence()
            case _:
                await asyncio.sleep(self.random.uniform(0, 0.1))
        self.senders[-1].wake()

    async def _one(self, status: SendStatus) -> int | None:
        found = await self.people.fetch(
            "SELECT m.send_no FROM whatsapp_outgoing_messages AS m WHERE m.wasender_session_id = $1 AND m.status = $2"
            " ORDER BY m.send_no",
            self.session,
            str(status),
        )
        return self.random.choice(found)["send_no"] if found else None

    async def _step_of_a_person(self, status: SendStatus, step: Callable[[Send], Send]) -> None:
        number = await self._one(status)
        if number is None:
            return
        if status is S.FAILED:
            self.retried.add(number)
        with contextlib.suppress(Conflict):  # the sender was faster
            await self.outbox.change(self.session, number, step)

    async def _hear_evidence(self) -> bool:
        """Upstream is asked about the row that is due first, as the gateway asks it. False if there is none."""
        check = await self.checks.next_check(self.session)
        if check is None:
            return False
        place = (check.send.id, check.send.attempt)
        if place in self.upstream.accepted:
            number = 100_001 + self.upstream.accepted.index(place)
            key = f"K{place[0]}-{place[1]}"
            await self.checks.learn(self.session, check, number, key, DeliveryState.SENT, None)
            again = None
        else:
            again = None if self.is_over else time.time() + 1.0
        await self.checks.postpone(check.send.id, again)
        return True

    async def _come_to_rest(self) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                while await self._waiting():
                    if all(task.done() for task in self.tasks):
                        # The last one was fenced by a former one whose commit came late. The gateways look at what
                        # waits every few seconds, and one of them begins again.
                        self._take_over()
                    for sender in self.senders:  # which of them took the queue last is Postgres' word
                        sender.wake()
                    await asyncio.sleep(0.02)
                for sender in self.senders:
                    sender.interrupt()
                for outcome in await asyncio.gather(*self.tasks, return_exceptions=True):
                    if outcome is not None and not isinstance(outcome, asyncio.CancelledError):
                        raise AssertionError(f"a sender broke: {outcome!r}") from outcome
                for table in self.tables:
                    await asyncio.gather(*table.under_way)
                while await self._hear_evidence():
                    pass
        except TimeoutError:
            raise AssertionError(f"{await self._waiting()} messages do not come to rest") from None

    async def _waiting(self) -> int:
        count: int = await self.people.fetchval(
            "SELECT count(*) FROM whatsapp_outgoing_messages"
            " WHERE wasender_session_id = $1 AND status IN ('queued', 'sending')",
            self.session,
        )
        return count

    # ------------------------------------------------------------------ the verdict

    async def _check(self) -> Counter[str]:
        taken = Counter(self.upstream.accepted)
        assert all(times == 1 for times in self.upstream.calls.values()), self.upstream.calls
        times_taken = Counter(row for row, _ in self.upstream.accepted)
        assert len(times_taken) == len(self.upstream.accepted), f"taken twice: {times_taken.most_common(3)}"
        rows = await self.people.fetch(
            "SELECT send_no, chat, status, attempt, wa_key_id, payload ->> 'look' AS look, error_code"
            " FROM whatsapp_outgoing_messages WHERE wasender_session_id = $1",
            self.session,
        )
        assert len(rows) == MESSAGES
        assert not self.troubles["deadlocks"]
        known = {row["send_no"]: row for row in rows}
        for row in rows:
            self._check_row(row, (row["send_no"], row["attempt"]) in taken)
        assert set(times_taken) <= set(known)
        for chat in CHATS:
            order = [
                number
                for number, _ in self.upstream.accepted
                if known[number]["chat"] == chat and number not in self.were_unknown | self.retried
            ]
            assert order == sorted(order), (chat, order)
        settled = [row for row in rows if row["send_no"] in self.were_unknown and row["status"] != "unknown"]
        return (
            Counter(row["status"] for row in rows)
            + self.troubles
            + Counter(
                {
                    "messages": len(rows),
                    "attempts": self.upstream.calls.total(),
                    "were unknown": len(self.were_unknown),
                    "settled": len(settled),
                }
            )
        )

    def _check_row(self, row: asyncpg.Record, was_taken: bool) -> None:
        number, place = row["send_no"], (row["send_no"], row["attempt"])
        match S(row["status"]):
            case S.FAILED | S.CANCELLED:
                assert number not in {taken for taken, _ in self.upstream.accepted}, dict(row)
            case S.UNKNOWN:
                assert not was_taken, f"upstream said what became of it: {dict(row)}"
            case status:
                assert status is S.ACCEPTED or status in REACHED, dict(row)
                assert was_taken, dict(row)
                assert row["wa_key_id"] in (None, f"K{place[0]}-{place[1]}"), dict(row)
                assert row["look"] == self.upstream.looks[place], dict(row)


async def hunt(dsn: str, seeds: range, until: float = float("inf")) -> tuple[Counter[str], list[str]]:
    """What became of the messages of those seeds, and every promise that was broken.

    No seed begins after `until`, a time of `time.monotonic`.
    """
    senders = await open_pool(dsn, timezone="UTC", max_size=24, pooled=False)
    people = await asyncpg.create_pool(dsn, min_size=1, init=prepare, server_settings=PEOPLE)
    total: Counter[str] = Counter()
    complaints: list[str] = []
    left = iter(seeds)

    async def hunter() -> None:
        for seed in left:
            if time.monotonic() > until:
                return
            try:
                total.update(await Hunt(seed, senders, people).run())
                total["seeds"] += 1
            except (AssertionError, StoreUnavailable) as error:  # nothing ends the connections of people
                complaints.append(f"seed {seed}: {error}")

    async def killer() -> None:
        while True:
            await asyncio.sleep(KILL_EVERY_S)
            total["killed connections"] += bool(await people.fetchval(_KILL))

    try:
        killing = asyncio.create_task(killer())
        async with asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(seeds))):
                group.create_task(hunter())
        killing.cancel()
        await asyncio.gather(killing, return_exceptions=True)
        return total, complaints
    finally:
        await senders.close()
        await people.close()


async def _main(arguments: argparse.Namespace) -> int:
    with serving_cluster(FAST) as server:
        try:
            async with clone(server, "migrated") as dsn:
                seeds = range(arguments.first, arguments.first + arguments.seeds)
                found, complaints = await hunt(dsn, seeds, time.monotonic() + arguments.seconds)
        finally:
            dismiss(server)
    for complaint in complaints:
        sys.stdout.write(f"{complaint}\n")
    sys.stdout.write(", ".join(f"{count} {name}" for name, count in sorted(found.items())) + "\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.sending.sender_hunt", description=__doc__)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="no seed begins after this time")
    sys.exit(asyncio.run(_main(parser.parse_args())))
