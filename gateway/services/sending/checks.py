"""Asks WasenderAPI what became of messages whose fate is open, one call at a time beside the sends.

An accepted one is asked for by upstream's number: the answer holds its key and its state. For an unknown one the
message log is read, where it is kept: an entry that looks like it, and is no other row's, has a number to ask by.

Lifecycle: `run` in a task while this process holds the session's lease; `wake` on every notification.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.domain.backoff import Backoff
from gateway.domain.errors import GatewayError, NotFound, StoreUnavailable
from gateway.domain.message import DeliveryState, digits_of
from gateway.domain.sending import Send, SendStatus
from gateway.services.sending.ports import Preparation
from gateway.services.sending.receipts import Receipts

logger = logging.getLogger(__name__)

BACKOFF = Backoff(10.0, 3_600.0, spread=0.0)
LAST_TRY = 12
"""After so many answers without news upstream is not asked any more; webhooks still count."""
RETRY_S = 2.0
FAULT_S = 30.0
LOG_ROWS = 50
_NO_NEWS = (DeliveryState.FAILED, DeliveryState.QUEUED)


@dataclass(frozen=True, slots=True)
class Check:
    """One message that upstream is to be asked about."""

    send: Send
    to: str
    """Digits or JID of the recipient."""
    text: str | None
    due_at: float
    tries: int
    told: str | None
    """Reason of a failure that may be this one's."""


class Info(Protocol):
    """What upstream knows of one message."""

    @property
    def key_id(self) -> str | None:
        """WhatsApp's id."""

    @property
    def state(self) -> DeliveryState | None:
        """How far it came; None where that cannot be read."""

    @property
    def at(self) -> float | None:
        """Unix seconds of the message."""


@dataclass(frozen=True, slots=True)
class LoggedSend:
    """An entry of upstream's log of sends that has not failed."""

    msg_id: int
    to: str
    text: str | None


class InfoSource(Protocol):
    """WasenderAPI, as far as it tells of messages. Raises UpstreamError, and NotFound."""

    async def info(self, api_key: str, msg_id: int) -> Info:
        """What became of a message."""

    async def logged(self, session_id: int, most: int) -> list[LoggedSend]:
        """The newest entries of the log of sends, where one is kept."""


class CheckStore(Protocol):
    """Rows whose fate is open. Everything raises StoreUnavailable."""

    async def next_check(self, session_id: int) -> Check | None:
        """The one that is due first."""

    async def known_numbers(self, session_id: int, msg_ids: list[int]) -> set[int]:
        """Those of upstream's numbers that rows have already."""

    async def learn(
        self, session_id: int, check: Check, msg_id: int, key_id: str, state: DeliveryState, at: float | None
    ) -> None:
        """Upstream has named this key for a send that looks like that row, and says how far it came."""

    async def fail(self, check: Check, error: str) -> None:
        """Upstream says that the accepted one failed."""

    async def postpone(self, send_id: int, due_at: float | None) -> None:
        """Ask again then, or (None) no more."""

    async def sweep_echoes(self, session_id: int) -> float | None:
        """Lets go held messages whose time is over; seconds until the next one, if any is held."""


class Checker:
    """Follows the open messages of one session."""

    def __init__(
        self,
        session_id: int,
        store: CheckStore,
        source: InfoSource,
        preparation: Preparation,
        clock: Callable[[], float],
    ) -> None:
        self._id = session_id
        self._store = store
        self._source = source
        self._preparation = preparation
        self._clock = clock
        self._woken = asyncio.Event()
        self.receipts: Receipts | None = None
        """Told when nothing is due to be asked for: both are the one call beside a send."""
        self.is_idle = False
        """Nothing is open that has to be asked for here."""

    def wake(self) -> None:
        """Something may be due."""
        self.is_idle = False
        self._woken.set()

    async def run(self) -> None:
        """Asks whatever is due, until it is cancelled."""
        while True:
            self._woken.clear()
            try:
                wait_s = await self._turn()
            except StoreUnavailable as error:
                logger.info("sending.check_store_away session=%d error=%s", self._id, error.code)
                wait_s = RETRY_S
            except Exception:  # one chat's held message, at worst: what is open elsewhere is still asked for
                logger.exception("sending.check_failed session=%d", self._id)
                wait_s = FAULT_S
            try:
                async with asyncio.timeout(wait_s):
                    await self._woken.wait()
            except TimeoutError:
                pass

    async def _turn(self) -> float | None:
        """Does what is due; seconds until the next turn."""
        held_s = await self._store.sweep_echoes(self._id)
        check = await self._store.next_check(self._id)
        wait_s = None if check is None else check.due_at - self._clock()
        if check is None or wait_s is None or wait_s > 0:
            receipt_s = None if self.receipts is None else await self.receipts.turn()
            waits = [each for each in (held_s, wait_s, receipt_s) if each is not None]
            self.is_idle = not waits
            return min(waits, default=None)
        try:
            await self._ask(check)
        except StoreUnavailable:
            raise
        except GatewayError as error:
            logger.info(
                "sending.not_asked session=%d message=%d error=%s", self._id, check.send.id, error.code
            )
            await self._later(check, error.retry_after_s)
        except (
            Exception
        ):  # a bug, or an answer of a shape that was never seen: others are asked for all the same
            logger.exception("sending.not_asked session=%d message=%d", self._id, check.send.id)
            await self._later(check)
        return 0.0

    async def _later(self, check: Check, at_least_s: float | None = None) -> None:
        wait_s = max(at_least_s or 0.0, BACKOFF.pause_s(check.tries + 1))
        due_at = None if check.tries >= LAST_TRY else self._clock() + wait_s
        await self._store.postpone(check.send.id, due_at)

    async def _ask(self, check: Check) -> None:
        key = await self._preparation.key_of(self._id, fresh=False)
        if key is None:
            await self._later(check)
            return
        if check.send.status is SendStatus.UNKNOWN:
            if not await self._search_log(check, key):
                await self._later(check)
        elif check.send.msg_id is None or not await self._ask_for(check, key, check.send.msg_id):
            await self._later(check)

    async def _ask_for(self, check: Check, api_key: str, msg_id: int) -> bool:
        """Whether upstream's answer has settled it."""
        try:
            info = await self._source.info(api_key, msg_id)
        except NotFound:
            return False
        state = info.state
        if state is DeliveryState.FAILED and check.send.status is SendStatus.ACCEPTED:
            await self._store.fail(check, check.told or "WhatsApp did not take the message.")
            return True
        if state in _NO_NEWS or state is None or info.key_id is None:
            return False
        await self._store.learn(self._id, check, msg_id, info.key_id, state, info.at)
        return True

    async def _search_log(self, check: Check, api_key: str) -> bool:
        """Entries of the log that look like it, and are no row's: each has a key, and keys are evidence."""
        entries = await self._source.logged(self._id, LOG_ROWS)
        found = [entry.msg_id for entry in entries if _is_alike(entry, check)]
        known = await self._store.known_numbers(self._id, found)
        settled = False
        for msg_id in reversed([number for number in found if number not in known]):
            settled |= await self._ask_for(check, api_key, msg_id)
        return settled


def _is_alike(entry: LoggedSend, check: Check) -> bool:
    """Whether a log entry may be the message."""
    is_same_person = entry.to == check.to or (
        bool(digits_of(entry.to)) and digits_of(entry.to) == digits_of(check.to)
    )
    return is_same_person and (entry.text or "").strip() == (check.text or "").strip()
