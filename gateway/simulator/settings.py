"""Every knob of the simulator, its unit and its default.

Where the real service is not documented (reply codes, delays, retries), the default is our best reading of
public material, and the knob is there so that a client can be tested against another answer.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class ReplyCodes:
    """HTTP statuses that WasenderAPI's documentation does not state."""

    created: int = 201
    session_limit: int = 403
    not_found: int = 404
    not_restartable: int = 400
    no_code: int = 400
    not_connected: int = 400
    restricted: int = 422
    subscription: int = 403


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """How the simulated service behaves. Times are seconds."""

    account_token: str | None = field(default=None, repr=False)
    """Token of the account; None: made once and kept in the state file."""

    session_limit: int = 50
    codes: ReplyCodes = field(default_factory=ReplyCodes)

    connect_delay_s: float = 0.3
    """From `connecting` to the first code, and from `connecting` to `connected` when the link still holds."""
    qr_first_s: float = 45.0
    """Life of the first code (documented: 45 s)."""
    qr_next_s: float = 20.0
    """Life of each later one (WhatsApp's own rhythm)."""
    max_codes: int = 6
    status_when_codes_end: Literal["disconnected", "expired"] = "disconnected"
    """What a session becomes when nobody scanned any of its codes. Undocumented; either is plausible."""
    finishing_delay_s: float = 0.7
    """From the scan to `connected`."""
    connect_wait_s: float = 10.0
    """How long `connect` waits for the first code before it answers without one."""

    webhook_timeout_s: float = 8.0
    webhook_retries: int = 3
    webhook_retry_delays_s: tuple[float, ...] = (1.0, 2.0, 3.0)
    """Pause before each retry; the last one repeats."""
    max_waiting_webhooks: int = 10_000
    """Per session; beyond it new ones are dropped, as a service without a promise of delivery may do."""
    max_kept_deliveries: int = 500

    sent_delay_s: float = 0.5
    delivered_delay_s: float = 0.6
    read_delay_s: float = 1.5
    account_protection: bool = True
    """Whether the protection that sessions ask for (1 send per `protection_interval_s`) is enforced."""
    protection_interval_s: float = 5.0
    plan: Literal["trial", "paid"] = "paid"
    """A trial may send one message a minute and 50 a day."""
    has_subscription: bool = True
    """Without one every send is refused."""
    sends_per_minute: int | None = 256
    """Of a paid plan; None: unlimited, and then no header tells of a limit."""
    limit_headers: bool = True
    """Whether replies carry `X-RateLimit-…` at all."""
    retry_after_in_body: bool = True
    """Whether a 429 says `retry_after` in its body."""
    reset_is_relative: bool = False
    """`X-RateLimit-Reset` as seconds to wait instead of Unix seconds: the documentation says both."""
    retry_after_header: bool = False
    """Whether a 429 also carries a `Retry-After` header."""

    plays_by_itself: bool = True
    """Whether sent messages become delivered and read without a hand on the phone page."""
    media_host_url: str | None = None
    """Where messages say that their files lie; None: the address that the control is called under."""

    hang_max_s: float = 120.0
    """A request held by the fault `hang` is dropped after this long."""


ADJUSTABLE = frozenset(
    {
        "sent_delay_s", "delivered_delay_s", "read_delay_s", "account_protection", "protection_interval_s",
        "plan", "has_subscription", "sends_per_minute", "limit_headers", "retry_after_in_body",
        "reset_is_relative", "retry_after_header", "plays_by_itself", "media_host_url",
    }
)  # fmt: skip
"""What `POST /_simulator/settings` may change while the simulator runs."""


def changed(settings: SimulatorSettings, wish: dict[str, Any]) -> SimulatorSettings:
    """The settings with some of them changed. Raises ValueError with one sentence."""
    unknown = wish.keys() - ADJUSTABLE
    if unknown:
        raise ValueError(f"These settings cannot be changed: {', '.join(sorted(unknown))}.")
    for name, value in wish.items():
        _check(name, value)
    return replace(settings, **wish)


def _check(name: str, value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    match name:
        case "plan":
            allowed, words = value in ("trial", "paid"), '"trial" or "paid"'
        case "sends_per_minute":
            allowed, words = value is None or (is_number and 1 <= value <= 10**6), "a number from 1, or null"
        case "media_host_url":
            allowed = value is None or (isinstance(value, str) and value.startswith(("http://", "https://")))
            words = "an address, or null"
        case _ if name.endswith("_s"):
            allowed, words = is_number and 0 <= value <= 86_400, "seconds from 0 to 86400"
        case _:
            allowed, words = isinstance(value, bool), "true or false"
    if not allowed:
        raise ValueError(f"{name} must be {words}.")
