"""Tokens as they come in: which key opens them, and what they say. No answer of it is ever anything but a principal
or a TokenRefused.

A token of ours is signed with GATEWAY_SECRET (HS256), or with the one before it while secrets are rotated. A token of
the shop's identity provider is signed with one of the keys at GATEWAY_JWKS_URL. The algorithm chooses the keys, so a
public key is never used as an HS256 secret.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import jwt

from gateway.domain.access import Principal, Role
from gateway.domain.errors import GatewayError
from gateway.services.auth.claims import (
    PERSON,
    Claims,
    own_ground,
    principal_of,
    sessions_claim,
    text_claim,
    time_claim,
)
from gateway.services.auth.known_tokens import KnownTokens

ALGORITHM = "HS256"
PROVIDER_ALGORITHMS = ("RS256", "ES256", "EdDSA")
MAX_LIFE_S = 90 * 24 * 3600
LEEWAY_S = 5.0
"""Clocks of two machines differ by so much without harm."""

MAX_TOKEN = 32 * 1024
PROVIDER_KNOWN_S = 60.0
"""A key that the identity provider withdraws opens nothing after this, also for a client that came with it before."""

Fault = Literal["malformed", "signature", "claims", "expired"]

# Every claim is looked at here: PyJWT reads a claim of an odd kind in its own ways, some of which raise anything.
_ONLY_SIGNATURE: Any = {
    "verify_signature": True,
    **dict.fromkeys(
        ("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss", "verify_sub", "verify_jti"),
        False,
    ),
}


class TokenRefused(Exception):
    """The token opens nothing, and why."""

    def __init__(self, fault: Fault, message: str, expired_at: float | None = None) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message
        self.expired_at = expired_at


class ProviderKeys(Protocol):
    """Public keys of the shop's identity provider."""

    def find(self, kid: str | None, algorithm: str) -> Sequence[Any]:
        """Keys that may have signed such a token, as they are known now."""

    async def look(self, kid: str | None, algorithm: str) -> None:
        """Fetches the keys anew where none of that name is known, unless that was done a moment ago."""


class NoProvider:
    """There is no identity provider."""

    def find(self, kid: str | None, algorithm: str) -> Sequence[Any]:
        """No keys."""
        return ()

    async def look(self, kid: str | None, algorithm: str) -> None:
        """Nothing is fetched."""
        return


@dataclass(frozen=True, slots=True)
class TokenRules:
    """Which tokens count. `previous` is the secret before this one, while secrets are rotated."""

    secret: str
    previous: str | None = None
    issuer: str | None = None
    audience: str | None = None


class TokenReader:
    """Reads tokens of ours and of the identity provider."""

    def __init__(
        self, rules: TokenRules, keys: ProviderKeys | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.rules = rules
        self.secrets = [item for item in (rules.secret, rules.previous) if item]
        self._keys = keys or NoProvider()
        self._clock = clock
        self.known = KnownTokens(clock)

    async def prepare(self, token: str) -> None:
        """Fetches the key that this token names, if it may exist and is not known. Raises nothing."""
        if self.known.find(token) is not None:
            return
        try:
            header = header_of(token)
        except TokenRefused:
            return
        if header["alg"] in PROVIDER_ALGORITHMS:
            await self._keys.look(header.get("kid"), header["alg"])

    def read(self, token: str) -> Principal:
        """What the token says. One that was read before is not verified again. Raises TokenRefused.

        Whether it has been revoked since is asked elsewhere, each time (`Revocations.current`).
        """
        principal = self.known.find(token)
        if principal is not None:
            return principal
        algorithm, kid = _signed_how(token)
        if algorithm == ALGORITHM:
            principal = self.read_own(token)
            return self.known.keep(token, principal, MAX_LIFE_S)
        keys = self._keys.find(kid, algorithm) if algorithm in PROVIDER_ALGORITHMS else ()
        principal = self._principal_of_provider(decode(token, keys, algorithm))
        return self.known.keep(token, principal, PROVIDER_KNOWN_S)

    def read_own(self, token: str) -> Principal:
        """A token that is signed with our secret. Raises TokenRefused."""
        claims = decode(token, self.secrets, ALGORITHM)
        expires_at = self.check_times(claims)
        if expires_at - self._clock() > MAX_LIFE_S + 60:
            raise TokenRefused(
                "claims", "A token may be good for 90 days at most. Make it with an earlier `exp`."
            )
        self._check_audience(claims, is_needed=False)
        return self._read(claims, principal_of)

    def _principal_of_provider(self, claims: Claims) -> Principal:
        self.check_times(claims)
        if self.rules.issuer is not None and claims.get("iss") != self.rules.issuer:
            raise TokenRefused("claims", "The token is of another issuer than GATEWAY_JWT_ISSUER.")
        self._check_audience(claims, is_needed=True)
        return self._read(claims, principal_of_provider)

    def _check_audience(self, claims: Claims, *, is_needed: bool) -> None:
        """A token that names whom it is for must name us; one of the provider has to, where we have a name."""
        meant, ours = claims.get("aud"), self.rules.audience
        if (ours is None and is_needed) or (meant is None and not is_needed):
            return
        names = meant if isinstance(meant, list) else [meant]
        if ours is None or ours not in names:
            raise TokenRefused("claims", "The token is for another audience than GATEWAY_JWT_AUDIENCE.")

    def check_times(self, claims: Claims) -> float:
        """When the token expires. Raises TokenRefused if it has, is not good yet, or does not say."""
        now = self._clock()
        try:
            expires_at = time_claim(claims, "exp")
            starts = [time_claim(claims, "nbf") or 0.0, time_claim(claims, "iat") or 0.0]
        except ValueError as error:
            raise TokenRefused("claims", str(error)) from None
        if expires_at is None:
            raise TokenRefused("claims", "The token does not say when it expires (`exp`).")
        if expires_at <= now:
            raise TokenRefused("expired", "The token has expired.", expires_at)
        if max(starts) > now + LEEWAY_S:
            raise TokenRefused("claims", "The token is not good yet.")
        return expires_at

    def _read(self, claims: Claims, reader: Callable[[Claims], Principal]) -> Principal:
        try:
            principal = reader(claims)
            own = own_ground(principal, claims)
        except (GatewayError, ValueError) as error:
            raise TokenRefused("claims", str(error)) from None
        return replace(principal, grounds=(own, *principal.grounds))


def principal_of_provider(claims: Claims) -> Principal:
    """What a token of an identity provider says of the gateway; without that it may read nothing.

    `user_metadata` never counts: its users write it themselves. Raises ValueError.
    """
    app = claims.get("app_metadata")
    said = {**(app if isinstance(app, dict) else {}), **claims}
    role = said.get("gateway_role", "viewer")
    if not isinstance(role, str):
        raise ValueError("gateway_role must be a word")
    sub = text_claim(claims, "sub") or "unknown"
    # The numbers of our own people are ours to give.
    sub = f"provider:{sub}" if sub.startswith(PERSON) else sub
    name = text_claim(claims, "name") or text_claim(claims, "email") or sub
    return Principal(
        sub=sub,
        name=name,
        role=Role.parse(role),
        sessions=sessions_claim(said.get("gateway_sessions")),
        expires_at=time_claim(claims, "exp"),
    )


def header_of(token: str) -> dict[str, Any]:
    """The header of a token, unverified; `alg` and `kid` are texts. Raises TokenRefused."""
    refused = TokenRefused("malformed", "The token is no JWT.")
    if not isinstance(token, str) or len(token) > MAX_TOKEN:
        raise refused
    try:
        header: dict[str, Any] = jwt.get_unverified_header(token)
    except Exception:  # what a stranger sends may raise anything in a parser: RecursionError, UnicodeError, …
        raise refused from None
    kid = header.get("kid")
    if not isinstance(header.get("alg"), str) or not (
        kid is None or (isinstance(kid, str) and len(kid) <= 500)
    ):
        raise refused
    return header


def _signed_how(token: str) -> tuple[str, str | None]:
    header = header_of(token)
    return header["alg"], header.get("kid")


def decode(token: str, keys: Sequence[Any], algorithm: str) -> dict[str, Any]:
    """Claims of a token that one of the keys has signed with that algorithm. Raises TokenRefused."""
    if header_of(token)["alg"] != algorithm:
        raise TokenRefused("signature", "The token is signed in another way.")
    for key in keys:
        try:
            claims: dict[str, Any] = jwt.decode(token, key, algorithms=[algorithm], options=_ONLY_SIGNATURE)
        except jwt.InvalidSignatureError:
            continue
        except Exception:
            raise TokenRefused("malformed", "The token cannot be read.") from None
        return claims
    raise TokenRefused("signature", "The token is signed with a key that is not known here.")
