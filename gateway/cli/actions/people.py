"""What `gateway user` does, and what `gateway serve` says of how to get in."""

import getpass
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from gateway.cli.actions.database import open_pool_of
from gateway.cli.console import out
from gateway.domain.access import Principal
from gateway.domain.access import Role as PersonRole
from gateway.domain.errors import ConfigError, Conflict, GatewayError, Invalid
from gateway.domain.lines import one_line
from gateway.postgres.auth.people import PeopleTable
from gateway.postgres.connection.pool import CONNECT_ERRORS, READ_S, connect_direct
from gateway.services.auth.access_log import AccessLog
from gateway.services.auth.claims import sessions_word
from gateway.services.auth.passwords import Passwords
from gateway.services.auth.people import People, Person
from gateway.services.deadlines import Deadline
from gateway.settings import Settings


async def add(
    settings: Settings, name: str, role: str, sessions: frozenset[int] | None, password: str
) -> None:
    """Adds a person; the user of this shell stands in the access log."""
    fields = {"name": name, "role": role, "sessions": sessions_word(sessions), "password": password}
    async with _opened(settings) as (_, people):
        try:
            person = await people.add(fields, operator())
        except (Invalid, Conflict) as error:
            raise ConfigError(error.message) from None
    out.print(f"{person.name} may log in now, as {person.role.word}.")


async def list_all(settings: Settings) -> None:
    """Prints the people who may log in by name and password."""
    async with _opened(settings) as (_, people):
        found = await people.all(operator())
    for person in found:
        word = sessions_word(person.sessions)
        sessions = "all sessions" if word == "*" else "sessions " + ", ".join(map(str, word))
        note = "" if person.has_password else ", no password yet"
        note += ", disabled" if person.disabled_at else ""
        out.print(f"{person.name}  {person.role.word}, {sessions}{note}")
    if not found:
        out.print("There is nobody yet. Add the first with `gateway user add NAME --role admin`.")


async def set_password(settings: Settings, name: str, password: str) -> None:
    """Gives a person a new password, which ends every login of before."""
    await _change(settings, name, {"password": password})
    out.print("Done. Every login of before has ended.")


async def disable(settings: Settings, name: str) -> None:
    """Lets a person in no more, and ends every login."""
    await _change(settings, name, {"disabled": True})
    out.print("Done. Every login has ended.")


async def _change(settings: Settings, name: str, fields: dict[str, object]) -> None:
    async with _opened(settings) as (table, people):
        person = await _named(table, name)
        try:
            await people.change(person.id, fields, operator())
        except Invalid as error:
            raise ConfigError(error.message) from None


async def _named(table: PeopleTable, name: str) -> Person:
    found = await table.person_named(name.strip())
    if found is None:
        raise ConfigError(f"There is no person called {one_line(name)[:100]}. See `gateway user list`.")
    return found[0]


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[PeopleTable, People]]:
    async with AsyncExitStack() as stack:
        table = PeopleTable(await open_pool_of(settings, stack))
        yield table, People(table, Passwords(), AccessLog(table))


def operator() -> Principal:
    """The principal of the command line: a user with the database's address may do everything."""
    try:
        name = one_line(getpass.getuser())
    except (KeyError, OSError):  # a container's user may have no name
        name = "operator"
    return Principal(f"operator:{name}", name, PersonRole.ADMIN, None)


# ------------------------------------------------------------------------------------------ how to get in


_ANYBODY = "SELECT EXISTS (SELECT FROM gateway.users WHERE disabled_at IS NULL AND password_hash IS NOT NULL)"


async def say_how_to_get_in(settings: Settings, dsn: str, url: str) -> None:
    """Prints it, without any login in it: what a service prints is kept, and read by many."""
    try:
        connection = await connect_direct(settings.listen_url or dsn, timezone=settings.timezone)
        try:
            async with Deadline(connection, READ_S):
                has_people = await connection.fetchval(_ANYBODY)
        finally:
            await connection.close(timeout=5)
    except (GatewayError, *CONNECT_ERRORS):
        return
    prefix = "docker compose exec gateway-1 " if _is_container() else ""
    address = settings.public_url or url
    if has_people:
        out.print(
            f"Log in at {address}/login by name and password, or with a link: {prefix}gateway login-link --role admin"
        )
    else:
        out.print(
            f"Nobody can log in yet. Make the first admin, then log in at {address}/login:\n"
            f"    {prefix}gateway user add NAME --role admin"
        )


def _is_container() -> bool:
    return any(Path(path).exists() for path in ("/.dockerenv", "/run/.containerenv"))
