"""Who may do what: the one place where a role and a session list become a yes or a no."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Literal

from gateway.domain.errors import Forbidden, Invalid
from gateway.domain.session import UNASSIGNED, Actor

RoleName = Literal["viewer", "agent", "admin"]


class Role(IntEnum):
    """Each role may do what the ones before it may."""

    VIEWER = 1
    AGENT = 2
    ADMIN = 3

    @classmethod
    def parse(cls, word: object) -> "Role":
        """The role of that name, in any case of letters. Raises Invalid for any other value."""
        try:
            return cls[str(word).upper()]
        except KeyError:
            raise Invalid(f"The role {word!r} is not one of viewer, agent, admin.") from None

    @property
    def word(self) -> str:
        """The name as it stands in tokens and answers: `viewer`, `agent` or `admin`."""
        return self.name.lower()


class Act(IntEnum):
    """Things that can be asked for; the value is the least role that may do them."""

    READ = Role.VIEWER
    MARK_READ = Role.AGENT
    MARK = Role.AGENT
    SEND = Role.AGENT
    CONNECT = Role.AGENT
    SEE_QR = Role.AGENT
    MANAGE = Role.ADMIN
    ERASE = Role.ADMIN
    EXPORT = Role.ADMIN


# IntEnum folds equal values into aliases, so a refusal is worded by role, not by act.
_REFUSALS = {
    Role.AGENT: "This needs the role agent or admin.",
    Role.ADMIN: "This needs the role admin.",
}


@dataclass(frozen=True, slots=True)
class Ground:
    """A token that a login stands on, directly or through a ticket: revoking it ends the login."""

    sub: str
    jti: str | None = None
    issued_at: float | None = None
    """Unix seconds; None where the token does not say."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A token's owner: who, which role, which sessions (None = all), until when (unix seconds)."""

    sub: str
    name: str
    role: Role
    sessions: frozenset[int] | None
    expires_at: float | None = None
    grounds: tuple[Ground, ...] = field(default=(), compare=False)
    login_id: str | None = field(default=None, compare=False)
    """Row of the browser's login, where the token is the cookie of one."""

    by_cookie: bool = field(default=False, compare=False)
    """Whether a browser brought the token by itself, as its cookie."""

    @property
    def actor(self) -> Actor:
        """Who the audit log names for what this principal does."""
        return Actor(name=self.name, sub=self.sub)

    def can(self, act: Act, session_id: int | None = None) -> bool:
        """Whether this principal may do `act`, on that session if one is named."""
        return self.role >= int(act) and (session_id is None or self.covers(session_id))

    def covers(self, session_id: int) -> bool:
        """Whether the session is on this principal's list. Inbox 0 holds rows of any session: it needs all."""
        if self.sessions is None:
            return True
        return session_id != UNASSIGNED and session_id in self.sessions

    def reads_beyond(self, other: "Principal") -> bool:
        """Whether this principal may read anything that the other may not."""
        if not self.reads_something:
            return False
        if not other.reads_something:
            return True
        return other.sessions is not None and (self.sessions is None or not self.sessions <= other.sessions)

    @property
    def reads_something(self) -> bool:
        """Whether there is a session whose messages this principal may read."""
        return self.can(Act.READ) and (self.sessions is None or bool(self.sessions))

    def require(self, act: Act, session_id: int | None = None) -> None:
        """Raises Forbidden unless `can`."""
        if self.role < int(act):
            raise Forbidden(_REFUSALS.get(Role(int(act)), "This is not allowed."))
        if session_id is not None and not self.covers(session_id):
            raise Forbidden(f"Session {session_id} is not among the sessions of this login.")

    def require_everything(self, act: Act) -> None:
        """Raises Forbidden unless this principal may do `act` on every session."""
        self.require(act)
        if self.sessions is not None:
            raise Forbidden("This needs a login for all sessions.")

    def reaches(self, role: Role, sessions: frozenset[int] | None) -> bool:
        """Whether a login of that role and those sessions may do nothing that this one may not."""
        within = self.sessions is None or (sessions is not None and sessions <= self.sessions)
        return role <= self.role and within

    def capped(self, role: Role, sessions: frozenset[int] | None) -> "Principal":
        """A copy that may do no more than that role on those sessions."""
        if self.sessions is None or sessions is None:
            both = sessions if self.sessions is None else self.sessions
        else:
            both = self.sessions & sessions
        return replace(self, role=min(self.role, role), sessions=both)

    def narrowed(self, role: Role | None, sessions: Iterable[int] | None) -> "Principal":
        """A copy that may do no more than this one. Raises Forbidden on a wider wish."""
        wished = self.sessions if sessions is None else frozenset(sessions)
        if (role or self.role) > self.role:
            raise Forbidden("A ticket cannot have a higher role than the login that asks for it.")
        if self.sessions is not None and (wished is None or not wished <= self.sessions):
            raise Forbidden("A ticket cannot name sessions that this login does not have.")
        return replace(self, role=role or self.role, sessions=wished, login_id=None, by_cookie=False)
