"""Keys of Supabase's clients, and what is said of those that are no good."""

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.domain.access import Role
from gateway.services.auth.supabase_keys import KeyRefused, SupabaseKeys, expiry

OURS = "secret-of-the-gateway-of-at-least-32-characters"
PROJECT = "secret-of-the-project-of-at-least-32-characters"
KEYS = SupabaseKeys(OURS, PROJECT)
# Tests may run long after they were collected.
LATER = time.time() + 86_400


def minted(secret: Any = PROJECT, algorithm: str = "HS256", **claims: Any) -> str:
    said = {"role": "authenticated", "exp": int(LATER), **claims}
    return jwt.encode({key: value for key, value in said.items() if value is not None}, secret, algorithm)


def test_a_gateway_token_is_what_it_is_elsewhere() -> None:
    principal = KEYS.verify(minted(OURS, role="viewer", sessions=[12], sub=7, name="Ann"))

    assert (principal.sub, principal.name, principal.role) == ("7", "Ann", Role.VIEWER)
    assert principal.sessions == frozenset({12})
    assert principal.expires_at == int(LATER)


def test_a_project_token_may_do_what_its_app_metadata_says() -> None:
    said = {"gateway_role": "agent", "gateway_sessions": "*"}
    principal = KEYS.verify(
        minted(sub="user-1", email="ann@shop.example", aud="authenticated", iat=LATER, app_metadata=said)
    )

    assert (principal.sub, principal.name) == ("user-1", "ann@shop.example")
    assert (principal.role, principal.sessions) == (Role.AGENT, None)


def test_a_servers_project_token_reads_everything() -> None:
    principal = KEYS.verify(minted(role="service_role"))

    assert (principal.role, principal.sessions) == (Role.AGENT, None)


def test_a_project_token_keeps_an_end_of_its_own() -> None:
    assert KEYS.verify(minted(exp=int(time.time()) + 10 * 365 * 86_400)).expires_at
    with pytest.raises(KeyRefused, match="90 days"):
        KEYS.verify(minted(OURS, role="viewer", exp=int(time.time()) + 91 * 86_400))


@pytest.mark.parametrize("role", ["anon", "authenticated", "authenticator", "postgres", "admin"])
def test_without_it_a_project_role_may_do_nothing(role: str) -> None:
    principal = KEYS.verify(minted(role=role, sessions="*"))

    assert (principal.role, principal.sessions) == (Role.VIEWER, frozenset())


def test_a_project_token_does_not_pass_for_a_gateway_token() -> None:
    # A user who could choose `role` and `sessions` of a project token would otherwise choose admin.
    principal = KEYS.verify(minted(role="admin", sessions="*", app_metadata={"gateway_sessions": [7]}))

    assert (principal.role, principal.sessions) == (Role.VIEWER, frozenset({7}))


def test_without_the_projects_secret_its_tokens_are_strangers() -> None:
    with pytest.raises(KeyRefused, match="Failed to validate JWT signature"):
        SupabaseKeys(OURS, None).verify(minted())


SIGNATURE = "JwtSignatureError: Failed to validate JWT signature"


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "MalformedJWT: The token provided is not a valid JWT"),
        ("a.b.c", "MalformedJWT: The token provided is not a valid JWT"),
        ("\udcff", "MalformedJWT: The token provided is not a valid JWT"),
        (minted("x" * 40), SIGNATURE),
        (minted(None, "none"), SIGNATURE),
        (minted(ec.generate_private_key(ec.SECP256R1()), "ES256"), SIGNATURE),
        (minted(role=None), "InvalidJWTToken: Fields `role` and `exp` are required in JWT"),
        (minted(exp=None), "InvalidJWTToken: Fields `role` and `exp` are required in JWT"),
        (minted(app_metadata={"gateway_sessions": ["x"]}), "InvalidJWTToken: The claims"),
        (minted(app_metadata={"gateway_role": "king"}), "InvalidJWTToken: The claims"),
        (minted(OURS, role="viewer", sessions="some"), "InvalidJWTToken: The claims"),
        (minted(exp=1_700_000_000), "InvalidJWTToken: Token has expired "),
    ],
    ids=["empty", "no JWT", "no text", "secret", "unsigned", "other algorithm", "no role", "no end", "sessions", "role",
         "sessions of ours", "over"],
)  # fmt: skip
def test_a_key_that_is_no_good_is_refused_in_the_originals_words(token: str, reason: str) -> None:
    with pytest.raises(KeyRefused) as caught:
        KEYS.verify(token)

    assert caught.value.reason.startswith(reason)


def test_a_token_is_over_in_the_second_that_it_names() -> None:
    assert expiry(None, 100.0) is None
    assert expiry(100.0, 99.9) is None
    over = expiry(100.0, 112.5)
    assert over is not None
    assert over.reason == "InvalidJWTToken: Token has expired 12 seconds ago"
