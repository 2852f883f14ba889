"""Shows customers that their messages were read, where the shop wants that: once for each message.

A receipt goes only while no message waits to be sent that could go, and one at a time: it is the one call that is made
beside a send. A call that began is not made again, unless WasenderAPI's answer says that it was in vain.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.domain.backoff import Backoff
from gateway.domain.errors import GatewayError, NotFound, StoreUnavailable
from gateway.services.sending.ports import Preparation

logger = logging.getLogger(__name__)

BACKOFF = Backoff(10.0, 3_600.0, spread=0.0)
LAST_TRY = 5
"""After so many refusals the customer is not shown it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """A message whose sender is to be shown that it was read. Its call is about to be made."""

    key_id: str
    key: Mapping[str, Any]
    """WhatsApp's key of it, as the webhook had it."""
    tries: int


class ReceiptStore(Protocol):
    """What was marked as read. Everything raises StoreUnavailable."""

    async def begin(self, session_id: int) -> Receipt | float | None:
        """Notes that the next call begins, and for which message; or in how many seconds to look again, None if not."""

    async def take_back(self, session_id: int, key_id: str, due_at: float) -> None:
        """The call was in vain: it is to be made again then."""


class ReceiptCalls(Protocol):
    """WasenderAPI, as far as it shows what was read. Raises UpstreamError."""

    async def mark_read(self, api_key: str, key: Mapping[str, Any]) -> None:
        """Shows the customer that a message was read."""


class Receipts:
    """The receipts of one session."""

    def __init__(
        self,
        session_id: int,
        store: ReceiptStore,
        calls: ReceiptCalls,
        preparation: Preparation,
        clock: Callable[[], float],
    ) -> None:
        self._id = session_id
        self._store = store
        self._calls = calls
        self._preparation = preparation
        self._clock = clock

    async def turn(self) -> float | None:
        """Tells of one message, if that may be; seconds until the next turn, None while nothing is left."""
        found = await self._store.begin(self._id)
        if not isinstance(found, Receipt):
            return found
        try:
            await self._tell(found)
        except StoreUnavailable:
            raise
        except NotFound:
            logger.info("sending.receipt_refused session=%d error=not_found", self._id)
        except GatewayError as error:
            logger.info("sending.receipt_refused session=%d error=%s", self._id, error.code)
            await self._later(found, error.retry_after_s)
        return 0.0

    async def _tell(self, receipt: Receipt) -> None:
        key = await self._preparation.key_of(self._id, fresh=False)
        if key is None:
            await self._later(receipt)
        else:
            await self._calls.mark_read(key, receipt.key)

    async def _later(self, receipt: Receipt, at_least_s: float | None = None) -> None:
        if receipt.tries + 1 < LAST_TRY:
            wait_s = max(at_least_s or 0.0, BACKOFF.pause_s(receipt.tries + 1))
            await self._store.take_back(self._id, receipt.key_id, self._clock() + wait_s)
