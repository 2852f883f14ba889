"""A call to WasenderAPI before it is made: what it is, which rate limit it counts under, whether it may be made again.

Upstream knows no idempotency key. So a call that is done twice when it is made twice (`ONCE_ONLY`) is repeated
only after a 429 and when upstream cannot have got it; reading is repeated after silence, too; the rest, after
what passes.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from gateway.domain.backoff import Backoff
from gateway.domain.errors import UpstreamError, UpstreamFailed, UpstreamRateLimited, UpstreamTimeout
from gateway.wasender.http_transport import NOT_REACHED, Upload

ACCOUNT = "account"
SEND = "send_message"
KEY_BUCKET = "key:"
"""How the bucket of a session's own key begins, messages aside."""
UPLOAD = "upload_media"
# Two sessions, two messages, a key that no caller was told, a link cut once more, a file that was read to its end.
ONCE_ONLY = frozenset({"create_session", SEND, "regenerate_key", "restart_session", UPLOAD})
_PASSING = frozenset({502, 503})
_BACKOFF = Backoff(first_s=0.5, most_s=8.0, spread=1.0)


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """One call. `name` is that of the client's method; calls of one `bucket` share one rate limit."""

    name: str
    method: str
    path: str
    bucket: str = ACCOUNT
    json_body: dict[str, Any] | None = None
    params: dict[str, str] | None = None
    upload: Upload | None = None
    """A file as the body, instead of JSON."""

    @property
    def needs_own_connection(self) -> bool:
        """Whether a kept connection would be a risk.

        The server may close an idle one just as the request is written. Then it cannot be said whether a call that is
        done twice when it is made twice was done.
        """
        return self.name in ONCE_ONLY

    @property
    def is_about_session(self) -> bool:
        """Only then can a 404 mean that there is no such session."""
        return self.bucket != ACCOUNT


def of_session(
    name: str,
    method: str,
    session_id: int,
    action: str = "",
    *,
    json_body: dict[str, Any] | None = None,
    params: dict[str, str] | None = None,
) -> UpstreamCall:
    """A call about one session, made with the account token."""
    path = f"/whatsapp-sessions/{int(session_id)}" + (f"/{action}" if action else "")
    return UpstreamCall(name, method, path, f"session:{int(session_id)}", json_body, params)


def of_key(
    name: str, method: str, path: str, api_key: str, json_body: dict[str, Any] | None = None
) -> UpstreamCall:
    """A call made with a session's own key.

    The bucket is named by a digest of the key: whose it is, is not known here. Messages have a bucket of their
    own, as they have limits of their own (1 per 5 s, 1 per minute), which must delay nothing else.
    """
    digest = hashlib.blake2b(api_key.encode(errors="surrogatepass"), digest_size=8).hexdigest()
    return UpstreamCall(name, method, path, f"{'sends:' if name == SEND else KEY_BUCKET}{digest}", json_body)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How much trouble a caller wants to be spared. Times in seconds."""

    repeats: int
    """How often a call that failed is made again, where that is safe."""
    pause_s: float
    """The longest pause of upstream's wish that is sat out; a longer one is an error at once."""
    total_s: float
    """From the first moment to the start of the last try. An answer may take a call's time-out longer."""


ONCE = RetryPolicy(repeats=0, pause_s=2.0, total_s=8.0)
"""For callers with a rhythm of their own, as pollers have: their next question is the repetition."""
PATIENT = RetryPolicy(repeats=2, pause_s=1.0, total_s=8.0)
"""For what a person waits for: what passes at once is spared them, "try again in 5 s" is told."""
BACKGROUND = RetryPolicy(repeats=5, pause_s=60.0, total_s=180.0)
"""For what no person waits for."""


def repeat_after(
    call: UpstreamCall, error: UpstreamError, failures: int, policy: RetryPolicy, left_s: float, roll: float
) -> float | None:
    """Seconds until the call may be made again after its `failures`-th failure; None if it may not.

    `left_s` is what remains of `policy.total_s`; 0 ≤ `roll` < 1 spreads the back-off over its whole length
    (full jitter: those that failed together do not come back together).
    """
    if failures > policy.repeats or not _is_safe(call, error):
        return None
    wished = error.retry_after_s or 0.0
    if wished > min(policy.pause_s, left_s):
        return None
    if isinstance(error, UpstreamRateLimited):
        return 0.0  # the rate limiter keeps the pause, for this call and for those beside it
    wait = max(wished, _BACKOFF.pause_s(failures, roll))
    return wait if wait <= left_s else None


def _is_safe(call: UpstreamCall, error: UpstreamError) -> bool:
    is_once_only = call.name in ONCE_ONLY
    match error:
        case UpstreamRateLimited():  # with another status, words about a rate may come after half the work
            return error.status == 429 or not is_once_only
        case UpstreamTimeout():
            return call.method == "GET" or error.details == NOT_REACHED
        case UpstreamFailed():
            return not is_once_only and (
                error.status in _PASSING or (error.status == 504 and call.method == "GET")
            )
        case _:
            return False
