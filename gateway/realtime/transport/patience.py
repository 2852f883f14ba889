"""How long an HTTP client is waited for: for a head, for more of a body, for an answer read, for the next request."""

import asyncio

from gateway.domain.limits import KIB, Limits
from gateway.realtime.transport.guard import Visitor

PROGRESS_BYTES = KIB
"""Less than this in the time for a body is no progress."""

LINGER_S = 10.0
"""A client that has its answer may send the body that it had begun to send: it would not read the answer otherwise."""

REFUSED_S = 2.0
"""The same of a client that is refused for what it sent."""


class Patience:
    """Sets the time at which the guard closes a visitor's connection, and knows whether it gets as much again."""

    __slots__ = ("_limits", "_loop", "_received", "_unread", "_visitor")

    def __init__(self, visitor: Visitor, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self._visitor = visitor
        self._limits = limits
        self._loop = loop
        self._received = 0
        """Of a body, since its time was set."""
        self._unread = 0
        """Of the answers, when the time to read them was set."""

    def for_head(self) -> None:
        """A request has begun: an idle connection's time ends, unless an answer is still to be read."""
        if not self._visitor.is_busy and self._visitor.why == "keep_alive":
            self._visitor.wait_until(self._loop.time() + self._limits.headers_s, "headers_time")

    def for_body(self) -> None:
        """A head is whole: its body may take a time, and each piece of it that counts as progress the same again."""
        self._received = 0
        self._visitor.wait_until(self._loop.time() + self._limits.body_s, "body_time")

    def received(self, size: int) -> None:
        """So much of a body has come."""
        self._received += size
        if self._received >= PROGRESS_BYTES and self._visitor.why == "body_time":
            self.for_body()

    def for_reader(self, unread: int) -> None:
        """The client does not read its answers, of which so much waits."""
        self._unread = unread
        self._visitor.wait_until(self._loop.time() + self._limits.body_s, "answer_time")

    @property
    def is_for_reader(self) -> bool:
        """Whether the last time set was one to read an answer in."""
        return self._visitor.why == "answer_time"

    def for_next_request(self, *, is_begun: bool) -> None:
        """Nothing is being answered: the next request is waited for, or the rest of its head."""
        if is_begun:
            self._visitor.wait_until(self._loop.time() + self._limits.headers_s, "headers_time")
        else:
            self._visitor.wait_until(self._loop.time() + self._limits.keep_alive_s, "keep_alive")

    def for_leftovers(self, within_s: float) -> None:
        """The last answer is given: the client may end what it had begun to send."""
        self._visitor.wait_until(self._loop.time() + within_s, "keep_alive")

    def has_progressed(self, unread: int, *, is_read_paused: bool) -> bool:
        """Whether a client whose time is over gets as much again; `unread` of its answers waits now."""
        if self._visitor.why == "body_time":
            return is_read_paused  # the gateway does not read: it is not the client who is late
        if self.is_for_reader:
            before, self._unread = self._unread, unread
            return unread < before
        return False
