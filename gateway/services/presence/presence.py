"""Who looks at a conversation or writes in it, told to every page of every gateway.

A page says every five seconds what its person does. The words of a moment are written together, and only what can be
seen makes a notification, which names sessions and no customer. Each gateway with an open socket then reads the whole
table: it holds one small row for each page that is open. It reads again when the first of these rows runs out. While
no page says anything, nothing is written, read or told.

Lifecycle: `run` lives as long as the gateway. While Postgres is away what has run out is taken back all the same.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.backoff import Backoff
from gateway.domain.errors import StoreUnavailable
from gateway.domain.presence import Doing, Person

LIFE_S = 9.5
"""How long a word holds. Readers have been told of its end within ten seconds."""

MOST_CHATS = 5
"""Conversations that one connection is in at once; with a further one it leaves the oldest."""

PACE_S = 0.1
"""Between two writes or reads: what comes meanwhile goes together."""

BACKOFF = Backoff(first_s=0.5, most_s=5.0)


@dataclass(frozen=True, slots=True)
class Word:
    """What a connection does in a conversation from now on; nothing where `doing` is None."""

    connection: str
    inbox: int
    chat: str
    sub: str
    name: str
    doing: Doing | None


@dataclass(frozen=True, slots=True)
class Present:
    """A person in a conversation, and for how many seconds more unless the person says so again."""

    inbox: int
    chat: str
    sub: str
    name: str
    doing: str
    left_s: float


Place = tuple[int, str]
"""Inbox and chat."""


class PresenceStore(Protocol):
    """Where the gateways of a database meet. Everything raises StoreUnavailable."""

    async def say(self, words: Sequence[Word]) -> None:
        """Notes the words, and tells every gateway of what can be seen."""

    async def read(self) -> list[Present]:
        """All who are in a conversation now."""


class Presence:
    """Brings what pages say to the pages of all gateways."""

    def __init__(
        self,
        store: PresenceStore,
        gateway_id: str,
        *,
        has_pages: Callable[[], bool],
        on_change: Callable[[int, str, Sequence[Person]], None],
    ) -> None:
        """`has_pages`: whether a socket is open here; `on_change` is told who is in a conversation of an inbox now."""
        self._store = store
        self._gateway_id = gateway_id
        self._has_pages = has_pages
        self._on_change = on_change
        self._words: dict[tuple[str, Place], Word] = {}
        self._in: dict[str, dict[Place, Word]] = {}
        """Where each connection here is, the oldest first."""
        self._people: dict[Place, tuple[Person, ...]] = {}
        self._ends: dict[Place, float] = {}
        self._is_due = True
        self._is_known = False
        """Whether `_people` is what the table holds: not while no socket was open."""
        self._wake = asyncio.Event()
        self._failures = 0

    # ------------------------------------------------------------------------------------------ what pages say

    def say(self, word: Word) -> None:
        """Takes a page's word. Never waits."""
        place = (word.inbox, word.chat)
        places = self._in.setdefault(word.connection, {})
        places.pop(place, None)
        places[place] = word
        if len(places) > MOST_CHATS:
            self._leave(word.connection, next(iter(places)))
        self._put(word)

    def leave(self, connection: str) -> None:
        """The connection is closed: its person is nowhere. Never waits."""
        for place in tuple(self._in.get(connection, ())):
            self._leave(connection, place)
        self._in.pop(connection, None)

    def _leave(self, connection: str, place: Place) -> None:
        word = self._in[connection].pop(place)
        self._put(Word(connection, *place, word.sub, word.name, None))

    def _put(self, word: Word) -> None:
        name = f"{self._gateway_id}/{word.connection}"
        self._words[word.connection, (word.inbox, word.chat)] = Word(
            name, word.inbox, word.chat, word.sub, word.name, word.doing
        )
        self._wake.set()

    # ------------------------------------------------------------------------------------------ what all are told

    def notify(self, payload: str) -> None:
        """A notification: what can be seen has changed. Never waits."""
        self._is_due = True
        self._wake.set()

    def people_in(self, follows: Callable[[int], bool]) -> dict[Place, tuple[Person, ...]]:
        """Who is in conversations of the inboxes that a page begins to follow."""
        if not self._is_known:
            self.notify("*")
        return {place: people for place, people in self._people.items() if follows(place[0])}

    async def run(self) -> None:
        """Writes, reads and tells until it is cancelled."""
        while True:
            await self._wait()
            self._wake.clear()
            try:
                await self._round()
                self._failures = 0
                pause_s = PACE_S
            except StoreUnavailable:
                self._failures += 1
                self._is_due = True
                pause_s = BACKOFF.pause_s(self._failures, random.random())
                self._forget_ended()
                self._wake.set()
            await asyncio.sleep(pause_s)

    async def _wait(self) -> None:
        """Returns when there is something to write or read, or the first who is present may be no more."""
        left_s = min(self._ends.values()) - _now() if self._ends else None
        try:
            async with asyncio.timeout(None if left_s is None else max(left_s, 0.0)):
                await self._wake.wait()
        except TimeoutError:
            self._is_due = True

    async def _round(self) -> None:
        words, self._words = self._words, {}
        if words:
            # Words that could not be written are old in a moment; those of connections that have left run out.
            await self._store.say(list(words.values()))
        if not self._has_pages():
            self._is_known = False
            self._people, self._ends = {}, {}
            return
        if not self._is_due:
            return
        self._is_due = False
        self._show(await self._store.read())
        self._is_known = True

    def _show(self, present: Sequence[Present]) -> None:
        """Tells of the conversations in which something is another than before."""
        now = _now()
        people: dict[Place, tuple[Person, ...]] = {}
        ends: dict[Place, float] = {}
        for one in present:
            place = (one.inbox, one.chat)
            people[place] = (*people.get(place, ()), Person(one.sub, one.name, one.doing))
            ends[place] = min(ends.get(place, now + LIFE_S), now + one.left_s)
        before, self._people, self._ends = self._people, people, ends
        for place in {**before, **people}:
            if before.get(place) != people.get(place):
                self._tell(place)

    def _forget_ended(self) -> None:
        """Postgres is away: those whose last word has run out are gone."""
        now = _now()
        for place in [place for place, end in self._ends.items() if end <= now]:
            del self._ends[place], self._people[place]
            self._tell(place)

    def _tell(self, place: Place) -> None:
        self._on_change(*place, self._people.get(place, ()))


def _now() -> float:
    return asyncio.get_running_loop().time()
