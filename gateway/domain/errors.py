"""What can go wrong, as a tree. Every error says in words what is wrong, what to do, and whether to retry.

    GatewayError
    ├── ConfigError              the operator's mistake: one sentence, exit code 2
    ├── Unauthenticated          the caller is not known
    ├── Forbidden                the caller is known, and may not do this
    ├── NotFound
    ├── Conflict
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
    code = "config"


class Unauthenticated(GatewayError):
    code = "unauthenticated"


class Forbidden(GatewayError):
    code = "forbidden"


class NotFound(GatewayError):
    code = "not_found"


class Conflict(GatewayError):
    code = "conflict"


class NotLinking(Conflict):
    code = "not_linking"


class TooLarge(GatewayError):
    code = "too_large"
    action: ClassVar[Action | None] = "fix_input"


class Invalid(GatewayError):
    code = "invalid"
    action: ClassVar[Action | None] = "fix_input"


class RateLimited(GatewayError):
    code = "rate_limited"
    action: ClassVar[Action | None] = "retry"
    retryable = True


class Unavailable(GatewayError):
    code = "unavailable"
    action: ClassVar[Action | None] = "retry"
    retryable = True


class StoreUnavailable(Unavailable):
    pass


class StoreUnprepared(StoreUnavailable, ConfigError):
    """At the start it ends the gateway with its sentence; later (a backup is being brought back) it is an outage."""


class RowLocked(StoreUnavailable):
    pass


class TableLocked(RowLocked):
    pass


class RowRefused(GatewayError):
    code = "invalid"


class UpstreamError(GatewayError):
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
    code = "upstream_unauthorized"
    action: ClassVar[Action | None] = "check_token"


class UpstreamLimit(UpstreamError):
    code = "upstream_limit"
    action: ClassVar[Action | None] = "show_limit"


class SessionNotFound(UpstreamError):
    code = "session_not_found"
    action: ClassVar[Action | None] = "refresh_sessions"


class UpstreamInvalid(UpstreamError):
    code = "invalid"
    action: ClassVar[Action | None] = "fix_input"


class UpstreamRateLimited(UpstreamError):
    code = "rate_limited"
    retryable = True


class UpstreamFailed(UpstreamError):
    retryable = True


class UpstreamTimeout(UpstreamError):
    code = "upstream_timeout"
    retryable = True
