"""What `gateway token` does."""

from typing import Any

from gateway.domain.access import Principal, Role
from gateway.domain.errors import ConfigError, GatewayError
from gateway.runtime.data_dir import read_secret
from gateway.services.auth.login import Login
from gateway.settings import Settings


def token(settings: Settings, role: str, name: str, sessions: frozenset[int] | None, expires: str) -> str:
    """A JWT, good for as long as `expires` says (30m, 12h, 7d). Raises ConfigError."""
    try:
        principal = Principal(sub=name, name=name, role=Role.parse(role), sessions=sessions)
    except GatewayError as error:
        raise ConfigError(error.message) from None
    signer = Login(read_secret(settings), _NoTickets())
    return signer.issue(principal, _duration_s(expires))[0]


def _duration_s(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = text[:-1], text[-1:]
    is_number = number.isascii() and number.isdigit() and len(number) <= 9
    if unit not in units or not is_number or int(number) == 0:
        raise ConfigError(f"{text!r} is not a time like 30m, 12h or 7d.")
    return float(int(number) * units[unit])


class _NoTickets:
    """A signer without a database."""

    async def keep_ticket(self, digest: bytes, kind: str, claims: dict[str, Any], life_s: float) -> None:
        raise AssertionError("tickets need a database")

    async def use_ticket(self, digest: bytes) -> tuple[str, dict[str, Any]] | None:
        raise AssertionError("tickets need a database")
