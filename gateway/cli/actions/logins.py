"""What `gateway login-link` and `gateway token revoke` do."""

from contextlib import AsyncExitStack

from gateway.cli.actions.database import open_pool_of, open_tables
from gateway.cli.actions.token import duration_s, principal_for
from gateway.cli.console import out
from gateway.domain.lines import one_line
from gateway.postgres.auth.people import PeopleTable
from gateway.postgres.sessions.credentials import CredentialTable
from gateway.runtime.data_dir import address_for_people, read_secret
from gateway.services.auth.access_log import AccessLog
from gateway.services.auth.login import Login
from gateway.settings import Settings


async def login_link(
    settings: Settings, role: str, name: str, sessions: frozenset[int] | None, expires: str
) -> None:
    """Prints a link that logs one browser in, once."""
    principal, life_s = principal_for(role, name, sessions), duration_s(expires)
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
