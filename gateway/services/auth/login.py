"""Who is calling: JWTs, and one-time tickets that stand for one.

A JWT is signed with GATEWAY_SECRET (HS256), so the shop's own backend may mint them, too; or by the shop's identity
provider. Tickets are kept in Postgres by their digest, and used up by deleting them: once in the cluster. Whatever a
login was made from (a token, a cookie, a ticket of one of them), revoking that ends it.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, Protocol

import jwt

from gateway.domain.access import Ground, Principal
from gateway.domain.errors import GatewayError, Unauthenticated
from gateway.services.auth.claims import claims_of, principal_of
from gateway.services.auth.revocations import Revocations
from gateway.services.auth.token_reader import (
    ALGORITHM,
    MAX_LIFE_S,
    ProviderKeys,
    TokenReader,
    TokenRefused,
    TokenRules,
)

__all__ = [
    "ALGORITHM",
    "EMBED_LIFE_S",
    "LOGIN_LIFE_S",
    "MAX_LIFE_S",
    "TICKET_LIFE_S",
    "Login",
    "claims_of",
    "principal_of",
]

TICKET_LIFE_S = 30
EMBED_LIFE_S = 3600
LOGIN_LIFE_S = 7 * 24 * 3600
"""Of the cookie that a login gives. It is never prolonged: a short token must not become a long one."""


TicketKind = Literal["ws", "embed", "login"]


class TicketStore(Protocol):
    """Where tickets wait to be used, as digests."""

    async def keep_ticket(self, digest: bytes, kind: str, claims: dict[str, Any], life_s: float) -> None:
        """Keeps a ticket's digest and its claims for `life_s` seconds. Raises StoreUnavailable."""

    async def use_ticket(self, digest: bytes) -> tuple[str, dict[str, Any]] | None:
        """Kind and claims of an unused, unexpired ticket, which is gone from then on."""


class Login:
    """Issues and reads logins: JWTs signed with the gateway's secret, and tickets that stand for one."""

    def __init__(
        self,
        secret: str,
        tickets: TicketStore,
        *,
        rules: TokenRules | None = None,
        keys: ProviderKeys | None = None,
        revocations: Revocations | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`secret` signs what is issued; `rules` say what is taken, which is what `secret` signs if left out.

        Without `revocations` a token is good until it expires.
        """
        self._secret = secret
        self._tickets = tickets
        self._clock = clock
        self._revocations = revocations
        self.reader = TokenReader(rules or TokenRules(secret), keys, clock=clock)

    def issue(
        self, principal: Principal, life_s: float, *, jti: str | None = None, is_login: bool = False
    ) -> tuple[str, float]:
        """A JWT for the principal, and when it expires (unix seconds). `is_login`: it is a browser's, row `jti`."""
        now = self._clock()
        expires_at = now + min(life_s, MAX_LIFE_S)
        claims = {
            **claims_of(principal),
            # With its fraction: what is issued right after a revocation is not revoked by it.
            "iat": round(now, 3),
            "exp": int(expires_at),
            "jti": jti or secrets.token_urlsafe(12),
            **({"login": jti} if is_login else {}),
        }
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM), expires_at

    def verify(self, token: str) -> Principal:
        """The principal of a JWT, as far as keys and revocations are known now. Raises Unauthenticated."""
        try:
            principal = self.reader.read(token)
        except TokenRefused as refused:
            if refused.fault == "expired":
                raise Unauthenticated("This login has expired. Log in again.") from None
            if "90 days" in refused.message:  # the shop's backend makes them, and must hear why
                raise Unauthenticated(refused.message) from None
            raise Unauthenticated("This login is not valid. Log in again.") from None
        return self.current(principal)

    async def check(self, token: str) -> Principal:
        """The principal of a JWT; what is not known yet to tell that is looked up. Raises Unauthenticated."""
        await self.reader.prepare(token)
        await self.look()
        return self.verify(token)

    async def look(self) -> None:
        """Reads what was revoked where we may not have been told."""
        if self._revocations is not None:
            await self._revocations.look()

    def current(self, principal: Principal) -> Principal:
        """The principal with the rights it has now. Raises Unauthenticated if its login has been ended."""
        return principal if self._revocations is None else self._revocations.current(principal)

    async def make_ticket(self, kind: TicketKind, principal: Principal, life_s: float = TICKET_LIFE_S) -> str:
        """A new ticket for the principal, good once within `life_s` seconds. Raises StoreUnavailable."""
        if all(ground.sub != principal.sub for ground in principal.grounds):
            # Revoking the person that the ticket is for ends what is made of it, also when another login made the
            # ticket.
            own = Ground(principal.sub, None, round(self._clock(), 3))
            principal = replace(principal, grounds=(own, *principal.grounds))
        ticket = secrets.token_urlsafe(32)
        await self._tickets.keep_ticket(_digest(kind, ticket), kind, claims_of(principal), life_s)
        return ticket

    async def use_ticket(self, ticket: str, kinds: tuple[TicketKind, ...]) -> Principal:
        """The principal of a ticket, once. Raises Unauthenticated."""
        for kind in kinds if ticket else ():
            found = await self._tickets.use_ticket(_digest(kind, ticket))
            if found is not None:
                await self.look()
                try:
                    principal = principal_of(found[1])
                except (GatewayError, ValueError):
                    break  # an operator's row, or an older gateway's
                return self.current(principal)
        raise Unauthenticated("This ticket is unknown, expired or used already. Ask for a new one.")


def _digest(kind: str, ticket: str) -> bytes:
    # With the kind in it, a ticket shown at the wrong door is not found there, and so not used up.
    return hashlib.sha256(f"{kind}:{ticket}".encode("utf-8", "replace")).digest()
