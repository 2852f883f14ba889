"""Browsers that are logged in: a row each, which is what the cookie names. Deleting the row logs the browser out.

Lifecycle: `run` writes down, once a minute, which logins were used; until it is cancelled.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from gateway.domain.access import Principal
from gateway.domain.errors import Forbidden, GatewayError, Invalid, NotFound, RateLimited, Unauthenticated
from gateway.domain.lines import one_line
from gateway.services.auth.access_log import AccessLog
from gateway.services.auth.claims import PERSON
from gateway.services.auth.login import LOGIN_LIFE_S, Login
from gateway.services.auth.passwords import Passwords
from gateway.services.auth.people import PeopleStore
from gateway.services.auth.throttle import LoginThrottle

logger = logging.getLogger(__name__)

WRITE_SEEN_EVERY_S = 60.0
MAX_WAITING = 20
"""Tries that wait for their turn to be looked at; more are told to come back."""

WRONG = "This name and password do not fit together."


@dataclass(frozen=True, slots=True)
class BrowserLogin:
    """One row of `gateway.logins`."""

    id: str
    principal: Principal
    address: str | None
    agent: str | None
    created_at: datetime | None = None
    seen_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class VerifiedPerson:
    """A person whose password was right, and the hash that it was compared with."""

    principal: Principal
    id: int
    password_hash: str | None = field(repr=False)


class LoginStore(Protocol):
    """Raises StoreUnavailable, whatever is asked."""

    async def begin_login(self, login: BrowserLogin, person: VerifiedPerson | None, life_s: float) -> bool:
        """Writes the row of a browser that has logged in; False if the person's password is another one by now."""

    async def logins_of(self, sub: str) -> list[BrowserLogin]:
        """Those that have not ended, the newest first."""

    async def end_logins(self, sub: str, *, only: str | None = None, kept: str | None = None) -> int:
        """Ends one login of that sub, or all but the one that is kept; how many were ended."""

    async def saw_logins(self, ids: list[str]) -> None:
        """Notes that these logins were used a moment ago."""


class LoginAndPeopleStore(LoginStore, PeopleStore, Protocol):
    """Where logins are kept, and the people who log in."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who stands at the login: the address, and what the browser calls itself."""

    address: str
    agent: str | None


class Logins:
    """Lets browsers in by password or link, and ends their logins."""

    def __init__(
        self,
        login: Login,
        store: LoginAndPeopleStore,
        passwords: Passwords,
        throttle: LoginThrottle,
        log: AccessLog,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._login = login
        self._store = store
        self._passwords = passwords
        self._throttle = throttle
        self._log = log
        self._sleep = sleep
        self._waiting = 0
        self._seen: dict[str, float] = {}

    # ------------------------------------------------------------------------------------------ coming in

    async def by_password(self, name: object, password: object, visitor: Visitor) -> tuple[str, float]:
        """The cookie of a new login, and when it expires.

        Raises Unauthenticated, which does not say what was wrong; RateLimited after too many tries.
        """
        if not isinstance(name, str) or not isinstance(password, str):
            raise Invalid("Give `name` and `password`, both as text.")
        name = name.strip()[:200]
        found = await self._checked(name, password, visitor)
        if found is None:
            raise Unauthenticated(WRONG)
        return await self._begin(found.principal, visitor, "password", found)

    async def by_link(self, ticket: str, visitor: Visitor) -> tuple[str, float]:
        """The same for a one-time link. Raises Unauthenticated for one that was used, is too old or never was."""
        delay_s = self._throttle.begin("", visitor.address)
        if delay_s:
            await self._sleep(delay_s)
        try:
            principal = await self._login.use_ticket(ticket, ("login",))
            await self._require_standing(principal)
        except Unauthenticated:
            self._log.refused("login_failed", visitor.address, "link")
            raise
        self._throttle.succeed("", visitor.address)
        return await self._begin(principal, visitor, "link")

    async def _require_standing(self, principal: Principal) -> None:
        """Raises Unauthenticated for a person who was disabled or deleted since the link was made.

        The news of it may not have come here yet.
        """
        person_id = person_of(principal)
        if person_id is None:
            return
        person = await self._store.person(person_id)
        if person is None or person.disabled_at is not None:
            raise Unauthenticated("This account is disabled. Ask the person who runs the gateway.")

    async def _checked(self, name: str, password: str, visitor: Visitor) -> VerifiedPerson | None:
        """Who it is, by name and password; None if they do not fit, after the same work."""
        delay_s = self._throttle.begin(name, visitor.address)
        if delay_s:  # before it takes a place: tries that are slowed down must not keep the others out
            await self._sleep(delay_s)
        if self._waiting >= MAX_WAITING:
            raise RateLimited("Too many people log in at the same time. Try again.", retry_after_s=2)
        self._waiting += 1
        try:
            # No name holds what would break a line, and Postgres could not even be asked for it.
            found = await self._store.person_named(name) if one_line(name) == name else None
            is_right = await self._passwords.matches(found[1] if found else None, password)
        finally:
            self._waiting -= 1
        if found is None or not is_right or found[0].disabled_at is not None:
            # A name that no person has may be a password in the wrong field: it is not written down.
            self._log.refused(
                "login_failed", visitor.address, f"name {found[0].name}" if found else "unknown name"
            )
            return None
        self._throttle.succeed(name, visitor.address)
        person = found[0]
        principal = Principal(person.sub, person.name, person.role, person.sessions)
        return VerifiedPerson(principal, person.id, found[1])

    async def _begin(
        self, principal: Principal, visitor: Visitor, how: str, person: VerifiedPerson | None = None
    ) -> tuple[str, float]:
        row = BrowserLogin(
            str(uuid.uuid4()), principal, visitor.address, one_line((visitor.agent or "")[:300]) or None
        )
        if not await self._store.begin_login(row, person, LOGIN_LIFE_S):
            raise Unauthenticated(WRONG)
        await self._log.note("login", principal.sub, principal.name, address=visitor.address, how=how)
        return self._login.issue(principal, LOGIN_LIFE_S, jti=row.id, is_login=True)

    # ------------------------------------------------------------------------------------------ one's own
    # Two people may come by links of the same name: for each of them only the login that asks is its own.

    async def mine(self, principal: Principal) -> list[BrowserLogin]:
        """One's own logins that have not ended, the newest first."""
        found = await self._store.logins_of(_own_sub(principal))
        return [item for item in found if item.id == principal.login_id or person_of(principal) is not None]

    async def leave(self, principal: Principal) -> None:
        """Ends the login that asks, if it is one."""
        if principal.login_id is not None:
            await self._store.end_logins(principal.sub, only=principal.login_id)
            await self._log.note("logout", principal.sub, principal.name)

    async def end(self, principal: Principal, login_id: str) -> None:
        """Ends one of one's own logins. Raises NotFound."""
        is_own = person_of(principal) is not None or login_id == principal.login_id
        if not await self._store.end_logins(_own_sub(principal), only=login_id if is_own else ""):
            raise NotFound("There is no such login of yours.")
        await self._log.note("login_ended", principal.sub, principal.name, login=login_id)

    async def end_others(self, principal: Principal) -> int:
        """Ends all of one's own logins but the one that asks; how many."""
        sub = _own_sub(principal)
        if person_of(principal) is None:
            return 0
        count = await self._store.end_logins(sub, kept=principal.login_id)
        await self._log.note("login_ended", principal.sub, principal.name, count=count)
        return count

    async def change_password(
        self, principal: Principal, current: object, fresh: object, visitor: Visitor
    ) -> None:
        """A new password for oneself; every other login of oneself ends."""
        person_id = person_of(principal)
        if person_id is None or principal.login_id is None:
            raise Forbidden("Only a person who logged in by name and password has one to change.")
        if not isinstance(current, str):
            raise Invalid("Give `current_password` and `new_password`, both as text.")
        found = await self._checked(await self._name_of(person_id), current, visitor)
        if found is None:
            raise Invalid("The current password is not right.", details={"field": "current_password"})
        hashed = await self._passwords.hash(fresh if isinstance(fresh, str) else "")
        await self._store.change_person(person_id, {"password_hash": hashed}, kept_login=principal.login_id)
        await self._log.note("password_changed", principal.sub, principal.name, address=visitor.address)

    async def _name_of(self, person_id: int) -> str:
        person = await self._store.person(person_id)
        if person is None:
            raise Unauthenticated("This account does not exist any more.")
        return person.name

    # ------------------------------------------------------------------------------------------ seen

    def saw(self, principal: Principal) -> None:
        """The login was used. Never waits; it is written down within a minute."""
        if principal.login_id is not None:
            self._seen[principal.login_id] = time.time()

    async def run(self) -> None:
        """Writes once a minute which logins were used, until it is cancelled."""
        while True:
            await asyncio.sleep(WRITE_SEEN_EVERY_S)
            seen, self._seen = self._seen, {}
            if not seen:
                continue
            try:
                await self._store.saw_logins(list(seen))
            except GatewayError as error:
                logger.warning("logins.not_seen count=%d error=%s", len(seen), error)


def person_of(principal: Principal) -> int | None:
    """The number of the person, if it is one of ours."""
    number = principal.sub.removeprefix(PERSON)
    is_person = principal.sub.startswith(PERSON) and number.isascii() and number.isdigit()
    return int(number) if is_person and len(number) <= 18 else None


def _own_sub(principal: Principal) -> str:
    """The sub, unless it was another one's token that made this login for it. Raises Forbidden."""
    if any(ground.sub != principal.sub for ground in principal.grounds):
        raise Forbidden("This login was made by another one and has none of its own to look at.")
    return principal.sub
