"""People who log in by name and password: adding them, changing them, letting them in."""

import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from gateway.domain.access import Act, Principal, Role
from gateway.domain.errors import Conflict, Forbidden, Invalid, NotFound
from gateway.domain.lines import one_line
from gateway.services.auth.access_log import AccessLog
from gateway.services.auth.claims import PERSON, sessions_claim, sessions_word
from gateway.services.auth.passwords import Passwords

MAX_NAME = 100
LINK_LIFE_S = 3600
"""How long a login link of a person can be opened."""


@dataclass(frozen=True, slots=True)
class Person:
    """One row of `gateway.users`."""

    id: int
    name: str
    role: Role
    sessions: frozenset[int] | None
    disabled_at: datetime | None = None
    created_at: datetime | None = None
    has_password: bool = True

    @property
    def sub(self) -> str:
        """Whose logins and messages they are."""
        return f"{PERSON}{self.id}"


class PeopleStore(Protocol):
    """Raises StoreUnavailable, whatever is asked; Conflict where a name is taken."""

    async def people(self) -> list[Person]:
        """All people, by name."""

    async def person(self, person_id: int) -> Person | None:
        """The person of that number, if there is one."""

    async def person_named(self, name: str) -> tuple[Person, str | None] | None:
        """The person of that name, whatever its case, and the hash of the password."""

    async def add_person(
        self, name: str, password_hash: str | None, role: Role, sessions: frozenset[int] | None
    ) -> Person:
        """The new person."""

    async def change_person(
        self,
        person_id: int,
        changes: dict[str, Any],
        *,
        kept_login: str | None = None,
        checked: Person | None = None,
    ) -> Person | None:
        """Changes columns; every login of a person with a new password ends, but for `kept_login`.

        Raises Conflict if the person's rights are not those of `checked` any more.
        """

    async def delete_person(self, person_id: int, checked: Person | None = None) -> bool:
        """Deletes a person with every login; False if there was none.

        Raises Conflict if the person's rights are not those of `checked` any more.
        """


class People:
    """Manages people, on behalf of an admin."""

    def __init__(self, store: PeopleStore, passwords: Passwords, log: AccessLog) -> None:
        self._store = store
        self._passwords = passwords
        self._log = log

    async def all(self, by: Principal) -> list[Person]:
        """The people whom this admin may manage, by name."""
        by.require(Act.MANAGE)
        return [person for person in await self._store.people() if by.reaches(person.role, person.sessions)]

    async def add(self, fields: dict[str, Any], by: Principal) -> Person:
        """The new person. Raises Invalid, Conflict, or Forbidden for more than `by` may do."""
        by.require(Act.MANAGE)
        wish = await self._read(fields, by)
        if missing := {"name", "role"} - wish.keys():
            raise Invalid(f"A person needs a {' and a '.join(sorted(missing))}.")
        sessions = wish.get("sessions", by.sessions)
        person = await self._store.add_person(wish["name"], wish.get("password_hash"), wish["role"], sessions)
        await self._log.note("person_added", person.sub, person.name, by, role=person.role.word)
        return person

    async def change(self, person_id: int, fields: dict[str, Any], by: Principal) -> Person:
        """The person as it is now. Raises NotFound for one whom `by` may not manage."""
        before = await self._managed(person_id, by)
        if fields.get("password") is not None and _is_own(before, by):
            raise Conflict(
                "You change your own password with POST /api/account/password, which takes the current one too."
            )
        wish = await self._read(fields, by)
        changes = {name: value for name, value in wish.items() if value != getattr(before, name, None)}
        disabled = changes.pop("disabled", None)
        if disabled is not None and disabled is not (before.disabled_at is not None):
            changes["is_disabled"] = disabled
        if _is_own(before, by) and changes.keys() & {"role", "sessions", "is_disabled"}:
            raise Conflict("You cannot change your own rights. Ask another admin.")
        if not changes:
            return before
        person = await self._store.change_person(person_id, changes, checked=before)
        if person is None:
            raise NotFound(f"There is no person {person_id}.")
        what = sorted("password" if name == "password_hash" else name for name in changes)
        await self._log.note("person_changed", person.sub, person.name, by, changed=what)
        return person

    async def delete(self, person_id: int, by: Principal) -> None:
        """Removes a person, and ends every login."""
        person = await self._managed(person_id, by)
        if _is_own(person, by):
            raise Conflict("You cannot delete yourself. Ask another admin.")
        await self._store.delete_person(person_id, checked=person)
        await self._log.note("person_deleted", person.sub, person.name, by)

    async def for_link(self, person_id: int, by: Principal) -> Principal:
        """Whom a login link of this person lets in, noted as made. Raises Conflict if the person is disabled."""
        person = await self._managed(person_id, by)
        if person.disabled_at is not None:
            raise Conflict(f"{person.name} is disabled. Enable {person.name} first.")
        await self._log.note("login_link_made", person.sub, person.name, by, role=person.role.word)
        return Principal(person.sub, person.name, person.role, person.sessions)

    async def _managed(self, person_id: int, by: Principal) -> Person:
        """The person, if this admin may manage it. Another one is not there for this login."""
        by.require(Act.MANAGE)
        person = await self._store.person(person_id)
        if person is None or not by.reaches(person.role, person.sessions):
            raise NotFound(f"There is no person {person_id}.")
        return person

    async def _read(self, fields: dict[str, Any], by: Principal) -> dict[str, Any]:
        """The columns that the fields mean. Raises Invalid; Forbidden for more than `by` may do."""
        wish = read_person(fields)
        if not by.reaches(wish.get("role", Role.VIEWER), wish.get("sessions", by.sessions)):
            raise Forbidden("You cannot give a role or sessions that you do not have yourself.")
        if "password" in wish:
            wish["password_hash"] = await self._passwords.hash(wish.pop("password"))
        return wish


def _is_own(person: Person, by: Principal) -> bool:
    """Whether it is the person that asks, or that made the token which asks."""
    return person.sub == by.sub or any(ground.sub == person.sub for ground in by.grounds)


def read_person(fields: dict[str, Any]) -> dict[str, Any]:
    """What is said of a person: name, role, sessions, password, disabled; only what is said. Raises Invalid."""
    known: Collection[str] = ("name", "role", "sessions", "password", "disabled")
    if unknown := sorted(set(fields) - set(known)):
        raise Invalid(f"A person has no {unknown[0][:40]!r}, only {', '.join(known)}.")
    wish: dict[str, Any] = {}
    if "name" in fields:
        wish["name"] = person_name(fields["name"])
    if "role" in fields:
        wish["role"] = Role.parse(fields["role"] if isinstance(fields["role"], str) else "")
    if "sessions" in fields:
        try:
            if fields["sessions"] is None:
                raise ValueError
            wish["sessions"] = sessions_claim(fields["sessions"])
        except ValueError:
            raise Invalid('`sessions` must be a list of session ids, or "*" for all.') from None
    if fields.get("password") is not None:
        wish["password"] = fields["password"]
    if "disabled" in fields:
        if not isinstance(fields["disabled"], bool):
            raise Invalid("`disabled` must be true or false.")
        wish["disabled"] = fields["disabled"]
    return wish


def person_name(value: object) -> str:
    """A name to log in with. Raises Invalid."""
    name = unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else ""
    if not 1 <= len(name) <= MAX_NAME or one_line(name) != name:
        raise Invalid(f"A name has 1 to {MAX_NAME} characters, all of them in one line.")
    if name.lower().startswith(PERSON):
        raise Invalid(f"A name cannot begin with {PERSON!r}.")
    return name


def described(person: Person) -> dict[str, Any]:
    """A person as the API shows it."""
    return {
        "id": person.id,
        "sub": person.sub,
        "name": person.name,
        "role": person.role.word,
        "sessions": sessions_word(person.sessions),
        "disabled_at": person.disabled_at,
        "has_password": person.has_password,
        "created_at": person.created_at,
    }
