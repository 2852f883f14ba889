"""Who is calling: JWTs, and one-time tickets that stand for one.

A JWT is signed with GATEWAY_SECRET (HS256), so the shop's own backend may mint them, too. Tickets are kept in
Postgres by their digest, and used up by deleting them: once in the cluster.
"""

import hashlib
import secrets
import time
from typing import Any, Literal, Protocol

import jwt

from gateway.domain.access import Principal, Role
from gateway.domain.errors import GatewayError, Unauthenticated

ALGORITHM = "HS256"
TICKET_LIFE_S = 30
EMBED_LIFE_S = 3600
LOGIN_LIFE_S = 7 * 24 * 3600
"""Of the cookie that a login link gives. It is never prolonged: a short token must not become a long one."""


TicketKind = Literal["ws", "embed", "login"]


class TicketStore(Protocol):
    """Where tickets wait to be used, as digests."""

    async def keep_ticket(self, digest: bytes, kind: str, claims: dict[str, Any], life_s: float) -> None:
        """Keeps a ticket's digest and its claims for `life_s` seconds. Raises StoreUnavailable."""

    async def use_ticket(self, digest: bytes) -> tuple[str, dict[str, Any]] | None:
        """Kind and claims of an unused, unexpired ticket, which is gone from then on."""


class Login:
    """Issues and reads logins: JWTs signed with the gateway's secret, and tickets that stand for one."""

    def __init__(self, secret: str, tickets: TicketStore) -> None:
        self._secret = secret
        self._tickets = tickets

    def issue(self, principal: Principal, life_s: float) -> tuple[str, float]:
        """A JWT for the principal, and when it expires (unix seconds)."""
        expires_at = time.time() + life_s
        claims = {**claims_of(principal), "iat": int(time.time()), "exp": int(expires_at)}
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM), expires_at

    def verify(self, token: str) -> Principal:
        """The principal of a JWT. Raises Unauthenticated."""
        try:
            # The shop's backend may mint them too, and its ids of users may be numbers.
            rules: Any = {"require": ["exp"], "verify_sub": False}
            claims = jwt.decode(token, self._secret, algorithms=[ALGORITHM], options=rules)
            return principal_of(claims)
        except jwt.ExpiredSignatureError:
            raise Unauthenticated("This login has expired. Log in again.") from None
        except (jwt.InvalidTokenError, GatewayError, ValueError, TypeError):
            raise Unauthenticated("This login is not valid. Log in again.") from None

    async def make_ticket(self, kind: TicketKind, principal: Principal, life_s: float = TICKET_LIFE_S) -> str:
        """A new ticket for the principal, good once within `life_s` seconds. Raises StoreUnavailable."""
        ticket = secrets.token_urlsafe(32)
        await self._tickets.keep_ticket(_digest(kind, ticket), kind, claims_of(principal), life_s)
        return ticket

    async def use_ticket(self, ticket: str, kinds: tuple[TicketKind, ...]) -> Principal:
        """The principal of a ticket, once. Raises Unauthenticated."""
        for kind in kinds if ticket else ():
            found = await self._tickets.use_ticket(_digest(kind, ticket))
            if found is not None:
                return principal_of(found[1])
        raise Unauthenticated("This ticket is unknown, expired or used already. Ask for a new one.")


def claims_of(principal: Principal) -> dict[str, Any]:
    """The principal as claims of a JWT; `principal_of` reads them back."""
    sessions = "*" if principal.sessions is None else sorted(principal.sessions)
    return {
        "sub": principal.sub,
        "name": principal.name,
        "role": principal.role.word,
        "sessions": sessions,
        **({"exp": int(principal.expires_at)} if principal.expires_at else {}),
    }


def principal_of(claims: dict[str, Any]) -> Principal:
    """Raises ValueError, TypeError or GatewayError on claims that are not ours."""
    sessions = claims.get("sessions", [])
    if sessions != "*" and not isinstance(sessions, list):
        raise ValueError("sessions must be a list or '*'")
    sub = str(claims.get("sub") or claims.get("name") or "unknown")
    expires_at = claims.get("exp")
    return Principal(
        sub=sub,
        name=str(claims.get("name") or sub),
        role=Role.parse(claims.get("role")),
        sessions=None if sessions == "*" else frozenset(int(item) for item in sessions),
        expires_at=float(expires_at) if expires_at else None,
    )


def _digest(kind: str, ticket: str) -> bytes:
    # With the kind in it, a ticket shown at the wrong door is not found there, and so not used up.
    return hashlib.sha256(f"{kind}:{ticket}".encode()).digest()
