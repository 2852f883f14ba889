"""What `gateway token` prints. It needs no database, and loads none."""

from typing import Any

from gateway.domain.access import Principal, Role
from gateway.domain.errors import ConfigError, GatewayError
from gateway.domain.lines import one_line
from gateway.runtime.data_dir import read_secret
from gateway.services.auth.claims import MAX_TEXT, PERSON
from gateway.services.auth.login import MAX_LIFE_S, Login
from gateway.settings import Settings


def token(settings: Settings, role: str, name: str, sessions: frozenset[int] | None, expires: str) -> str:
    """A JWT, good for as long as `expires` says (30m, 12h, 7d). Raises ConfigError."""
    signer = Login(read_secret(settings), _NoTickets())
    return signer.issue(principal_for(role, name, sessions), duration_s(expires))[0]


def principal_for(role: str, name: str, sessions: frozenset[int] | None) -> Principal:
    """Raises ConfigError for what no login may be."""
    if not 1 <= len(name) <= MAX_TEXT or one_line(name) != name:
        raise ConfigError(f"A name has 1 to {MAX_TEXT} characters, all of them in one line.")
    if name.startswith(PERSON):
        raise ConfigError(f"A name cannot begin with {PERSON!r}: such are the people of `gateway user`.")
    try:
        return Principal(sub=name, name=name, role=Role.parse(role), sessions=sessions)
    except GatewayError as error:
        raise ConfigError(error.message) from None


def duration_s(text: str) -> float:
    """Seconds of a time like 30m, 12h or 7d. Raises ConfigError."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = text[:-1], text[-1:]
    is_number = number.isascii() and number.isdigit() and len(number) <= 9
    if unit not in units or not is_number or int(number) == 0:
        raise ConfigError(f"{text!r} is not a time like 30m, 12h or 7d.")
    seconds = float(int(number) * units[unit])
    if seconds > MAX_LIFE_S:
        raise ConfigError(f"{text} is too long: a login is good for 90d at most.")
    return seconds


class _NoTickets:
    """A signer without a database."""

    async def keep_ticket(self, digest: bytes, kind: str, claims: dict[str, Any], life_s: float) -> None:
        raise AssertionError("tickets need a database")

    async def use_ticket(self, digest: bytes) -> tuple[str, dict[str, Any]] | None:
        raise AssertionError("tickets need a database")
