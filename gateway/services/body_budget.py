"""The memory that bodies of requests may take, all together.

Strangers, webhooks and people who are logged in have a share each: what one kind fills is not missing to the others. A
body waits its turn, in order, and is refused after a while.
"""

import asyncio
from collections import deque
from weakref import WeakValueDictionary

from gateway.domain.errors import Unavailable
from gateway.domain.limits import KIB, MIB, Limits
from gateway.services.refusals import Refusals

BODY = "gateway.body"
"""Key in the scope of a request: the memory that its body may take."""

RETRY_AFTER_S = 2.0
MOST_WAITING = 64
"""Bodies of strangers; what has been read of one while it waits is in memory too."""

WEBHOOK_SEVENTHS = 4
"""Of the memory for bodies that are no stranger's: 16 of 28 MiB. The rest is for people who are logged in."""

PEOPLE_AT_LEAST = 4
"""So many people fit into their share: one of them holds no more than that part of it."""

MOST_BYTES = 8 * MIB
"""Of one body, whoever sends it."""


class _Share:
    """So many bytes, given out in the order in which they were asked for."""

    def __init__(self, size: int, most_waiting: float = float("inf")) -> None:
        self.size = size
        self._most_waiting = most_waiting
        self._left = size
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

    def charge(self, size: int) -> int:
        """What a body of this size counts. One that is larger than the share fills it, and comes in all the same."""
        return min(size, self.size)

    def take_now(self, size: int) -> bool:
        if self._waiting or size > self._left:
            return False
        self._left -= size
        return True

    async def take(self, size: int, wait_s: float) -> None:
        """Raises TimeoutError."""
        if self.take_now(size):
            return
        if len(self._waiting) >= self._most_waiting:
            raise TimeoutError
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (turn, size)
        self._waiting.append(entry)
        try:
            async with asyncio.timeout(wait_s):
                await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.give_back(size)  # it was given in the moment in which the wait ended
            elif entry in self._waiting:
                self._waiting.remove(entry)
                self._serve()
            raise

    def give_back(self, size: int) -> None:
        self._left += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][1] <= self._left:
            turn, size = self._waiting.popleft()
            if not turn.done():
                self._left -= size
                turn.set_result(None)


class BodyBudget:
    """Gives out the memory that bodies may take."""

    def __init__(self, limits: Limits, refusals: Refusals) -> None:
        self._refusals = refusals
        self._wait_s = limits.body_wait_s
        of_webhooks = limits.bodies_mib * MIB * WEBHOOK_SEVENTHS // 7
        self.strangers = _Share(limits.stranger_bodies_mib * MIB, MOST_WAITING)
        self.webhooks = _Share(of_webhooks)
        self.known = _Share(limits.bodies_mib * MIB - of_webhooks)
        self._people: WeakValueDictionary[str, _Share] = WeakValueDictionary()
        self.stranger_most = limits.stranger_body_kib * KIB
        self.parse_alone = limits.parse_alone_kib * KIB
        self._parsing = asyncio.Lock()

    def open(self, address: str) -> "BodyLease":
        """What one request holds: nothing yet."""
        return BodyLease(self, address)

    def of_person(self, who: str) -> _Share:
        """What one person may hold of the share of those who are logged in, all requests together."""
        share = self._people.get(who)
        if share is None:
            share = self._people[who] = _Share(self.known.size // PEOPLE_AT_LEAST)
        return share

    async def take(self, shares: tuple[_Share, ...], held: int, size: int, address: str) -> None:
        """Waits until a body that holds `held` bytes may hold `size`. Raises Unavailable after a wait in vain."""
        taken: list[tuple[_Share, int]] = []
        try:
            for share in shares:
                more = share.charge(size) - share.charge(held)
                if more:  # a body that fills the share already must not wait behind those that wait for it
                    await share.take(more, self._wait_s)
                    taken.append((share, more))
        except BaseException as error:
            for share, more in taken:
                share.give_back(more)
            if isinstance(error, TimeoutError):
                raise self.refused("bodies", address) from None
            raise

    async def parse_alone_now(self, address: str) -> None:
        """Waits until no other large body is taken apart; `parsed` lets the next begin."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._parsing.acquire()
        except TimeoutError:
            raise self.refused("parsing", address) from None

    def parsed(self) -> None:
        """The large body has been taken apart."""
        self._parsing.release()

    def refused(self, kind: str, address: str) -> Unavailable:
        """The answer to a body that waited in vain, counted."""
        self._refusals.count(kind, address)
        return Unavailable("Too many bodies at once. Send it again in a moment.", retry_after_s=RETRY_AFTER_S)


class BodyLease:
    """What one request holds of the budget."""

    __slots__ = ("_budget", "_is_parsing", "_shares", "_size", "address", "is_streamed")

    def __init__(self, budget: BodyBudget, address: str) -> None:
        self._budget = budget
        self.address = address
        self._shares: tuple[_Share, ...] = (budget.strangers,)
        self._is_parsing = False
        self._size = 0
        self.is_streamed = False
        """Its bytes are written away as they come: only what is on its way is in memory."""

    @property
    def is_known(self) -> bool:
        """Whether it has shown a login or a webhook's secret."""
        return self._shares[0] is not self._budget.strangers

    @property
    def most(self) -> int:
        """Bytes that this body may have."""
        return MOST_BYTES if self.is_known else self._budget.stranger_most

    def know(self, who: str = "", *, is_webhook: bool = False) -> None:
        """The request has shown the login of `who`, or a webhook's secret.

        What it took before goes back to the strangers.
        """
        if not self.is_known:
            self.end()
            budget = self._budget
            self._shares = (budget.webhooks,) if is_webhook else (budget.of_person(who), budget.known)

    async def grow_to(self, size: int) -> None:
        """So many bytes of its body will be in memory. Raises Unavailable after a wait in vain."""
        if size > self._size:
            await self._budget.take(self._shares, self._size, size, self.address)
            self._size = size

    async def parse(self, size: int) -> None:
        """Before a body of this size is taken apart: a large one waits until the one before it is done with."""
        if size > self._budget.parse_alone and not self._is_parsing:
            await self._budget.parse_alone_now(self.address)
            self._is_parsing = True

    def parsed(self) -> None:
        """The body has been taken apart: the next large one may begin. Idempotent."""
        if self._is_parsing:
            self._is_parsing = False
            self._budget.parsed()

    def end(self) -> None:
        """Gives everything back. Idempotent."""
        for share in self._shares:
            share.give_back(share.charge(self._size))
        self._size = 0
        self.parsed()
