"""People behind addresses: their messages come together, their numbers are asked for, their names are read.

Three works, each in small steps beside the webhooks. Messages move to the conversation of their person, at most 1,000
in a transaction. A number behind a LID is asked for upstream, one at a time. The address book of a phone is read once
after it was linked. Any number of gateways may run this: each step is claimed in Postgres.

Lifecycle: `run` lives as long as the gateway. A failure of the store or of upstream only delays it.
"""

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.backoff import Backoff
from gateway.domain.contacts import ContactFact, LidResolved
from gateway.domain.errors import GatewayError, SessionNotFound, StoreUnavailable, UpstreamRateLimited
from gateway.domain.session import SessionSecrets

logger = logging.getLogger(__name__)

MOVED_AT_ONCE = 1000
"""Messages of one transaction: what browsers are told at once."""

TICK_S = 5.0
SWEEP_S = 60.0
LOOKUP_PAUSE_S = 1.0
"""Between two questions for a number: calls are what upstream counts, and a number is in no hurry."""

MOVE_PAUSE_S = 0.05
"""Between two steps: webhooks come first."""

LOOKUPS_AT_ONCE = 20
BACKOFF = Backoff(first_s=2.0, most_s=60.0)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A LID whose number is to be asked for with the key of the session that met it."""

    lid: str
    session_id: int


@dataclass(frozen=True, slots=True)
class AddressBook:
    """The contacts of the phone that is linked to a session."""

    session_id: int
    device: str
    """The linked device: another one has another address book."""


class ContactStore(Protocol):
    """What is known of contacts, and what is still to be done about them. Raises StoreUnavailable."""

    async def move_some(self, most: int) -> int:
        """Moves messages to the conversations of their people; returns how many."""

    async def find_moves(self) -> None:
        """Notes what stands outside the conversation of its person."""

    async def claim_lookups(self, most: int) -> list[Lookup]:
        """LIDs of connected sessions that are due. They are due again later, should no answer come."""

    async def put_off_lookup(self, lid: str, seconds: float) -> None:
        """Not to be asked for before."""

    async def claim_address_book(self) -> AddressBook | None:
        """One that has not been read since its phone was linked, the longest due first.

        It is due again later, each time after a longer while, until `end_address_book` says that it was read.
        """

    async def end_address_book(self, book: AddressBook) -> None:
        """It was read to its end."""

    async def tell(self, session_id: int, facts: Sequence[ContactFact]) -> None:
        """Stores what the session's contacts say of people."""

    async def secrets(self, session_id: int) -> SessionSecrets | None:
        """API key and webhook secret as they are stored; None for an unknown session."""


class ContactSource(Protocol):
    """WasenderAPI, asked with a session's key."""

    async def get_phone_of_lid(self, api_key: str, lid: str) -> str | None:
        """Digits; None where WhatsApp does not tell."""

    async def get_contacts(self, api_key: str, page: int) -> tuple[list[ContactFact], bool]:
        """One page of the address book, and whether there are more."""


class Contacts:
    """Brings messages of one person together, and asks upstream for what is missing."""

    def __init__(
        self,
        store: ContactStore,
        source: ContactSource,
        *,
        tick_s: float = TICK_S,
        sweep_s: float = SWEEP_S,
        lookup_pause_s: float = LOOKUP_PAUSE_S,
        awake: asyncio.Event | None = None,
    ) -> None:
        """`source` answers questions about people; `awake` is set while the database may be asked."""
        self._store = store
        self._source = source
        self._tick_s = tick_s
        self._sweep_s = sweep_s
        self._lookup_pause_s = lookup_pause_s
        self._awake = awake
        self._wake = asyncio.Event()

    def notify(self, payload: str = "*") -> None:
        """Messages were written. Never waits."""
        self._wake.set()

    async def run(self) -> None:
        """Moves and asks until it is cancelled."""
        async with asyncio.TaskGroup() as works:
            works.create_task(self._ask_for_ever(), name="people-asking")
            works.create_task(self._move_for_ever(), name="people-moving")

    async def _move_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        swept_at, failures = float("-inf"), 0
        while True:
            try:
                if loop.time() - swept_at >= self._sweep_s:
                    await self._store.find_moves()
                    swept_at = loop.time()
                moved = await self._store.move_some(MOVED_AT_ONCE)
                failures = 0
                if moved:
                    await asyncio.sleep(MOVE_PAUSE_S)
                    continue
            except StoreUnavailable as error:
                failures += 1
                logger.warning("contacts.not_moved error=%s", error)
            except Exception:
                failures += 1
                logger.exception("contacts.not_moved")
            await self._rest(failures)

    async def _rest(self, failures: int) -> None:
        if failures:
            await asyncio.sleep(BACKOFF.pause_s(failures, random.random()))
        try:
            async with asyncio.timeout(self._tick_s):
                await self._wake.wait()
            await asyncio.sleep(min(0.2, self._tick_s))  # what is written meanwhile moves together
        except TimeoutError:
            if self._awake is not None:
                await self._awake.wait()
        self._wake.clear()

    # ------------------------------------------------------------------------------------------ asking upstream

    async def _ask_for_ever(self) -> None:
        while True:
            if self._awake is not None:
                await self._awake.wait()
            try:
                await self.ask()
            except GatewayError as error:
                logger.warning("contacts.not_asked error=%s", error)
            except Exception:
                logger.exception("contacts.not_asked")
            await asyncio.sleep(self._tick_s * random.uniform(0.8, 1.2))

    async def ask(self) -> None:
        """One address book and some numbers that are due: neither keeps the other waiting for long."""
        if (book := await self._store.claim_address_book()) is not None:
            await self._read_address_book(book)
        for lookup in await self._store.claim_lookups(LOOKUPS_AT_ONCE):
            await self._look_up(lookup)
            await asyncio.sleep(self._lookup_pause_s)

    async def _look_up(self, lookup: Lookup) -> None:
        key = await self._key_of(lookup.session_id)
        if key is None:
            return
        try:
            phone = await self._source.get_phone_of_lid(key, lookup.lid)
        except UpstreamRateLimited as error:
            await self._store.put_off_lookup(lookup.lid, error.retry_after_s or 60.0)
            return
        except GatewayError as error:
            logger.info("contacts.number_not_told session=%d error=%s", lookup.session_id, error)
            return
        if phone is not None:
            await self._store.tell(lookup.session_id, [LidResolved(lookup.lid, phone)])
            self._wake.set()

    async def _read_address_book(self, book: AddressBook) -> None:
        session_id = book.session_id
        key = await self._key_of(session_id)
        if key is None:
            return
        page, more = 1, True
        try:
            while more and page <= 200:
                facts, more = await self._source.get_contacts(key, page)
                await self._store.tell(session_id, facts)
                page += 1
                await asyncio.sleep(self._lookup_pause_s if more else 0.0)
        except SessionNotFound:
            await self._store.end_address_book(book)  # upstream has no address book of it
        except GatewayError as error:
            logger.warning("contacts.not_read session=%d page=%d error=%s", session_id, page, error)
        else:
            await self._store.end_address_book(book)
            logger.info("contacts.read session=%d pages=%d", session_id, page - 1)
        self._wake.set()

    async def _key_of(self, session_id: int) -> str | None:
        secrets = await self._store.secrets(session_id)
        return secrets.api_key if secrets is not None else None
