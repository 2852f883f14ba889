"""The tail: what is in memory of an inbox, and how it comes back after nobody wanted it."""

import asyncio
from collections.abc import Mapping, Sequence

from gateway.domain.streams import Event, Extent, Inbox, Position, Snapshot
from gateway.realtime.hub.catch_up_reads import SharedReads
from gateway.realtime.hub.tail import TAIL_EVENTS, Frames, Tails
from gateway.realtime.transport.framing import Frame

INBOX = Inbox(7)


def events(first: int, last: int) -> list[Event]:
    return [
        Event(INBOX, off, "whatsapp_incoming_messages", "INSERT", "", {"id": off}, {"id": off})
        for off in range(first, last + 1)
    ]


def own(event: Event) -> Frames:
    return (Frame(f"own {event.off}".encode()),)


def foreign(event: Event) -> Frames:
    return (Frame(f"foreign {event.off}".encode()),)


def offs(tails: Tails, after: int) -> list[int] | None:
    page = tails.after(INBOX, after, own, 1 << 20)
    return None if page is None else [off for off, _ in page]


def test_what_reaches_the_top_is_kept_when_nothing_was() -> None:
    tails = Tails(own)
    tails.put_before(INBOX, events(4, 6), 6, with_events=False)

    assert offs(tails, 3) == [4, 5, 6]
    assert offs(tails, 2) is None
    assert tails.after(INBOX, 3, foreign, 1 << 20) is None


def test_what_ends_before_the_top_is_not_kept() -> None:
    tails = Tails(own)
    tails.put_before(INBOX, events(4, 5), 6, with_events=False)

    assert offs(tails, 3) is None


def test_what_was_read_ahead_of_the_hub_waits_for_it() -> None:
    tails = Tails(own)
    tails.put_before(INBOX, events(4, 8), 6, with_events=True)
    assert offs(tails, 3) == [4, 5, 6]
    tails.keep(INBOX, events(7, 8), None, with_events=True)

    assert offs(tails, 3) == [4, 5, 6, 7, 8]
    (last,) = tails.after(INBOX, 7, foreign, 1 << 20) or []
    assert last[1][0].text == b"foreign 8"


def test_older_events_come_before_those_that_are_kept_as_far_as_there_is_room() -> None:
    tails = Tails(own)
    tails.keep(INBOX, events(501, 600), None, with_events=True)
    tails.put_before(INBOX, events(1, 520), 600, with_events=True)

    assert offs(tails, 600 - TAIL_EVENTS) == list(range(601 - TAIL_EVENTS, 601))
    assert offs(tails, 599 - TAIL_EVENTS) is None


def test_a_hole_is_never_kept() -> None:
    tails = Tails(own)
    tails.keep(INBOX, events(10, 12), None, with_events=True)
    tails.put_before(INBOX, events(4, 8), 12, with_events=True)

    assert offs(tails, 3) is None
    assert offs(tails, 9) == [10, 11, 12]


class Store:
    """Counts its readers, and answers when it is told to."""

    def __init__(self) -> None:
        self.reads = 0
        self.answers = asyncio.Event()

    async def extents(self, inboxes: Sequence[int] | None = None) -> dict[int, Extent]:
        return {}

    async def moved_since(self, snapshot: Snapshot) -> dict[int, Position] | None:
        raise AssertionError("nobody asks for a snapshot here")

    async def ensure(self, inbox: int) -> Extent:
        return Extent(0, 0, "one")

    async def read_after(
        self, offsets: Mapping[int, int], limit: int, max_bytes: int | None = None
    ) -> list[Event]:
        self.reads += 1
        await self.answers.wait()
        return events(offsets[INBOX] + 1, offsets[INBOX] + 3)


async def test_the_same_page_is_read_once_for_all_who_wait_for_it() -> None:
    store = Store()
    shared = SharedReads(store)
    async with asyncio.TaskGroup() as group:
        same = [group.create_task(shared.read_after({INBOX: 5}, 200)) for _ in range(100)]
        other = group.create_task(shared.read_after({INBOX: 6}, 200))
        await asyncio.sleep(0)
        same[0].cancel()  # who leaves takes nothing away from the others
        await asyncio.sleep(0)
        store.answers.set()

    assert store.reads == 2
    assert all(task.result() == events(6, 8) for task in same[1:])
    assert other.result() == events(7, 9)
    await shared.read_after({INBOX: 5}, 200)
    assert store.reads == 3
