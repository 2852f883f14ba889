"""Topics as async iterators, with a bounded queue each.

A reader that falls behind its queue makes the topic leave; when it has read on, the topic joins again where it
stood. So a slow reader costs bounded memory, loses nothing, and does not hold up the other topics.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from gateway.client.items import Event, Live, PositionMap, Reset, StateItem, StreamItem
from gateway.client.topics import StateTopic, StreamTopic, Topic, Wire

T = TypeVar("T")


class Subscription(Generic[T]):
    """Iterate with one task. `close`, or `async with`, ends the interest; leaving the loop alone only pauses it.

    Iterating raises Refused or Closed when nothing more will come; it is safe to cancel.
    """

    topic: Topic

    def __init__(self, release: Callable[["Subscription[T]"], None], queue_items: int) -> None:
        """The topic falls behind with so many items in the queue, and is caught up when a quarter is left."""
        self._release = release
        self._queue_items = queue_items
        self._items: deque[T] = deque()
        self._ready = asyncio.Event()
        self._end: Exception | None = None

    @property
    def waiting(self) -> int:
        """Items that have come, and are not read yet."""
        return len(self._items)

    def put(self, item: T) -> None:
        """Appends an item; with the queue full, the topic falls behind and catches up later."""
        self._items.append(item)
        self._ready.set()
        if len(self._items) == self._queue_items:
            self.topic.fall_behind()

    def fail(self, error: Exception) -> None:
        """Nothing more will come; what came before can still be read."""
        if self._end is None:
            self._end = error
            self._ready.set()

    def close(self) -> None:
        """Idempotent."""
        self._items.clear()
        self.fail(StopAsyncIteration())
        self._release(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._end is not None:
                raise self._end
            self._ready.clear()
            await self._ready.wait()
        item = self._items.popleft()
        if len(self._items) == self._queue_items // 4:
            self.topic.catch_up()
        return item

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Inbox(Subscription[StreamItem]):
    """Events of one inbox, or of all."""

    def __init__(
        self,
        name: str,
        wire: Wire,
        release: Callable[[Subscription[StreamItem]], None],
        after: PositionMap | None,
        queue_items: int,
    ) -> None:
        super().__init__(release, queue_items)
        self.topic = StreamTopic(name, wire, self.put, after)
        self._position = dict(after or {})

    @property
    def position(self) -> PositionMap:
        """Where the reader stands: goes in as `after` next time, also after having been kept as JSON."""
        return dict(self._position)

    async def __anext__(self) -> StreamItem:
        item = await super().__anext__()
        match item:
            case Event(inbox=inbox, off=off, epoch=epoch):
                self._position[inbox] = {"off": off, "epoch": epoch}
            case Reset(inbox=inbox, position=position):
                self._position[inbox] = position
            case Live(position=position):
                self._position = dict(position)
        return item


class States(Subscription[StateItem]):
    """The sessions, or one of them: first a Snapshot, then each newer State."""

    def __init__(
        self, name: str, wire: Wire, release: Callable[[Subscription[StateItem]], None], queue_items: int
    ) -> None:
        super().__init__(release, queue_items)
        self.topic = StateTopic(name, wire, self.put)
