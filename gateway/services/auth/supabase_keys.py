"""Keys of Supabase's clients: a gateway JWT, or one of the shop's Supabase project.

A project's token with the role `authenticated` (or `service_role`) may do what an agent may, on all sessions; `anon`
and any other role nothing. The project can say otherwise in `app_metadata`, which its users cannot change:
`gateway_role` and `gateway_sessions` (ids, or "*").
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from gateway.domain.access import Principal
from gateway.domain.errors import GatewayError, Unauthenticated
from gateway.services.auth.login import ALGORITHM, principal_of

_WHOLE = frozenset({"authenticated", "service_role"})

# A project's token says whom it is for (`aud`), and the clocks of two machines differ.
_RULES: Any = {"verify_aud": False, "verify_sub": False, "verify_iat": False, "verify_exp": False}


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

    def __init__(self, secret: str, project_secret: str | None) -> None:
        """`secret` signs the gateway's tokens, `project_secret` those of the Supabase project, if there is one."""
        self._readers: list[tuple[str, Callable[[dict[str, Any]], Principal]]] = [(secret, principal_of)]
        if project_secret:
            self._readers.append((project_secret, _principal_of_project))

    def verify(self, token: str) -> Principal:
        """Raises KeyRefused."""
        for secret, read in self._readers:
            try:
                claims = jwt.decode(token, secret, algorithms=[ALGORITHM], options=_RULES)
            except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError):
                continue
            except (jwt.InvalidTokenError, ValueError):
                break
            return _checked(claims, read)
        else:
            raise KeyRefused("JwtSignatureError", "Failed to validate JWT signature")
        raise KeyRefused("MalformedJWT", "The token provided is not a valid JWT")


def _checked(claims: dict[str, Any], read: Callable[[dict[str, Any]], Principal]) -> Principal:
    expires_at = claims.get("exp")
    if not claims.get("role") or not isinstance(expires_at, int | float):
        raise KeyRefused("InvalidJWTToken", "Fields `role` and `exp` are required in JWT")
    over = expiry(expires_at, time.time())
    if over is not None:
        raise over
    try:
        return read(claims)
    except (GatewayError, ValueError, TypeError):
        raise KeyRefused("InvalidJWTToken", "The claims `role` or `sessions` cannot be read") from None


def expiry(expires_at: float | None, now: float) -> KeyRefused | None:
    """What is to be said of a token whose time is over; None before that."""
    if expires_at is None or now < expires_at:
        return None
    return KeyRefused("InvalidJWTToken", f"Token has expired {int(now - expires_at)} seconds ago")


def _principal_of_project(claims: dict[str, Any]) -> Principal:
    app = claims.get("app_metadata")
    said: Mapping[str, Any] = app if isinstance(app, dict) else {}
    whole = str(claims["role"]) in _WHOLE
    return principal_of(
        {
            "sub": claims.get("sub") or claims["role"],
            "name": claims.get("email"),
            "role": said.get("gateway_role", "agent" if whole else "viewer"),
            "sessions": said.get("gateway_sessions", "*" if whole else []),
            "exp": claims["exp"],
        }
    )
