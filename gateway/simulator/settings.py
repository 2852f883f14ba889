"""Every knob of the simulator, its unit and its default.

Where the real service is not documented (reply codes, delays, retries), the default is our best reading of
public material, and the knob is there so that a client can be tested against another answer.
"""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class ReplyCodes:
    """HTTP statuses that WasenderAPI's documentation does not state."""

    created: int = 201
    session_limit: int = 403
    not_found: int = 404
    not_restartable: int = 400
    no_code: int = 400
    not_connected: int = 400


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
    sends_per_minute: int = 256
    reset_is_relative: bool = False
    """`X-RateLimit-Reset` as seconds to wait instead of Unix seconds: the documentation says both."""
    retry_after_header: bool = False
    """Whether a 429 also carries a `Retry-After` header."""

    hang_max_s: float = 120.0
    """A request held by the fault `hang` is dropped after this long."""
