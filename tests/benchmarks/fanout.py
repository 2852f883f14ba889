"""Fan-out: server CPU per delivery, ours from a committed row through the real `/ws`, the peers' from a POST."""

import time
from collections.abc import Iterable
from contextlib import ExitStack, closing

from tests.benchmarks.crowd import PAYLOAD_BYTES, Crowd, Manners
from tests.benchmarks.figures import Run
from tests.benchmarks.gateways import MANNERS, SUPABASE
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


class Contender:
    """A server with its clients, measured again and again in turn with the others."""

    def __init__(self, process: Served, crowd: Crowd, publisher: Publisher) -> None:
        self.single: list[float] = []
        """µs of server CPU per delivery, one for each round."""
        self.joined: list[float] = []
        """The same per message when ten come at once."""
        self.crowd = crowd
        self.measure = Measure(process, crowd, publisher)

    def play(self, messages: int, bursts: int) -> None:
        """One round."""
        self.single.append(self.measure.per_delivery_us(1, messages))
        self.joined.append(self.measure.per_delivery_us(1, bursts, JOINED))

    def times(self, other: "Contender") -> float:
        """How many times as dear as another; round by round, since the machine is not the same a minute later."""
        return median(ours / theirs for ours, theirs in zip(self.single, other.single, strict=True))


def enter_peer(peer: Peer, connections: int, stack: ExitStack) -> Contender:
    """A peer with its clients. Raises Missing."""
    process, port, publish_port = stack.enter_context(peer.started())
    # It sends one text ten times: whoever joins them is as fast as whoever joins ten different ones.
    publisher = OverHttp(publish_port, PAYLOAD_BYTES - peer.payload, one_by_one=peer.module == "nginx")
    crowd = stack.enter_context(closing(Crowd(port, peer.manners)))
    crowd.grow_to(connections)
    return Contender(process, crowd, publisher)


def enter_gateway(run: Run, manners: Manners, connections: int, stack: ExitStack) -> Contender:
    dsn = stack.enter_context(run.ground.database())
    process, port = stack.enter_context(run.ground.gateway(dsn))
    publisher = stack.enter_context(closing(AsRows(run.ground.runner, dsn, 1, TEXT_BYTES)))
    crowd = stack.enter_context(closing(Crowd(port, manners, lambda number: "inbox:1")))
    crowd.grow_to(connections)
    return Contender(process, crowd, publisher)


def play(contenders: Iterable[Contender], rounds: int, messages: int) -> None:
    """All of them in turn, so that what else the machine does meanwhile, it does to all."""
    for contender in contenders:
        contender.measure.warm_up()
    for _ in range(rounds):
        for contender in contenders:
            contender.play(messages, max(1, messages // 3))


def floor_us(run: Run) -> float:
    """The floor per delivery, measured once per run."""
    if run.floor_us is None:
        with ExitStack() as stack:
            floor = enter_peer(FLOOR, run.size.connections, stack)
            play([floor], run.size.rounds, run.size.messages)
        run.floor_us = median(floor.single)
    return run.floor_us


def run_part(run: Run) -> None:
    size = run.size
    with ExitStack() as stack:
        floor = enter_peer(FLOOR, size.connections, stack)
        peers: dict[str, Contender] = {}
        for peer in PEERS:
            try:
                peers[peer.name] = enter_peer(peer, size.connections, stack)
            except Missing as missing:
                run.missing[peer.name] = str(missing)
                run.say(f"  {peer.name} is missing: {missing}")
        gateway = enter_gateway(run, MANNERS, size.connections, stack)
        supabase = enter_gateway(run, SUPABASE, size.connections, stack)
        play([floor, *peers.values(), gateway, supabase], size.rounds, size.messages)
    run.floor_us = median(floor.single)
    for name, each in {"floor: os.write from Python": floor, **peers}.items():
        run.add(
            PART, name, median(each.single), "µs", note=f"{median(each.joined):.2f} µs per message of ten"
        )
    _add_ours(run, gateway, supabase, floor, peers)


def _add_ours(
    run: Run, gateway: Contender, supabase: Contender, floor: Contender, peers: dict[str, Contender]
) -> None:
    limits = {f"{gateway.times(floor):.2f} × floor (≤ 1.6)": gateway.times(floor) <= 1.6}
    for name, share in (("Node ws", 1.0), ("Nchan", 1.25), ("Litestar channels", 1 / 3)):
        if name in peers:
            times = gateway.times(peers[name])
            limits[f"{times:.2f} × {name} (≤ {share:.3g})"] = times <= share
    run.add(PART, "gateway", median(gateway.single), "µs", "; ".join(limits), is_met=all(limits.values()))
    times = supabase.times(gateway)
    run.add(
        PART,
        "gateway, Supabase frames",
        median(supabase.single),
        "µs",
        f"{times:.2f} × gateway (≤ 1.2)",
        is_met=times <= 1.2,
    )
    joined, limit = median(gateway.joined), max(2.0, 0.3 * median(floor.single))
    target = f"≤ 2 µs or {0.3 * median(floor.single):.2f} µs (0.3 × floor)"
    run.add(PART, "gateway, ten messages at once", joined, "µs", target, is_met=joined <= limit)
