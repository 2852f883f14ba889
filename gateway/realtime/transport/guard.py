"""Every connection of this process: how many there may be, whose they are, and which one goes first.

A connection is silent until a request of it has been read, a stranger until that request has shown a login or a
webhook's secret, and known from then on. Beyond a limit the silent ones go first, the oldest before the others,
then strangers, then known ones between two requests; never a WebSocket that has been let in.

Many connections of one address may come in the same moment, and each of them may carry a webhook. So one that is
too many is not closed before it has had the time to say what it wants.
"""

import asyncio
import logging
from collections.abc import Iterator
from enum import IntEnum
from typing import Protocol

from gateway.domain.limits import MIB, Limits
from gateway.realtime.transport.turns import Turns
from gateway.services.addresses import TrustedProxies, counted_as
from gateway.services.open_files import connections_of, open_files
from gateway.services.rates import Window
from gateway.services.refusals import Refusals

logger = logging.getLogger(__name__)

SWEEP_S = 0.5
MOST_REFUSED = 20
"""Sockets a second of one login, and of one address, that are opened to be refused; more are not looked at."""

MOST_NAMED = 100
"""So many addresses of proxies that are not named are told of."""


class Stage(IntEnum):
    """How far a connection has come."""

    SILENT = 0
    STRANGER = 1
    UNPROVEN = 2
    """It has shown a webhook's request line, and not yet the secret."""
    KNOWN = 3
    SOCKET = 4
    """A WebSocket that has been let in."""


class Room(IntEnum):
    """What there is for a connection at its address."""

    NONE = 0
    """Only for a webhook, /healthz or /readyz."""
    EXTRA = 1
    """For one request more than strangers may have open, if it can be answered at once."""
    YES = 2


class Holder(Protocol):
    """The protocol object that a connection belongs to now."""

    def drop(self) -> None:
        """Closes the connection at once."""

    def buffered(self) -> int:
        """Bytes written and not yet taken by the kernel."""

    def has_progressed(self) -> bool:
        """Whether a client whose time is over gets as much again."""


class Visitor:
    """One connection."""

    __slots__ = (
        "_guard", "address", "credentials", "deadline", "holder", "is_busy", "is_counted", "is_proxied", "opened_at",
        "peer", "place", "room", "stage", "why",
    )  # fmt: skip

    def __init__(self, guard: "Guard", holder: Holder, peer: str, now: float) -> None:
        self._guard = guard
        self.opened_at = now
        self.holder = holder
        self.peer = peer
        self.address = peer
        """The client's; behind a trusted proxy the one that the proxy names."""
        self.place: Place | None = None
        self.stage = Stage.SILENT
        self.deadline = float("inf")
        """Loop time at which the connection is closed, `why` being the kind of refusal."""
        self.why = ""
        self.is_busy = False
        """A request is being answered."""
        self.is_counted = False
        self.is_proxied = False
        self.room = Room.YES
        self.credentials = ""
        """Of a WebSocket: its address, and what it has shown."""

    def wait_until(self, deadline: float, why: str) -> None:
        """The client has until then; `why` is the kind of refusal after that."""
        self.deadline = deadline
        self.why = why

    def wait_no_more(self) -> None:
        """Nothing is expected of the client now."""
        self.deadline = float("inf")

    def know(self, *, is_webhook: bool = False) -> None:
        """It has shown a login, or a webhook's secret: those count towards no limit of an address."""
        self._guard.promote(self, Stage.KNOWN, is_exempt=is_webhook)

    def let_in(self) -> None:
        """It is a WebSocket whose login is known."""
        self._guard.promote(self, Stage.SOCKET)
        self.wait_no_more()

    def leave(self) -> None:
        """The connection has ended."""
        self._guard.leave(self)

    def count(self, kind: str) -> None:
        """Something of it was refused."""
        self._guard.refusals.count(kind, self.address)

    def drop(self, kind: str) -> None:
        """Closes it, counted as refused."""
        self.count(kind)
        self.holder.drop()


class Place:
    """The connections of one address."""

    __slots__ = ("all", "strangers")

    def __init__(self) -> None:
        self.all: dict[Visitor, None] = {}
        self.strangers: dict[Visitor, None] = {}


class Guard:
    """Knows every connection, and decides which may stay."""

    def __init__(
        self,
        limits: Limits | None = None,
        proxies: TrustedProxies | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.proxies = proxies or TrustedProxies()
        self.refusals = refusals or Refusals()
        self.most = self.limits.connections or connections_of(open_files())
        self.open_to_all = self.most - max(1, self.most * self.limits.webhook_reserve_percent // 100)
        self.unnamed: set[str] = set()
        """Addresses that say for whom they forward, and are not named as proxies."""
        self._all: dict[Visitor, None] = {}
        self._strangers: dict[Stage, dict[Visitor, None]] = {
            stage: {} for stage in (Stage.SILENT, Stage.STRANGER, Stage.UNPROVEN)
        }
        self._places: dict[str, Place] = {}
        self.turns = Turns()
        self._stalled: set[Visitor] = set()
        self._put_off = Window(MOST_REFUSED, 1.0)
        self._sweeping: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Visitor]:
        """Every visitor, in the order of their coming."""
        return iter(tuple(self._all))

    # ------------------------------------------------------------------------------------------ coming, going

    def enter(self, holder: Holder, peer: str) -> Visitor | None:
        """The record of a new connection; None if there is no room for it at all."""
        loop = asyncio.get_running_loop()
        visitor = Visitor(self, holder, peer, loop.time())
        if len(self._all) >= self.open_to_all:
            self._make_room(self._global_victims(), "connections")
        if len(self._all) >= self.most:
            self.refusals.count("connections", peer)
            return None
        if len(self._all) >= self.open_to_all:  # what is left is kept for webhooks
            visitor.room = Room.NONE
        self._all[visitor] = None
        self._strangers[Stage.SILENT][visitor] = None
        if self.proxies.trusts(peer):
            visitor.is_proxied = True
        else:
            visitor.room = min(visitor.room, self._settle(visitor))
        if visitor.room is Room.YES:
            visitor.wait_until(visitor.opened_at + self.limits.headers_s, "headers_time")
        else:
            kind = "address_strangers" if visitor.room is Room.EXTRA else "connections"
            visitor.wait_until(visitor.opened_at + self.limits.webhook_line_s, kind)
        if self._sweeping is None:
            self._sweeping = loop.call_later(SWEEP_S, self._sweep)
        return visitor

    def leave(self, visitor: Visitor) -> None:
        """The connection has ended. Idempotent."""
        if visitor.credentials and visitor.stage < Stage.SOCKET and visitor in self._all:
            self._put_off.wait_s(visitor.credentials)
        self._all.pop(visitor, None)
        self._stalled.discard(visitor)
        if visitor.stage in self._strangers:
            self._strangers[visitor.stage].pop(visitor, None)
        self._unsettle(visitor)

    def move(self, visitor: Visitor, address: str) -> None:
        """A proxy's connection now carries a request of this client."""
        if visitor.stage is Stage.KNOWN:  # of the client before
            visitor.stage = Stage.STRANGER
            self._strangers[Stage.STRANGER][visitor] = None
        self._unsettle(visitor)
        visitor.address = address
        visitor.room = self._settle(visitor)

    def vacate(self, visitor: Visitor) -> None:
        """A proxy's connection carries no request any more: it is no client's."""
        self._unsettle(visitor)
        visitor.address = visitor.peer

    def forwards_unnamed(self, peer: str) -> None:
        """A request from this address says for whom it is forwarded; it does not count, and is told once."""
        if peer not in self.unnamed and len(self.unnamed) < MOST_NAMED:
            self.unnamed.add(peer)
            logger.warning(
                "proxies.unnamed address=%s hint=%r",
                peer,
                "It forwards requests of others, which all count as one address. If it is your proxy, name it in "
                "GATEWAY_TRUSTED_PROXIES.",
            )

    def is_put_off(self, visitor: Visitor, credentials: int) -> bool:
        """Whether sockets with these credentials have been refused too often just now."""
        visitor.credentials = f"{visitor.address} {credentials}"
        return self._put_off.is_full(visitor.credentials)

    def show(self, visitor: Visitor, *, is_webhook: bool) -> None:
        """A request of it has been read: it is silent no more."""
        if visitor.stage < Stage.KNOWN:
            self._restage(visitor, Stage.UNPROVEN if is_webhook else Stage.STRANGER)

    def promote(self, visitor: Visitor, stage: Stage, *, is_exempt: bool = False) -> None:
        """It has shown more than before. `is_exempt`: it counts towards no limit of its address from now on."""
        if visitor not in self._all or visitor.stage >= stage:
            return
        self._restage(visitor, stage)
        if is_exempt:
            self._unsettle(visitor)

    def _restage(self, visitor: Visitor, stage: Stage) -> None:
        before = visitor.stage
        if before is stage:
            return
        if before in self._strangers:
            self._strangers[before].pop(visitor, None)
        visitor.stage = stage
        if stage in self._strangers:
            self._strangers[stage][visitor] = None
        elif visitor.place is not None:
            visitor.place.strangers.pop(visitor, None)

    # ------------------------------------------------------------------------------------------ one address

    def settle_again(self, visitor: Visitor) -> None:
        """It was one too many, and has shown a request: others may have gone, or become known, since it came."""
        if visitor.room is Room.EXTRA and visitor.place is not None:
            place = visitor.place
            if len(place.strangers) <= self.limits.address_strangers or self._evict_stranger(place):
                visitor.room = Room.YES

    def _settle(self, visitor: Visitor) -> Room:
        """Counts it at its address, and makes room there."""
        key = counted_as(visitor.address)
        place = self._places.get(key)
        if place is None:
            place = self._places[key] = Place()
        room = Room.YES
        if len(place.all) >= self.limits.address_connections and not self._make_room(
            _victims(place.all), "address_connections"
        ):
            return Room.NONE
        is_stranger = visitor.stage < Stage.KNOWN
        if is_stranger and len(place.strangers) >= self.limits.address_strangers:
            room = Room.YES if self._evict_stranger(place) else Room.EXTRA
        # Its last one may have left just now, and taken the place along.
        place = self._places.setdefault(key, place)
        place.all[visitor] = None
        if is_stranger:
            place.strangers[visitor] = None
        visitor.place = place
        visitor.is_counted = True
        return room

    def _evict_stranger(self, place: Place) -> bool:
        """Closes the oldest of those who have had the time to say what they want and do not wait for an answer."""
        before = asyncio.get_running_loop().time() - self.limits.webhook_line_s
        late = (
            visitor
            for visitor in place.strangers
            if (visitor.stage is Stage.SILENT and visitor.opened_at < before)
            or (visitor.stage is Stage.STRANGER and not visitor.is_busy)
        )
        return self._make_room(late, "address_strangers")

    def _unsettle(self, visitor: Visitor) -> None:
        place = visitor.place
        if place is None:
            return
        visitor.place = None
        visitor.is_counted = False
        place.all.pop(visitor, None)
        place.strangers.pop(visitor, None)
        if not place.all:
            self._places.pop(counted_as(visitor.address), None)

    # ------------------------------------------------------------------------------------------ who goes first

    def _global_victims(self) -> Iterator[Visitor]:
        for stage in (Stage.SILENT, Stage.STRANGER, Stage.UNPROVEN):
            yield from self._strangers[stage]
        for visitor in self._all:
            if visitor.stage is Stage.KNOWN and not visitor.is_busy:
                yield visitor

    def _make_room(self, victims: Iterator[Visitor], kind: str) -> bool:
        """Closes the first that may be closed."""
        victim = next(victims, None)
        if victim is None:
            return False
        self.leave(victim)
        victim.drop(kind)
        return True

    # ------------------------------------------------------------------------------------------ time and memory

    def stalled(self, visitor: Visitor) -> None:
        """It does not read what it is sent. All such answers together have a limit: the largest goes first."""
        self._stalled.add(visitor)
        sizes = {each: each.holder.buffered() for each in self._stalled}
        total, most = sum(sizes.values()), self.limits.unread_answers_mib * MIB
        while total > most:
            largest = max(sizes, key=lambda each: sizes[each])
            total -= sizes.pop(largest)
            self.leave(largest)
            largest.drop("unread_answers")

    def flows(self, visitor: Visitor) -> None:
        """It reads again."""
        self._stalled.discard(visitor)

    def _sweep(self) -> None:
        """Closes what has used up its time."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        late = [visitor for visitor in self._all if visitor.deadline <= now]
        for visitor in late:
            if visitor.holder.has_progressed():
                visitor.deadline = now + self.limits.body_s
                continue
            if visitor.why != "keep_alive":
                self.refusals.count(visitor.why, visitor.address)
            visitor.holder.drop()
            self.leave(visitor)
        self._sweeping = loop.call_later(SWEEP_S, self._sweep) if self._all else None


def _victims(among: dict[Visitor, None]) -> Iterator[Visitor]:
    """Those of one address that may be closed, in that order."""
    for stage in (Stage.SILENT, Stage.STRANGER, Stage.UNPROVEN):
        for visitor in among:
            if visitor.stage is stage:
                yield visitor
    for visitor in among:
        if visitor.stage is Stage.KNOWN and not visitor.is_busy:
            yield visitor
