"""People, their logins, what was revoked, and the log of all that: schema `gateway`, tables of one topic."""

from typing import Any

import asyncpg

from gateway.domain.access import Principal, Role
from gateway.domain.errors import Conflict
from gateway.postgres.connection.pool import mapped_errors
from gateway.services.auth.access_log import AccessEntry
from gateway.services.auth.claims import PERSON, sessions_claim, sessions_word
from gateway.services.auth.logins import BrowserLogin, VerifiedPerson
from gateway.services.auth.people import Person
from gateway.services.auth.revocations import AccessState, Standing

_PEOPLE = """
SELECT id, name, role, sessions, disabled_at, created_at, password_hash IS NOT NULL AS has_password
FROM gateway.users ORDER BY lower(name), id
"""

_BY_ID = """
SELECT id, name, role, sessions, disabled_at, created_at, password_hash IS NOT NULL AS has_password
FROM gateway.users WHERE id = $1
"""

_BY_ID_LOCKED = """
SELECT id, name, role, sessions, disabled_at, created_at, password_hash IS NOT NULL AS has_password
FROM gateway.users WHERE id = $1 FOR UPDATE
"""

_BY_NAME = """
SELECT id, name, role, sessions, disabled_at, created_at, password_hash IS NOT NULL AS has_password, password_hash
FROM gateway.users WHERE lower(name) = lower($1)
"""

_ADD = """
INSERT INTO gateway.users (name, password_hash, role, sessions) VALUES ($1, $2, $3, $4)
RETURNING id, name, role, sessions, disabled_at, created_at, password_hash IS NOT NULL AS has_password
"""

_CHANGE = """
UPDATE gateway.users SET
    name = CASE WHEN $2::jsonb ? 'name' THEN $2 ->> 'name' ELSE name END,
    password_hash = CASE WHEN $2 ? 'password_hash' THEN $2 ->> 'password_hash' ELSE password_hash END,
    role = CASE WHEN $2 ? 'role' THEN $2 ->> 'role' ELSE role END,
    sessions = CASE WHEN $2 ? 'sessions' THEN $2 -> 'sessions' ELSE sessions END,
    disabled_at = CASE
        WHEN NOT $2 ? 'is_disabled' THEN disabled_at
        WHEN ($2 -> 'is_disabled')::boolean THEN coalesce(disabled_at, now())
    END,
    changed_at = now()
WHERE id = $1
RETURNING id, name, role, sessions, disabled_at, created_at, password_hash IS NOT NULL AS has_password
"""

_STATE = """
SELECT 'sub' AS kind, sub AS key, extract(epoch FROM before)::float8 AS at, NULL AS role, NULL::jsonb AS sessions,
    false AS is_disabled
FROM gateway.revoked WHERE sub IS NOT NULL
UNION ALL
SELECT 'jti', jti, NULL, NULL, NULL, false FROM gateway.revoked
WHERE jti IS NOT NULL AND (ends_at IS NULL OR ends_at > now())
UNION ALL
SELECT 'person', $1 || id, NULL, role, sessions, disabled_at IS NOT NULL FROM gateway.users
"""

# The share lock lets a change of the password wait until the login is there for its trigger to end, or makes the login
# see that change.
_BEGIN_LOGIN = """
INSERT INTO gateway.logins (id, user_id, sub, name, role, sessions, address, agent, ends_at)
SELECT $1::text::uuid, $2::bigint, $3, $4, $5, $6::jsonb, $7, $8, now() + make_interval(secs => $9)
WHERE $2::bigint IS NULL OR EXISTS (
    SELECT FROM gateway.users
    WHERE id = $2 AND password_hash IS NOT DISTINCT FROM $10 AND disabled_at IS NULL
    FOR SHARE
)
"""

_END_LOGINS = """
DELETE FROM gateway.logins
WHERE sub = $1 AND ($2::text IS NULL OR id::text = $2) AND ($3::text IS NULL OR id::text <> $3)
"""

_REVOKE_SUB = """
INSERT INTO gateway.revoked AS r (sub, before) VALUES ($1, clock_timestamp())
ON CONFLICT (sub) DO UPDATE SET before = excluded.before, ends_at = NULL
"""

_REVOKE_JTI = """
INSERT INTO gateway.revoked AS r (jti, before) VALUES ($1, clock_timestamp())
ON CONFLICT (jti) DO UPDATE SET before = excluded.before, ends_at = NULL
"""


class PeopleTable:
    """Reads and writes people, their logins, what was revoked, and the log of it."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    # ------------------------------------------------------------------------------------------ people

    async def people(self) -> list[Person]:
        """All people, by name."""
        with mapped_errors():
            rows = await self._pool.fetch(_PEOPLE)
        return [_person(row) for row in rows]

    async def person(self, person_id: int) -> Person | None:
        """The person of that number, if there is one."""
        with mapped_errors():
            row = await self._pool.fetchrow(_BY_ID, person_id)
        return _person(row) if row else None

    async def person_named(self, name: str) -> tuple[Person, str | None] | None:
        """The person of that name, whatever its case, and the hash of the password."""
        with mapped_errors():
            row = await self._pool.fetchrow(
                _BY_NAME,
                name,
            )
        return (_person(row), row["password_hash"]) if row else None

    async def add_person(
        self, name: str, password_hash: str | None, role: Role, sessions: frozenset[int] | None
    ) -> Person:
        """The new person. Raises Conflict where the name is taken."""
        with mapped_errors():
            try:
                row = await self._pool.fetchrow(
                    _ADD,
                    name,
                    password_hash,
                    role.word,
                    sessions_word(sessions),
                )
            except asyncpg.UniqueViolationError:
                raise Conflict(f"There is a person called {name} already.") from None
        return _person(row)

    async def change_person(
        self,
        person_id: int,
        changes: dict[str, Any],
        *,
        kept_login: str | None = None,
        checked: Person | None = None,
    ) -> Person | None:
        """Changes columns of a person; a trigger ends the logins that do not outlive it.

        Raises Conflict if the person's rights are not those of `checked` any more.
        """
        wish = dict(changes)
        if "role" in wish:
            wish["role"] = wish["role"].word
        if "sessions" in wish:
            wish["sessions"] = sessions_word(wish["sessions"])
        with mapped_errors():
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    await _require_unchanged(connection, person_id, checked)
                    await connection.execute(
                        "SELECT set_config('gateway.kept_login', $1, true)", kept_login or ""
                    )
                    row = await connection.fetchrow(_CHANGE, person_id, wish)
            except asyncpg.UniqueViolationError:
                raise Conflict(f"There is a person called {wish.get('name')} already.") from None
        return _person(row) if row else None

    async def delete_person(self, person_id: int, checked: Person | None = None) -> bool:
        """Deletes a person with every login; False if there was none.

        Raises Conflict if the person's rights are not those of `checked` any more.
        """
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                await _require_unchanged(connection, person_id, checked)
                done: str = await connection.execute("DELETE FROM gateway.users WHERE id = $1", person_id)
        return done != "DELETE 0"

    # ------------------------------------------------------------------------------------------ logins

    async def begin_login(self, login: BrowserLogin, person: VerifiedPerson | None, life_s: float) -> bool:
        """Writes the row of a browser that has logged in; False if the person's password is another one by now."""
        principal = login.principal
        with mapped_errors():
            done: str = await self._pool.execute(
                _BEGIN_LOGIN,
                login.id,
                person.id if person else None,
                principal.sub,
                principal.name,
                principal.role.word,
                sessions_word(principal.sessions),
                login.address,
                login.agent,
                life_s,
                person.password_hash if person else None,
            )
        return done != "INSERT 0 0"

    async def logins_of(self, sub: str) -> list[BrowserLogin]:
        """Logins of that sub that have not ended, the newest first."""
        with mapped_errors():
            rows = await self._pool.fetch(
                "SELECT * FROM gateway.logins WHERE sub = $1 AND ends_at > now() ORDER BY created_at DESC, id",
                sub,
            )
        return [_login(row) for row in rows]

    async def end_logins(self, sub: str, *, only: str | None = None, kept: str | None = None) -> int:
        """Ends logins of that sub; how many."""
        with mapped_errors():
            done: str = await self._pool.execute(_END_LOGINS, sub, only, kept)
        return int(done.rpartition(" ")[2])

    async def saw_logins(self, ids: list[str]) -> None:
        """Notes that these logins were used a moment ago."""
        with mapped_errors():
            await self._pool.execute(
                "UPDATE gateway.logins SET seen_at = now() WHERE id::text = ANY ($1::text[])", ids
            )

    # ------------------------------------------------------------------------------------------ revoked

    async def revoke(self, *, sub: str | None = None, jti: str | None = None) -> None:
        """Every token of that sub issued so far, or the one with that jti, is good no more; nor is its login.

        A link or ticket of that sub that was not used yet is gone, too.
        """
        with mapped_errors():
            async with self._pool.acquire() as connection, connection.transaction():
                if sub is not None:
                    await connection.execute(_REVOKE_SUB, sub)
                else:
                    await connection.execute(_REVOKE_JTI, jti)
                await connection.execute(
                    "DELETE FROM gateway.logins WHERE sub = $1 OR id::text = $2", sub, jti
                )
                if sub is not None:
                    await connection.execute("DELETE FROM gateway.tickets WHERE claims ->> 'sub' = $1", sub)

    async def access_state(self) -> AccessState:
        """What was revoked, and what people may do now."""
        with mapped_errors():
            rows = await self._pool.fetch(_STATE, PERSON)
        return AccessState(
            subs={row["key"]: row["at"] for row in rows if row["kind"] == "sub"},
            jtis=frozenset(row["key"] for row in rows if row["kind"] == "jti"),
            people={row["key"]: _standing(row) for row in rows if row["kind"] == "person"},
        )

    # ------------------------------------------------------------------------------------------ the log

    async def write_access(self, entries: list[AccessEntry]) -> None:
        """Writes entries of the access log."""
        with mapped_errors():
            await self._pool.executemany(
                "INSERT INTO gateway.access_log (event, sub, name, actor, address, details)"
                " VALUES ($1, $2, $3, $4, $5, $6)",
                [
                    (item.event, item.sub, item.name, item.actor, item.address, item.details)
                    for item in entries
                ],
            )


async def _require_unchanged(connection: Any, person_id: int, checked: Person | None) -> None:
    """Holds the row of a person. Raises Conflict if its rights are not those of `checked` any more."""
    if checked is None:
        return
    row = await connection.fetchrow(_BY_ID_LOCKED, person_id)
    if row is None:
        return
    person = _person(row)
    if (person.role, person.sessions) != (checked.role, checked.sessions):
        raise Conflict("The rights of this person have just been changed. Look at them again.")


def _person(row: Any) -> Person:
    return Person(
        id=row["id"],
        name=row["name"],
        role=Role.parse(row["role"]),
        sessions=_sessions(row["sessions"]),
        disabled_at=row["disabled_at"],
        created_at=row["created_at"],
        has_password=row["has_password"],
    )


def _standing(row: Any) -> Standing:
    return Standing(Role.parse(row["role"]), _sessions(row["sessions"]), row["is_disabled"])


def _login(row: Any) -> BrowserLogin:
    principal = Principal(row["sub"], row["name"], Role.parse(row["role"]), _sessions(row["sessions"]))
    return BrowserLogin(
        id=str(row["id"]),
        principal=principal,
        address=row["address"],
        agent=row["agent"],
        created_at=row["created_at"],
        seen_at=row["seen_at"],
        ends_at=row["ends_at"],
    )


def _sessions(value: Any) -> frozenset[int] | None:
    """Sessions of a row. What an operator wrote there that means nothing covers nothing."""
    try:
        return sessions_claim(value)
    except ValueError:
        return frozenset()
