"""The hunt of sends. `python -m tests.faults.send_hunt --seeds 1000 --first 1 --logs DIR`.

A seed says what is tried (`send_plan.py`): forty to eighty messages by REST, by the old client's call and by SQL, in
chats that ever wrote and new ones, while gateways are killed and frozen, upstream resets, hangs, answers nonsense and
limits, webhooks are lost, doubled and reordered, and a number is unlinked. Afterwards everything is well again, and a
person tries failed messages again. Then upstream's own list of what it accepted is compared with the rows
(`send_oracle.py`). Two rules of others go through the same troubles (`send_naive.py`). Each tenth seed brings an older
backup back instead: nothing may be sent again. The schedule of the processes is not part of the seed.
"""

import argparse
import asyncio
import contextlib
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import send_oracle
from tests.faults.send_naive import Table, compare, merged
from tests.faults.send_plan import GATEWAYS, IN_A_CALL, TROUBLE_S, UPSTREAM, Plan, Trouble, plan_of
from tests.faults.send_scene import Scene, scene
from tests.faults.server import Server, own_server
from tests.launcher.child import Child
from tests.simulator.support import QUICK, serving

WHOLE_S = 150.0
RETRIES = 4
CALL_S = 2.0
_SLOW = """
SELECT min(m.wasender_session_id::bigint) FROM whatsapp_outgoing_messages AS m
WHERE m.status = 'sending' AND m.sending_at < clock_timestamp() - interval '0.1 s'
"""
GRACE_S = 1.0
"""After the last webhook may have come."""


@dataclass
class Report:
    """What one seed came to."""

    seed: int
    plan: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    stage: str = "the gateways start"
    said: str = ""
    ends: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    others: Table = field(default_factory=dict)
    took_s: float = 0.0

    def line(self) -> str:
        verdict = "FAILED" if self.complaints else "ok    "
        ends = ", ".join(f"{count} {status}" for status, count in self.ends.most_common())
        return f"seed {self.seed:>5} {verdict} {self.took_s:5.1f} s: {ends}"

    def whole(self) -> str:
        return "\n".join([self.line(), *(f"    {item}" for item in [*self.plan, *self.complaints[:20]])])


async def hunt(seed: int, server: Server, folder: Path, *, with_others: bool = True) -> Report:
    """One seed, from an empty database to the verdict."""
    report, plan, began = Report(seed), plan_of(seed), time.monotonic()
    report.plan = [str(trouble) for trouble in plan.troubles]
    try:
        async with asyncio.timeout(WHOLE_S), scene(server, folder) as place:
            try:
                async with asyncio.TaskGroup() as group:
                    beside = group.create_task(_others(plan)) if with_others else None
                    await Hunt(place, plan, report).run()
                report.others = beside.result() if beside else {}
            finally:
                report.said = "\n".join(child.said() for child in place.gateways)
    except TimeoutError:
        report.complaints.append(f"it did not come to an end: {report.stage}")
    except Exception as error:
        report.complaints.append("".join(traceback.format_exception(error)))
    report.happened["a sender left a call behind"] += report.said.count("sending.orphaned")
    report.happened["a sender woke up and was fenced"] += report.said.count("sending.fenced")
    report.complaints += [
        line for line in report.said.splitlines() if "Traceback" in line or "sending.crashed" in line
    ]
    report.took_s = time.monotonic() - began
    return report


async def _others(plan: Plan) -> Table:
    async with serving(settings=QUICK) as one, serving(settings=QUICK) as other:
        return await compare((one, other), plan)


class Hunt:
    """The order of things."""

    def __init__(self, place: Scene, plan: Plan, report: Report) -> None:
        self._place = place
        self._plan = plan
        self._report = report
        self._turns = [asyncio.Lock() for _ in place.gateways]

    async def run(self) -> None:
        """Trouble, calm, a person's retries, the verdict."""
        place, report = self._place, self._report
        report.stage = "the troubles"
        async with asyncio.TaskGroup() as group:
            for message in self._plan.messages:
                group.create_task(self._later(message.at_s, place.write(message)), name=message.client_id)
            for trouble in self._plan.troubles:
                group.create_task(self._later(trouble.at_s, self._make(trouble)), name=trouble.kind)
            group.create_task(self._later(TROUBLE_S + 1, self._calm()), name="calm")
        report.stage = "the queues run dry"
        await self._calm()
        await place.at_rest()
        report.stage = "a person tries again"
        failed = self._plan.messages[:: max(1, len(self._plan.messages) // RETRIES)]
        for message in {id(one): one for one in (*failed, *self._plan.messages)}.values():
            if place.retries.total() < RETRIES and await place.retry(message):
                report.happened["a person's retry"] += 1
        await place.at_rest()
        report.stage = "late webhooks"
        await self._hear()
        await self._judge()

    async def _later(self, at_s: float, work: object) -> None:
        await asyncio.sleep(at_s)
        await work  # type: ignore[misc]

    async def _make(self, trouble: Trouble) -> None:
        self._report.happened[trouble.kind] += 1
        if trouble.kind in UPSTREAM:
            reply = await self._place.served.control("POST", "/faults", trouble.fault)
            assert reply.status < 300, reply.text
        elif trouble.kind in GATEWAYS:
            where = trouble.where
            if trouble.kind.endswith(IN_A_CALL):
                where = await self._caller(trouble)
            async with self._turns[where]:
                await self._hit(trouble, self._place.gateways[where])
        else:
            await self._unlink(trouble)

    async def _hit(self, trouble: Trouble, child: Child) -> None:
        if trouble.kind.startswith("SIGSTOP"):
            child.freeze()
            await asyncio.sleep(trouble.lasts_s)
            child.thaw()
            return
        await (child.kill() if trouble.kind.startswith("kill -9") else child.stop())
        await asyncio.sleep(trouble.lasts_s / 6)
        await child.start_when_possible()

    async def _caller(self, trouble: Trouble) -> int:
        """The gateway that is in the middle of a call, once one is; any where none is for a while."""
        await self._place.served.control("POST", "/faults", trouble.fault)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CALL_S):
                await self._place.until(_SLOW, lambda session_id: session_id is not None)
                session_id = await self._place.value(_SLOW)
                return self._place.sender_of(session_id)
        return trouble.where

    async def _unlink(self, trouble: Trouble) -> None:
        served, session_id = self._place.served, self._place.sessions[trouble.where]
        await served.control("POST", f"/sessions/{session_id}/unlink", {})
        await asyncio.sleep(trouble.lasts_s / 3)
        with contextlib.suppress(AssertionError):  # two at once: the other one links it
            await served.link(session_id)

    async def _calm(self) -> None:
        """No fault is left, and every number is linked."""
        place = self._place
        await place.served.control("DELETE", "/faults")
        for session_id in place.sessions:
            with contextlib.suppress(AssertionError):
                await place.served.link(session_id)

    async def _hear(self) -> None:
        """Whatever evidence came has been read: nothing changes any more."""
        before, rows = None, await self._place.rows()
        while rows != before:
            before = rows
            await asyncio.sleep(GRACE_S)
            rows = await self._place.rows()

    async def _judge(self) -> None:
        place, report = self._place, self._report
        rows, taken = await place.rows(), await place.taken()
        report.complaints += place.complaints
        report.complaints += send_oracle.complaints(rows, taken, place.acknowledged, place.retries)
        report.ends = Counter(row.status for row in rows)
        report.happened["messages"] += len(self._plan.messages)
        report.happened["accepted by upstream"] += len(taken)
        report.happened["unknown, then settled by evidence"] += await place.settled()


async def restore(seed: int, server: Server, folder: Path) -> Report:
    """An older backup comes back while a queue is half sent: what was sent since is not sent again."""
    report, plan, began = Report(seed), plan_of(seed), time.monotonic()
    report.plan = ["an older backup is brought back"]
    try:
        async with asyncio.timeout(WHOLE_S), scene(server, folder) as place:
            try:
                await _restore(place, plan, report)
            finally:
                report.said = "\n".join(child.said() for child in place.gateways)
    except TimeoutError:
        report.complaints.append(f"it did not come to an end: {report.stage}")
    except Exception as error:
        report.complaints.append("".join(traceback.format_exception(error)))
    report.took_s = time.monotonic() - began
    return report


async def _restore(place: Scene, plan: Plan, report: Report) -> None:
    report.stage = "the backup"
    half = len(plan.messages) // 2
    await asyncio.gather(*(place.write(message) for message in plan.messages[:half]))
    begun = "SELECT count(*) FROM whatsapp_outgoing_messages WHERE attempt > 0"
    await place.until(begun, lambda n: n >= half // 2)
    slow = {"path": "/send-message", "delay_ms": 400, "after": True, "times": None}
    await place.served.control("POST", "/faults", slow)
    await asyncio.gather(*(place.write(message) for message in plan.messages[half:]))
    async with place.server.backup_of(place.database) as backup:
        report.stage = "it goes on"
        await place.served.control("DELETE", "/faults")
        await place.at_rest()
        await asyncio.sleep(GRACE_S)
        before = await place.taken()
        report.stage = "the backup is brought back"
        await place.server.restore(place.database, backup)
        await place.at_rest()
        await asyncio.sleep(3 * GRACE_S)
    rows, after = await place.rows(), await place.taken()
    report.ends = Counter(row.status for row in rows)
    report.happened["an older backup is brought back"] += 1
    report.happened["messages"] += len(rows)
    report.happened["accepted by upstream"] += len(after)
    if after != before and {one.msg_id for one in after} != {one.msg_id for one in before}:
        report.complaints.append(f"sent again after the restore: {len(before)} before, {len(after)} after")
    report.complaints += place.complaints
    report.complaints += send_oracle.complaints(rows, after, (), place.retries)


# ---------------------------------------------------------------------------------------------- command


def hunt_all(seeds: Sequence[int], logs: Path) -> list[int]:
    """The seeds that failed; what their gateways said is kept in `logs`, and the sums so far."""
    failed: list[int] = []
    happened, ends, tables = Counter[str](), Counter[str](), list[Table]()
    logs.mkdir(parents=True, exist_ok=True)
    with own_server() as server:
        for seed in seeds:
            with tempfile.TemporaryDirectory(prefix="send-hunt-") as folder:
                one = restore if seed % 10 == 0 else hunt
                report = asyncio.run(one(seed, server, Path(folder)))
            happened += report.happened
            ends += report.ends
            tables.append(report.others)
            print(report.whole() if report.complaints else report.line(), flush=True)  # noqa: T201
            if report.complaints:
                failed.append(seed)
                (logs / f"{seed}.log").write_text(f"{report.whole()}\n\n{report.said}")
            (logs / "sums").write_text(sums(happened, ends, merged(tables)))
    print(sums(happened, ends, merged(tables)), end="")  # noqa: T201
    return failed


def sums(happened: Counter[str], ends: Counter[str], others: Table) -> str:
    """What happened, what the messages came to, and what the other rules came to."""
    lines = [f"{count:>8} {event}" for event, count in happened.most_common()]
    lines += ["what the rows came to:", *(f"{count:>8} {status}" for status, count in ends.most_common())]
    for rule, counts in others.items():
        lines += [f"the same by {rule}:", *(f"{count:>8} {what}" for what, count in counts.items())]
    return "\n".join([*lines, ""])


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=1, help="run so many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--logs", type=Path, default=Path("hunt-logs"), help="where logs of failed seeds go")
    given = parser.parse_args()
    failed = hunt_all(range(given.first, given.first + given.seeds), given.logs)
    if failed:
        raise SystemExit(f"failed: {failed}")


if __name__ == "__main__":
    main()
