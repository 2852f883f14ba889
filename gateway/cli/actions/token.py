"""What `gateway token` and `gateway login-link` do."""

from contextlib import AsyncExitStack
from typing import Any

from gateway.cli.actions.database import open_pool_of, open_tables
from gateway.cli.console import out
from gateway.domain.access import Principal, Role
from gateway.domain.errors import ConfigError, GatewayError
from gateway.domain.lines import one_line
from gateway.postgres.auth.people import PeopleTable
from gateway.postgres.sessions.credentials import CredentialTable
from gateway.runtime.data_dir import address_for_people, read_secret
from gateway.services.auth.access_log import AccessLog
from gateway.services.auth.claims import MAX_TEXT, PERSON
from gateway.services.auth.login import MAX_LIFE_S, Login
from gateway.settings import Settings


def token(settings: Settings, role: str, name: str, sessions: frozenset[int] | None, expires: str) -> str:
    """A JWT, good for as long as `expires` says (30m, 12h, 7d). Raises ConfigError."""
    signer = Login(read_secret(settings), _NoTickets())
    return signer.issue(_principal(role, name, sessions), _duration_s(expires))[0]


async def login_link(
    settings: Settings, role: str, name: str, sessions: frozenset[int] | None, expires: str
) -> None:
    """Prints a link that logs one browser in, once."""
    principal, life_s = _principal(role, name, sessions), _duration_s(expires)
    async with AsyncExitStack() as stack:
        pool, vault = await open_tables(settings, stack)
        login = Login(read_secret(settings), CredentialTable(pool, vault))
        ticket = await login.make_ticket("login", principal, life_s)
        await AccessLog(PeopleTable(pool)).note("login_link_made", principal.sub, principal.name, role=role)
    out.print(f"{address_for_people(settings)}/login?ticket={ticket}")


async def revoke(settings: Settings, sub: str | None, jti: str | None) -> None:
    """Ends every token of a `sub` issued so far, or the one with a `jti`."""
    sub = None if sub is None else one_line(sub)
    async with AsyncExitStack() as stack:
        table = PeopleTable(await open_pool_of(settings, stack))
        await table.revoke(sub=sub, jti=jti)
        await AccessLog(table).note("token_revoked", sub, None, jti=jti)
    what = f"Every token of {sub} issued so far" if sub is not None else f"The token {one_line(jti or '')}"
    out.print(f"{what} is good no more.")


def _principal(role: str, name: str, sessions: frozenset[int] | None) -> Principal:
    """Raises ConfigError for what no login may be."""
    if not 1 <= len(name) <= MAX_TEXT or one_line(name) != name:
        raise ConfigError(f"A name has 1 to {MAX_TEXT} characters, all of them in one line.")
    if name.startswith(PERSON):
        raise ConfigError(f"A name cannot begin with {PERSON!r}: such are the people of `gateway user`.")
    try:
        return Principal(sub=name, name=name, role=Role.parse(role), sessions=sessions)
    except GatewayError as error:
        raise ConfigError(error.message) from None


def _duration_s(text: str) -> float:
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
