"""How often one person, or one address, may ask for something.

A moving window that remembers the time of every call, so that no burst fits between two windows. `limits` from PyPI
does the same; it starts a thread for each hundredth of a second with calls in it and reads the clock of the wall,
which a test cannot move and an operator can.
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator

from gateway.domain.access import Principal, Role
from gateway.domain.errors import RateLimited
from gateway.domain.limits import Limits
from gateway.services.addresses import counted_as
from gateway.services.refusals import Refusals

NAMELESS = frozenset({"", "unknown", "anon", "authenticated", "service_role"})
"""What stands for the `sub` of a token that has none: it names a kind of login, not a person."""

SWEEP_EVERY = 1024
"""After so many calls the keys that have been quiet are forgotten."""


class Window:
    """At most `most` calls of one key in any `span_s` seconds."""

    def __init__(self, most: int, span_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._span_s = span_s
        self._clock = clock
        self._calls: dict[str, deque[float]] = {}
        self._until_sweep = SWEEP_EVERY

    def wait_s(self, key: str) -> float:
        """Takes one call of this key and says 0; or takes none and says when the next is free."""
        now = self._clock()
        self._until_sweep -= 1
        if self._until_sweep <= 0:
            self._sweep(now)
        calls = self._calls.get(key)
        if calls is None:
            calls = self._calls[key] = deque()
        since = now - self._span_s
        while calls and calls[0] <= since:
            calls.popleft()
        if len(calls) >= self._most:
            return calls[0] - since
        calls.append(now)
        return 0.0

    def is_full(self, key: str) -> bool:
        """Whether a call of this key would have to wait; takes none."""
        calls = self._calls.get(key)
        return calls is not None and len(calls) >= self._most and calls[0] > self._clock() - self._span_s

    def __len__(self) -> int:
        return len(self._calls)

    def _sweep(self, now: float) -> None:
        self._until_sweep = max(SWEEP_EVERY, len(self._calls))
        quiet = [key for key, calls in self._calls.items() if not calls or calls[-1] <= now - self._span_s]
        for key in quiet:
            del self._calls[key]


class AtOnce:
    """At most `most` of one key at the same time."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, int] = {}

    def take(self, key: str) -> bool:
        """Whether one more of this key may begin; `give_back` ends it."""
        held = self._held.get(key, 0)
        if held >= self._most:
            return False
        self._held[key] = held + 1
        return True

    def give_back(self, key: str) -> None:
        """One of this key has ended."""
        left = self._held[key] - 1
        if left:
            self._held[key] = left
        else:
            del self._held[key]


class Rates:
    """The rates of people. Every method raises RateLimited, counted as refused."""

    def __init__(
        self, limits: Limits, refusals: Refusals, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.refusals = refusals
        self._requests = Window(limits.requests_per_s, 1.0, clock)
        self._tickets = Window(limits.tickets_per_min, 60.0, clock)
        self._tickets_for_others = Window(limits.tickets_for_others_per_min, 60.0, clock)
        self._upstream = Window(limits.upstream_per_min, 60.0, clock)
        self._asking_upstream = AtOnce(limits.upstream_at_once)
        self._searches = AtOnce(limits.searches_at_once)
        self._seats = AtOnce(limits.sockets)

    def request(self, principal: Principal | None, address: str) -> None:
        """One request of this person; of this address where no login names a person."""
        self._once("requests", self._requests, key_of(principal.sub if principal else "", address), address)

    def ticket(self, principal: Principal, address: str, *, for_other: bool = False) -> None:
        """One ticket. Those for other people have a limit of their own, the maker's."""
        if for_other:
            self._once("tickets", self._tickets_for_others, key_of(principal.sub, address), address)
        else:
            self._once("tickets", self._tickets, key_of(principal.sub, address), address)

    @contextlib.contextmanager
    def search(self, principal: Principal, address: str) -> Iterator[None]:
        """One search, while the block runs."""
        key = key_of(principal.sub, address)
        if not self._searches.take(key):
            raise self._refused("searches", address, "Wait until the searches before this one are done.", 1.0)
        try:
            yield
        finally:
            self._searches.give_back(key)

    @contextlib.contextmanager
    def upstream(self, principal: Principal, address: str) -> Iterator[None]:
        """One call that makes WasenderAPI work, while the block runs. It limits those who may only read."""
        if principal.role > Role.VIEWER:
            yield
            return
        key = key_of(principal.sub, address)
        sentence = "WasenderAPI is being asked for you already. Wait for the answer."
        if not self._asking_upstream.take(key):
            raise self._refused("upstream", address, sentence, 1.0)
        try:
            self._once("upstream", self._upstream, key, address)
            yield
        finally:
            self._asking_upstream.give_back(key)

    def take_seat(self, sub: str, address: str) -> bool:
        """Whether one more socket of this person may open; `leave_seat` gives it back."""
        if self._seats.take(key_of(sub, address)):
            return True
        self.refusals.count("sockets", address)
        return False

    def leave_seat(self, sub: str, address: str) -> None:
        """One socket of this person has closed."""
        self._seats.give_back(key_of(sub, address))

    def _once(self, kind: str, window: Window, key: str, address: str) -> None:
        wait_s = window.wait_s(key)
        if wait_s:
            raise self._refused(kind, address, "Too many requests. Slow down, and try again.", wait_s)

    def _refused(self, kind: str, address: str, sentence: str, wait_s: float) -> RateLimited:
        self.refusals.count(kind, address)
        return RateLimited(sentence, retry_after_s=wait_s)


def key_of(sub: str, address: str) -> str:
    """What one person's calls are counted under; an address's where no login names a person."""
    # The two kinds of key cannot meet: a token may name any text as its `sub`.
    return "address:" + counted_as(address) if sub in NAMELESS else "sub:" + sub
