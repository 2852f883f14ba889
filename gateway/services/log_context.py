"""What the lines of a log are about: the request or the socket in whose task they are written.

Set once, at the start of the task that answers a request or serves a socket; tasks that it starts inherit it.
"""

import itertools
import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass

REQUEST_ID = "x-request-id"
"""The header that names a request, in both directions."""

_GIVEN = re.compile(r"[A-Za-z0-9._~:-]{1,64}")

_process = secrets.token_hex(3)
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class LogContext:
    """Whose doing a line is; what is empty is not said."""

    request: str = ""
    connection: str = ""
    address: str = ""


_NONE = LogContext()
_context: ContextVar[LogContext] = ContextVar("log_context", default=_NONE)


def new_request_id(given: str | None = None) -> str:
    """The id that a client or proxy has given the request, if it is one word; else one of our own."""
    if given and _GIVEN.fullmatch(given):
        return given
    return f"{_process}-{next(_numbers):x}"


def log_about(request: str = "", connection: str = "", address: str = "") -> None:
    """Lines of this task, and of those it starts, are about this from now on."""
    _context.set(LogContext(request, connection, address))


def log_context() -> LogContext:
    """What the lines of the current task are about."""
    return _context.get()
