"""Takes rows that the shop's own code inserts to be sent into the queues. Off unless the operator wants it.

Lifecycle: `run` lives as long as the gateway; `inboxes_moved` with every notification of messages. With the setting
off it notes that once, and nothing more.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from gateway.domain.errors import GatewayError, Invalid
from gateway.domain.message import bare_jid, jid_of_phone, mend_text, phone_of
from gateway.domain.phones import international
from gateway.domain.send_content import TEXT_LIMIT, is_blank

logger = logging.getLogger(__name__)

RETRY_S = 5.0
_WITH_URL = frozenset({"image", "video", "audio", "document", "sticker"})


@dataclass(frozen=True, slots=True)
class SqlRow:
    """What another writer has inserted."""

    chat: str | None
    text: str | None
    kind: str
    url: str | None
    own_number: str | None


class SqlIntakeStore(Protocol):
    """The rows of other writers. Every call raises StoreUnavailable."""

    async def turn(self, is_on: bool) -> None:
        """Notes whether such rows are sent; those from the moment of turning it on."""

    async def take(self, read: Callable[[SqlRow], tuple[str, dict[str, Any]]]) -> int:
        """Queues fresh rows; how many there were."""


class SqlIntake:
    """Queues fresh rows of other writers."""

    def __init__(self, store: SqlIntakeStore, field_of: Callable[[str], str], *, is_on: bool) -> None:
        """`field_of` names the field in which upstream takes the address of a file of that kind."""
        self._store = store
        self._read = partial(read_row, field_of=field_of)
        self._is_on = is_on
        self._moved = asyncio.Event()

    def inboxes_moved(self, payload: str) -> None:
        """Messages came, or changed: there may be fresh rows. Never waits."""
        self._moved.set()

    async def run(self) -> None:
        """Takes rows whenever messages move, until it is cancelled."""
        await self._patiently_turn()
        while True:
            await self._moved.wait()
            self._moved.clear()
            if not self._is_on:
                continue
            try:
                while await self._store.take(self._read):
                    pass
            except GatewayError as error:
                logger.warning("sending.rows_not_taken error=%s", error)
                await asyncio.sleep(RETRY_S)
                self._moved.set()

    async def _patiently_turn(self) -> None:
        while True:
            try:
                await self._store.turn(self._is_on)
            except GatewayError as error:
                logger.warning("sending.rows_not_taken error=%s", error)
                await asyncio.sleep(RETRY_S)
            else:
                self._moved.set()
                return


def read_row(row: SqlRow, field_of: Callable[[str], str]) -> tuple[str, dict[str, Any]]:
    """The chat that a row names, and the payload of its message. Raises Invalid.

    `field_of` names the field in which upstream takes the address of a file of that kind.
    """
    text = mend_text(row.text or "")
    if len(text) > TEXT_LIMIT:
        raise Invalid(f"The text has {len(text)} characters; WhatsApp takes {TEXT_LIMIT}.")
    content = {} if is_blank(text) else {"text": text}
    extra: dict[str, Any] = {}
    if row.kind in _WITH_URL and row.url:
        extra[field_of(row.kind)] = row.url
    elif row.kind != "text":
        raise Invalid(f"A message of type {row.kind} cannot be sent from a row without its media_url.")
    elif not content:
        raise Invalid("There is nothing to send.")
    if not row.chat:
        raise Invalid("The row names no chat and no phone.")
    jid = bare_jid(row.chat)
    phone = phone_of(jid)
    named = jid_of_phone(international(f"+{phone}", row.own_number)) if phone else jid
    return named, {"content": content, "extra": extra}
