"""Fan-out: server CPU per delivery, ours from a committed row through the real `/ws`, the peers' from a POST."""

import time

from tests.benchmarks.crowd import PAYLOAD_BYTES, Crowd
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import SUPABASE, crowd_of
from tests.benchmarks.machine import median
from tests.benchmarks.peers.listed import FLOOR, PEERS, Peer
from tests.benchmarks.publishing import AsRows, OverHttp, Publisher
from tests.benchmarks.served import Missing, Served

PART = "fan-out"
ROUND_S = 1.2
JOINED = 10
TEXT_BYTES = 60
"""Of a customer's message; with everything else that an event says, PAYLOAD_BYTES."""


class Measure:
    """Closed loop: the next message is given when everybody has the last one."""

    def __init__(self, process: Served, crowd: Crowd, publisher: Publisher) -> None:
        self._process = process
        self._crowd = crowd
        self._publisher = publisher
        self._number = 0
        self.last_at = 0.0

    def warm_up(self) -> None:
        for _ in range(3):
            self.once(1)

    def once(self, count: int) -> None:
        first, self._number = self._number + 1, self._number + count
        self._publisher.publish(first, count)
        self.last_at = self._crowd.collect(count * len(self._crowd))
        self._publisher.settle()

    def per_delivery_us(self, rounds: int, times: int, count: int = 1) -> float:
        """CPU per message and client; the median of the rounds."""
        found = []
        began = time.monotonic()
        self.once(count)
        # The slow ones must not take all day; their figures are as clear with fewer messages.
        times = max(2, min(times, int(ROUND_S / (time.monotonic() - began))))
        for _ in range(rounds):
            before = self._process.cpu_s()
            for _ in range(times):
                self.once(count)
            found.append((self._process.cpu_s() - before) / (times * count * len(self._crowd)))
        self._crowd.check_last(self._number)
        return median(found) * 1e6


def measure_peer(run: Run, peer: Peer) -> tuple[float, float]:
    """µs per delivery, and per message when ten come at once. Raises Missing."""
    size = run.size
    with peer.started() as (process, port, publish_port):
        publisher = OverHttp(publish_port, PAYLOAD_BYTES - peer.payload, one_by_one=peer.module == "nginx")
        crowd = Crowd(port, peer.manners)
        try:
            crowd.grow_to(size.connections)
            measure = Measure(process, crowd, publisher)
            measure.warm_up()
            single = measure.per_delivery_us(size.rounds, size.messages)
            # It sends one text ten times: whoever joins them is as fast as whoever joins ten different ones.
            return single, measure.per_delivery_us(size.rounds, max(1, size.messages // JOINED), JOINED)
        finally:
            crowd.close()


def floor_us(run: Run) -> float:
    """The floor per delivery, measured once per run."""
    if run.floor_us is None:
        run.floor_us, joined = measure_peer(run, FLOOR)
        run.add(
            PART,
            "floor: os.write from Python",
            run.floor_us,
            "µs",
            note=f"{joined:.2f} µs per message of ten",
        )
    return run.floor_us


def run_part(run: Run) -> None:
    size = run.size
    floor = floor_us(run)
    peers: dict[str, float] = {}
    for peer in PEERS:
        try:
            peers[peer.name], joined = measure_peer(run, peer)
        except Missing as missing:
            run.missing[peer.name] = str(missing)
            run.say(f"  {peer.name} is missing: {missing}")
            continue
        run.add(PART, peer.name, peers[peer.name], "µs", note=f"{joined:.2f} µs per message of ten")
    with run.ground.database() as dsn, run.ground.gateway(dsn) as (process, port):
        crowd = crowd_of(port, size.connections)
        publisher = AsRows(run.ground.runner, dsn, 1, TEXT_BYTES)
        try:
            measure = Measure(process, crowd, publisher)
            measure.warm_up()
            single = measure.per_delivery_us(size.rounds, size.messages)
            joined = measure.per_delivery_us(size.rounds, max(1, size.messages // 3), JOINED)
            crowd.close()
            supabase = _supabase_us(run, process, port, publisher)
        finally:
            publisher.close()
            crowd.close()
    limits = {f"{single / floor:.2f} × floor (≤ 1.6)": single <= 1.6 * floor}
    for name, share in (("Node ws", 1.0), ("Nchan", 1.25), ("Litestar channels", 1 / 3)):
        if name in peers:
            limits[f"{single / peers[name]:.2f} × {name} (≤ {share:.3g})"] = single <= share * peers[name]
    run.add(PART, "gateway", single, "µs", "; ".join(limits), is_met=all(limits.values()))
    run.add(
        PART,
        "gateway, Supabase frames",
        supabase,
        "µs",
        f"{supabase / single:.2f} × gateway (≤ 1.2)",
        is_met=supabase <= 1.2 * single,
    )
    target = f"≤ 2 µs or {0.3 * floor:.2f} µs (0.3 × floor)"
    run.add(
        PART, "gateway, ten messages at once", joined, "µs", target, is_met=joined <= max(2.0, 0.3 * floor)
    )


def _supabase_us(run: Run, process: Served, port: int, publisher: Publisher) -> float:
    """The same rows to as many of Supabase's clients, by the same gateway."""
    crowd = Crowd(port, SUPABASE)
    try:
        crowd.grow_to(run.size.connections)
        measure = Measure(process, crowd, publisher)
        measure.warm_up()
        return measure.per_delivery_us(run.size.rounds, run.size.messages)
    finally:
        crowd.close()
