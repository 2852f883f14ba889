"""Presence where no socket is open, and where Postgres is away."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from gateway.domain.errors import StoreUnavailable
from gateway.domain.presence import Person
from gateway.services.presence.presence import Presence, Present, Word

ASHA = "255711000111@s.whatsapp.net"
ALI = Person("user:2", "Ali", "typing")


class Store:
    """Holds what a test says; `is_away` makes every call fail."""

    def __init__(self) -> None:
        self.present: list[Present] = []
        self.said: list[Word] = []
        self.reads = 0
        self.is_away = False
        self.called = asyncio.Event()

    async def say(self, words: Sequence[Word]) -> None:
        self.said += words
        self._call()

    async def read(self) -> list[Present]:
        self.reads += 1
        self._call()
        return self.present

    def _call(self) -> None:
        self.called.set()
        if self.is_away:
            raise StoreUnavailable("away")


class Pages:
    """The open sockets."""

    def __init__(self) -> None:
        self.is_busy = True
        self.told: asyncio.Queue[tuple[int, str, tuple[Person, ...]]] = asyncio.Queue()

    def tell_presence(self, inbox: int, chat: str, people: Sequence[Person]) -> None:
        self.told.put_nowait((inbox, chat, tuple(people)))


@contextlib.asynccontextmanager
async def running(store: Store, pages: Pages) -> AsyncIterator[Presence]:
    presence = Presence(store, "gateway", has_pages=lambda: pages.is_busy, on_change=pages.tell_presence)
    task = asyncio.create_task(presence.run())
    yield presence
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_who_was_there_is_gone_in_time_also_while_postgres_is_away() -> None:
    store, pages = Store(), Pages()
    store.present = [Present(12, ASHA, "user:2", "Ali", "typing", 0.05)]
    async with running(store, pages) as presence:
        presence.notify("12")
        assert await pages.told.get() == (12, ASHA, (ALI,))
        store.is_away = True
        async with asyncio.timeout(10):
            assert await pages.told.get() == (12, ASHA, ())


async def test_without_an_open_socket_nothing_is_read_and_the_first_one_asks() -> None:
    store, pages = Store(), Pages()
    pages.is_busy = False
    async with running(store, pages) as presence:
        presence.say(Word("c1", 12, ASHA, "user:2", "Ali", "viewing"))
        await store.called.wait()
        assert (store.reads, [word.connection for word in store.said]) == (0, ["gateway/c1"])

        pages.is_busy = True
        store.present = [Present(12, ASHA, "user:2", "Ali", "typing", 9.0)]
        assert presence.people_in(lambda inbox: True) == {}
        assert await pages.told.get() == (12, ASHA, (ALI,))
        assert presence.people_in(lambda inbox: inbox == 12) == {(12, ASHA): (ALI,)}
        assert presence.people_in(lambda inbox: inbox == 13) == {}


async def test_a_connection_that_closes_takes_back_all_that_it_said() -> None:
    store, pages = Store(), Pages()
    async with running(store, pages) as presence:
        for chat in ("1@s.whatsapp.net", "2@s.whatsapp.net"):
            presence.say(Word("c1", 12, chat, "user:2", "Ali", "viewing"))
        presence.leave("c1")
        await store.called.wait()
        assert {(word.chat, word.doing) for word in store.said} == {
            ("1@s.whatsapp.net", None),
            ("2@s.whatsapp.net", None),
        }
