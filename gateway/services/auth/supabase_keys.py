"""Keys of Supabase's clients: a gateway JWT, one of the shop's Supabase project, or one of its identity provider.

A token of the project may do what its `app_metadata` says, which its users cannot change: `gateway_role` and
`gateway_sessions` (ids, or "*"). Without them `authenticated` reads nothing, nor do `anon` and any other role; only
`service_role`, which is a secret of servers, reads everything.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gateway.domain.access import Principal
from gateway.domain.errors import GatewayError, Unauthenticated
from gateway.services.auth.claims import PERSON, own_ground, principal_of, time_claim
from gateway.services.auth.revocations import Revocations
from gateway.services.auth.token_reader import (
    ALGORITHM,
    MAX_LIFE_S,
    PROVIDER_ALGORITHMS,
    ProviderKeys,
    TokenReader,
    TokenRefused,
    TokenRules,
    decode,
    header_of,
)

_UNREADABLE = "The claims `role` or `sessions` cannot be read"


class KeyRefused(Unauthenticated):
    """`message` is the original's sentence; `kind` the word it puts before it in a reply to a join."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    @property
    def reason(self) -> str:
        """What a Supabase client is told: the kind of refusal, then the sentence."""
        return f"{self.kind}: {self.message}"


class SupabaseKeys:
    """Reads the keys and access tokens of Supabase's clients as principals."""

    def __init__(
        self,
        secret: str,
        project_secret: str | None,
        *,
        rules: TokenRules | None = None,
        keys: ProviderKeys | None = None,
        revocations: Revocations | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`secret` signs the gateway's tokens, `project_secret` those of the Supabase project, if there is one."""
        self._reader = TokenReader(rules or TokenRules(secret), keys, clock=clock)
        self._project_secret = project_secret
        self._revocations = revocations
        self._clock = clock

    async def check(self, token: str) -> Principal:
        """Whom the key stands for; what is not known yet to tell that is looked up. Raises KeyRefused."""
        await self._reader.prepare(token)
        if self._revocations is not None:
            await self._revocations.look()
        return self.verify(token)

    def verify(self, token: str) -> Principal:
        """Raises KeyRefused."""
        try:
            return self.current(self._read(token))
        except TokenRefused as refused:
            raise _in_their_words(refused, self._clock()) from None

    def current(self, principal: Principal) -> Principal:
        """The principal with the rights it has now. Raises KeyRefused if its login has been ended."""
        if self._revocations is None:
            return principal
        try:
            return self._revocations.current(principal)
        except Unauthenticated as error:
            raise KeyRefused("InvalidJWTToken", error.message) from None

    def _read(self, token: str) -> Principal:
        principal = self._reader.known.find(token)
        if principal is not None:
            return principal
        algorithm = header_of(token)["alg"]
        if algorithm in PROVIDER_ALGORITHMS:
            return self._reader.read(token)
        try:
            claims = decode(token, self._reader.secrets, ALGORITHM)
        except TokenRefused as refused:
            if refused.fault != "signature" or not self._project_secret:
                raise
            principal = self._read_projects(decode(token, [self._project_secret], ALGORITHM))
            return self._reader.known.keep(token, principal, MAX_LIFE_S)
        _require(claims)
        return self._reader.read(token)

    def _read_projects(self, claims: dict[str, Any]) -> Principal:
        _require(claims)
        try:
            expires_at = time_claim(claims, "exp") or 0.0
            if expires_at <= self._clock():
                raise TokenRefused("expired", "The token has expired.", expires_at)
            principal = _principal_of_project(claims)
            # Its clock is not ours: a time to come is as good as none.
            issued_at = time_claim(claims, "iat")
            ground = replace(own_ground(principal, {**claims, "iat": None}), issued_at=issued_at)
        except (GatewayError, ValueError):
            raise KeyRefused("InvalidJWTToken", _UNREADABLE) from None
        if issued_at is not None and issued_at > self._clock():
            ground = replace(ground, issued_at=None)
        return replace(principal, grounds=(ground,))


def _require(claims: dict[str, Any]) -> None:
    expires_at = claims.get("exp")
    if not claims.get("role") or isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
        raise KeyRefused("InvalidJWTToken", "Fields `role` and `exp` are required in JWT")


def _in_their_words(refused: TokenRefused, now: float) -> "KeyRefused":
    match refused.fault:
        case "malformed":
            return KeyRefused("MalformedJWT", "The token provided is not a valid JWT")
        case "signature":
            return KeyRefused("JwtSignatureError", "Failed to validate JWT signature")
        case "expired":
            return expiry(refused.expired_at, now) or KeyRefused("InvalidJWTToken", "Token has expired")
        case "claims":
            is_ours = refused.message.startswith("A token may be good")
            return KeyRefused("InvalidJWTToken", refused.message if is_ours else _UNREADABLE)


def expiry(expires_at: float | None, now: float) -> KeyRefused | None:
    """What is to be said of a token whose time is over; None before that."""
    if expires_at is None or now < expires_at:
        return None
    return KeyRefused("InvalidJWTToken", f"Token has expired {int(now - expires_at)} seconds ago")


def _principal_of_project(claims: dict[str, Any]) -> Principal:
    """Raises ValueError or GatewayError on claims of an odd kind."""
    app = claims.get("app_metadata")
    said: Mapping[str, Any] = app if isinstance(app, dict) else {}
    is_server = claims["role"] == "service_role"
    sub = claims.get("sub") or claims["role"]
    # The numbers of our own people are ours to give.
    sub = f"project:{sub}" if isinstance(sub, str) and sub.startswith(PERSON) else sub
    return principal_of(
        {
            "sub": sub,
            "name": claims.get("email"),
            "role": said.get("gateway_role", "agent" if is_server else "viewer"),
            "sessions": said.get("gateway_sessions", "*" if is_server else []),
            "exp": claims["exp"],
        }
    )
