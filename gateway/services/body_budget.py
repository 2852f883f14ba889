"""The memory that bodies of requests may take, all together.

Bodies of strangers have a share of their own: what they fill is not missing to those who have shown a login or a
webhook's secret. A body waits its turn, in order, and is refused after a while.
"""

import asyncio
from collections import deque

from gateway.domain.errors import Unavailable
from gateway.domain.limits import KIB, MIB, Limits
from gateway.services.refusals import Refusals

BODY = "gateway.body"
"""Key in the scope of a request: the memory that its body may take."""

RETRY_AFTER_S = 2.0
MOST_WAITING = 64
"""Bodies of strangers; what has been read of one while it waits is in memory too."""

MOST_BYTES = 8 * MIB
"""Of one body, whoever sends it."""


class _Share:
    """So many bytes, given out in the order in which they were asked for."""

    def __init__(self, size: int, most_waiting: float = float("inf")) -> None:
        self.size = size
        self._most_waiting = most_waiting
        self._left = size
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()

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
        self._strangers = _Share(limits.stranger_bodies_mib * MIB, MOST_WAITING)
        self._known = _Share(limits.bodies_mib * MIB)
        self.stranger_most = limits.stranger_body_kib * KIB
        self.parse_alone = limits.parse_alone_kib * KIB
        self._parsing = asyncio.Lock()

    def open(self, address: str) -> "BodyLease":
        """What one request holds: nothing yet."""
        return BodyLease(self, address)

    async def take(self, size: int, address: str, *, is_known: bool) -> None:
        """Waits for so many bytes. Raises Unavailable after a wait in vain."""
        share = self._known if is_known else self._strangers
        try:
            await share.take(min(size, share.size), self._wait_s)
        except TimeoutError:
            raise self.refused("bodies", address) from None

    def give_back(self, size: int, *, is_known: bool) -> None:
        """So many bytes are free again."""
        share = self._known if is_known else self._strangers
        share.give_back(min(size, share.size))

    async def parse_alone_now(self, address: str) -> None:
        """Waits until no other large body is taken apart; `parsed` lets the next begin."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._parsing.acquire()
        except TimeoutError:
            raise self.refused("parsing", address) from None

    def parsed(self) -> None:
        """The large body has been taken apart and let go."""
        self._parsing.release()

    def refused(self, kind: str, address: str) -> Unavailable:
        """The answer to a body that waited in vain, counted."""
        self._refusals.count(kind, address)
        return Unavailable("Too many bodies at once. Send it again in a moment.", retry_after_s=RETRY_AFTER_S)


class BodyLease:
    """What one request holds of the budget."""

    __slots__ = ("_budget", "_is_known", "_is_parsing", "_size", "address", "is_streamed")

    def __init__(self, budget: BodyBudget, address: str) -> None:
        self._budget = budget
        self.address = address
        self._is_known = False
        self._is_parsing = False
        self._size = 0
        self.is_streamed = False
        """Its bytes are written away as they come: only what is on its way is in memory."""

    @property
    def is_known(self) -> bool:
        """Whether it has shown a login or a webhook's secret."""
        return self._is_known

    @property
    def most(self) -> int:
        """Bytes that this body may have."""
        return MOST_BYTES if self._is_known else self._budget.stranger_most

    def know(self) -> None:
        """The request has shown a login or a webhook's secret. What was taken before goes back to the strangers."""
        if not self._is_known:
            self.end()
            self._is_known = True

    async def grow_to(self, size: int) -> None:
        """So many bytes of its body will be in memory. Raises Unavailable after a wait in vain."""
        more = size - self._size
        if more > 0:
            await self._budget.take(more, self.address, is_known=self._is_known)
            self._size = size

    async def parse(self, size: int) -> None:
        """Before a body of this size is taken apart: a large one waits until the one before it is done with."""
        if size > self._budget.parse_alone and not self._is_parsing:
            await self._budget.parse_alone_now(self.address)
            self._is_parsing = True

    def end(self) -> None:
        """Gives everything back. Idempotent."""
        if self._size:
            self._budget.give_back(self._size, is_known=self._is_known)
            self._size = 0
        if self._is_parsing:
            self._is_parsing = False
            self._budget.parsed()
