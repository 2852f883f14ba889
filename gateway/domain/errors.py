"""What can go wrong, as a tree. Every error says in words what is wrong, what to do, and whether to retry.

    GatewayError
    ├── ConfigError              the operator's mistake: one sentence, exit code 2
    │   └── DatabaseAway         Postgres cannot be reached: a mistake, unless it is known to have been there
    ├── Unauthenticated          the caller is not known
    ├── Forbidden                the caller is known, and may not do this
    ├── NotFound
    ├── Conflict
    │   ├── NewerReply           another person has answered, and the author had not seen it
    │   └── NotLinking           a QR code was asked for while no attempt runs
    ├── TooLarge
    ├── Invalid                  the caller's input; `details` names the fields
    ├── RateLimited              come back after `retry_after_s`
    ├── Unavailable              we cannot do it now (starting, draining)
    │   └── StoreUnavailable     Postgres is away
    │       ├── StoreUnprepared  a right or a table is missing: the operator's mistake, and one that may pass
    │       └── RowLocked        another transaction holds the row; what needs other rows does not wait for it
    │           └── TableLocked  it holds a whole table or inbox
    ├── RowRefused               Postgres refuses the data itself; retrying cannot help
    └── UpstreamError            WasenderAPI did not do what we asked
        ├── UpstreamUnauthorized the account token or session key is not accepted (401)
        ├── UpstreamLimit        the plan does not allow it (403)
        ├── SessionNotFound      upstream has no such session (404)
        ├── UpstreamInvalid      upstream refuses the fields; `details` are its own (422)
        ├── UpstreamRateLimited  429, with `retry_after_s`
        ├── UpstreamFailed       5xx, HTML, broken JSON, or any other answer we cannot use
        └── UpstreamTimeout      no answer at all: whether it was done is unknown

`code` is the word on the wire, `action` what a page can offer the user (both are fixed by the API).
"""

from typing import Any, ClassVar, Literal

Action = Literal["check_token", "show_limit", "refresh_sessions", "retry", "fix_input"]

LOGGED = "is_logged_by_gateway"
"""Attribute of an exception whose traceback stands in the log: the server would write it once more."""


class GatewayError(Exception):
    """One human sentence, plus the facts a program needs to act on it."""

    code: ClassVar[str] = "internal"
    action: ClassVar[Action | None] = None
    retryable: ClassVar[bool] = False

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, details: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after_s = retry_after_s
        self.details = details


class ConfigError(GatewayError):
    """A setting or the data folder keeps the gateway from starting; the operator has to change it."""

    code = "config"


class DatabaseAway(ConfigError):
    """Postgres cannot be reached. A command ends with the sentence; a gateway that knows the database waits for it."""

    def __init__(self, message: str, *, is_there: bool = False) -> None:
        """`is_there`: a server answers at the address, and will take connections in a moment."""
        super().__init__(message)
        self.is_there = is_there


class Unauthenticated(GatewayError):
    """The caller showed no login, or one that is not in force."""

    code = "unauthenticated"


class Forbidden(GatewayError):
    """The caller is known, and may not do this or see this session."""

    code = "forbidden"


class NotFound(GatewayError):
    """What the address names does not exist, or not for this caller."""

    code = "not_found"


class Conflict(GatewayError):
    """What was asked does not fit the present state of the session or row."""

    code = "conflict"


class NewerReply(Conflict):
    """Another person has answered, and the author had not seen it; `details` hold the answers."""

    code = "newer_reply"


class NotLinking(Conflict):
    """No attempt to link a phone is under way."""

    code = "not_linking"


class TooLarge(GatewayError):
    """The request or an answer to it is larger than the limit."""

    code = "too_large"
    action: ClassVar[Action | None] = "fix_input"


class UpgradeRequired(GatewayError):
    """An address of WebSockets was asked for by plain HTTP."""

    code = "upgrade_required"


class Invalid(GatewayError):
    """A value of the caller cannot be meant; the sentence names the field."""

    code = "invalid"
    action: ClassVar[Action | None] = "fix_input"


class RateLimited(GatewayError):
    """The caller asked too often; it may come back after `retry_after_s` seconds."""

    code = "rate_limited"
    action: ClassVar[Action | None] = "retry"
    retryable = True


class Unavailable(GatewayError):
    """The gateway cannot do this at the moment, and will be able to without the caller's doing."""

    code = "unavailable"
    action: ClassVar[Action | None] = "retry"
    retryable = True


class StoreUnavailable(Unavailable):
    """Postgres is away, or did not answer in time."""


class StoreUnprepared(StoreUnavailable, ConfigError):
    """At the start it ends the gateway with its sentence; later (a backup is being brought back) it is an outage."""


class RowLocked(StoreUnavailable):
    """Another transaction holds a row that this one needs, for longer than we wait."""


class TableLocked(RowLocked):
    """Another transaction holds a whole table or an inbox that this one needs."""


class RowRefused(GatewayError):
    """Postgres refuses this very row: a constraint or a trigger of the shop, or a value it cannot store."""

    code = "invalid"


class UpstreamError(GatewayError):
    """WasenderAPI answered with an error, or with something that is no answer."""

    code = "upstream_error"
    action: ClassVar[Action | None] = "retry"

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        details: dict[str, Any] | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s, details=details)
        self.status = status
        """HTTP status upstream answered with; None when there was no answer."""


class UpstreamUnauthorized(UpstreamError):
    """WasenderAPI refuses the account token or the session's key."""

    code = "upstream_unauthorized"
    action: ClassVar[Action | None] = "check_token"


class UpstreamLimit(UpstreamError):
    """WasenderAPI refuses because the account's plan allows no more."""

    code = "upstream_limit"
    action: ClassVar[Action | None] = "show_limit"


class SessionNotFound(UpstreamError):
    """WasenderAPI has no session of that number."""

    code = "session_not_found"
    action: ClassVar[Action | None] = "refresh_sessions"


class UpstreamInvalid(UpstreamError):
    """WasenderAPI refuses a value; `details` name the fields where it names them."""

    code = "invalid"
    action: ClassVar[Action | None] = "fix_input"


class UpstreamRateLimited(UpstreamError):
    """WasenderAPI wants us to ask less often; `retry_after_s` says when again, if it said so."""

    code = "rate_limited"
    retryable = True


class UpstreamFailed(UpstreamError):
    """WasenderAPI failed on its own side, or could not be reached."""

    retryable = True


class UpstreamTimeout(UpstreamError):
    """WasenderAPI did not answer in time; what was asked may have happened."""

    code = "upstream_timeout"
    retryable = True
