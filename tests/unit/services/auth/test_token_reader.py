"""Tokens as strangers make them: whatever a claim holds, the answer is a principal or a refusal."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.access import Principal, Role
from gateway.domain.errors import Unauthenticated
from gateway.services.auth.known_tokens import KnownTokens
from gateway.services.auth.login import Login
from gateway.services.auth.supabase_keys import KeyRefused, SupabaseKeys
from gateway.services.auth.token_reader import TokenReader, TokenRefused, TokenRules

SECRET = "a-secret-of-the-gateway-of-32-bytes-or-more"
OLD = "the-secret-before-that-one-of-32-bytes-too"
NOW = 1_800_000_000.0
DAY_S = 86_400


def raw_token(payload: bytes, secret: str = SECRET, header: dict[str, Any] | None = None) -> str:
    """A token of any payload, signed rightly."""

    def part(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    head = part(json.dumps({"alg": "HS256", "typ": "JWT"} if header is None else header).encode())
    signed = head + b"." + part(payload)
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + part(digest)).decode()


def token(secret: str = SECRET, **claims: Any) -> str:
    whole = {"sub": "ann", "role": "agent", "sessions": [12], "iat": NOW - 10, "exp": NOW + 60, **claims}
    return raw_token(json.dumps({k: v for k, v in whole.items() if v is not None}).encode(), secret)


def reader(**rules: Any) -> TokenReader:
    keys = rules.pop("keys", None)
    return TokenReader(TokenRules(SECRET, **rules), keys, clock=lambda: NOW)


def test_a_token_says_who_it_is_and_what_it_stands_on() -> None:
    principal = reader().read(token(jti="j1"))

    assert (principal.sub, principal.role, principal.sessions) == ("ann", Role.AGENT, frozenset({12}))
    (ground,) = principal.grounds
    assert (ground.sub, ground.jti, ground.issued_at) == ("ann", "j1", NOW - 10)


ODD: dict[str, Sequence[Any]] = {
    "exp": ["soon", "1", [], {}, True, -1, 1e300, 10**400, 10**15],
    "iat": ["then", [], {}, False, 1e300, 10**400, -5, NOW + 60],
    "nbf": ["then", [], {}, True, 10**400, NOW + 60],
    "sub": [[], {}, 1.5, True, "x" * 201, 10**400],
    "name": [[], {}, 1.5, False, "x" * 201],
    "jti": [[], {}, 1.5, True, "x" * 201],
    "role": ["owner", "", 3, True, [], {}, "x" * 100_000],
    "sessions": [
        "12",
        12,
        {},
        True,
        [1.5],
        [True],
        [None],
        ["x"],
        [[]],
        [-1],
        [2**63],
        ["1" * 5000],
        [10**400],
    ],
    "grounds": ["x", [1], [[]], [["a", "b", "c"]], [["a", None, None]] * 9],
    "aud": ["elsewhere", ["elsewhere"], {}, 5],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in ODD.items() for value in values]
)
def test_a_claim_of_an_odd_kind_is_refused(name: str, value: Any) -> None:
    with pytest.raises(TokenRefused):
        reader().read(token(**{name: value}))


@pytest.mark.parametrize(
    "payload",
    [b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff\xfe", b"[" * 200_000, b'{"exp":NaN}', b'{"exp":Infinity}',
     b'{"exp":-Infinity,"role":"agent"}', b'{"exp":' + b"9" * 6000 + b"}", b'{"a":' * 3000 + b"1" + b"}" * 3000],
    ids=range(13),
)  # fmt: skip
def test_a_payload_that_is_none_is_refused(payload: bytes) -> None:
    with pytest.raises(TokenRefused):
        reader().read(raw_token(payload))


@pytest.mark.parametrize(
    "header",
    [{"alg": None}, {"alg": 5}, {"alg": ["HS256"]}, {}, {"alg": "HS256", "kid": 5}, {"alg": "HS256", "crit": ["x"]},
     {"alg": "HS256", "kid": "k" * 501}, {"alg": "none"}, {"alg": "HS512"}, {"alg": "RS256"}],
    ids=range(10),
)  # fmt: skip
def test_a_header_of_an_odd_kind_is_refused(header: dict[str, Any]) -> None:
    payload = json.dumps({"role": "admin", "exp": NOW + 60, "sessions": "*"}).encode()
    with pytest.raises(TokenRefused):
        reader().read(raw_token(payload, header=header))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
CLAIMS = st.dictionaries(
    st.sampled_from(["exp", "iat", "nbf", "sub", "name", "role", "sessions", "jti", "grounds", "aud", "login",
                     "app_metadata", "gateway_role", "gateway_sessions"]),
    JSON | st.just(NOW + 60) | st.just("admin") | st.just("*"),
)  # fmt: skip


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(CLAIMS)
def test_no_claims_at_all_are_anything_but_a_principal_or_a_refusal(claims: dict[str, Any]) -> None:
    made = raw_token(json.dumps(claims).encode())
    keys = SupabaseKeys(SECRET, OLD, clock=lambda: NOW)
    login = Login(SECRET, None, clock=lambda: NOW)  # type: ignore[arg-type]
    for read, refusal in (
        (reader().read, TokenRefused),
        (login.verify, Unauthenticated),
        (keys.verify, KeyRefused),
    ):
        try:
            assert isinstance(read(made), Principal)
        except refusal:
            pass
    try:
        keys.verify(raw_token(json.dumps(claims).encode(), OLD))
    except KeyRefused:
        pass


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "é.é.é", "\udcff", "x" * 200_000, "a" * 40 + ".." + "b"]
)
def test_a_text_that_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(TokenRefused):
        reader().read(text)


# ------------------------------------------------------------------------------------------ times and secrets


def test_a_token_of_more_than_ninety_days_is_refused_with_the_reason() -> None:
    assert reader().read(token(exp=NOW + 90 * DAY_S))
    with pytest.raises(TokenRefused, match="90 days"):
        reader().read(token(exp=NOW + 91 * DAY_S))


def test_a_token_of_the_secret_before_counts_while_that_is_given() -> None:
    assert reader(previous=OLD).read(token(OLD)).sub == "ann"
    with pytest.raises(TokenRefused):
        reader().read(token(OLD))


def test_a_clock_that_is_a_little_ahead_does_no_harm() -> None:
    assert reader().read(token(iat=NOW + 3, nbf=NOW + 3))


def test_a_name_writes_no_line_of_its_own() -> None:
    principal = reader().read(token(sub="ann\nINFO all is well", name="\x1b[31mred\u2028\u202eback"))

    assert principal.sub == "ann\\nINFO all is well"
    assert principal.name == "\\x1b[31mred\\u2028\\u202eback"


# ------------------------------------------------------------------------------------------ identity provider

RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PRIVATE: dict[str, Any] = {"RS256": RSA, "ES256": EC, "EdDSA": ED}


class Keys:
    """A provider with one key for each algorithm."""

    withdrawn = False

    def find(self, kid: str | None, algorithm: str) -> Sequence[Any]:
        if self.withdrawn or kid not in (None, algorithm):
            return []
        return [PRIVATE[algorithm].public_key()]

    async def look(self, kid: str | None, algorithm: str) -> None: ...


def provided(algorithm: str = "ES256", kid: str | None = None, **claims: Any) -> str:
    whole = {"sub": "u-1", "exp": int(NOW + 60), "iss": "https://id.shop", "aud": "gateway", **claims}
    present = {key: value for key, value in whole.items() if value is not None}
    return jwt.encode(present, PRIVATE[algorithm], algorithm, headers={"kid": kid} if kid else None)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
@pytest.mark.parametrize("place", ["top", "app_metadata"])
def test_a_providers_token_may_do_what_it_says_of_the_gateway(algorithm: str, place: str) -> None:
    said = {"gateway_role": "agent", "gateway_sessions": [7]}
    claims = said if place == "top" else {"app_metadata": said}

    principal = reader(keys=Keys()).read(provided(algorithm, algorithm, **claims))

    assert (principal.role, principal.sessions) == (Role.AGENT, frozenset({7}))


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"role": "admin", "sessions": "*"},
        {"user_metadata": {"gateway_role": "admin", "gateway_sessions": "*"}},
    ],
)
def test_without_that_a_providers_token_reads_nothing(claims: dict[str, Any]) -> None:
    principal = reader(keys=Keys()).read(provided(**claims))

    assert (principal.role, principal.sessions) == (Role.VIEWER, frozenset())


@pytest.mark.parametrize(
    ("rules", "claims", "is_good"),
    [
        ({"issuer": "https://id.shop", "audience": "gateway"}, {}, True),
        ({"audience": "gateway"}, {"aud": ["other", "gateway"]}, True),
        ({"issuer": "https://id.shop"}, {"iss": "https://id.evil"}, False),
        ({"issuer": "https://id.shop"}, {"iss": None}, False),
        ({"audience": "gateway"}, {"aud": "other"}, False),
        ({"audience": "gateway"}, {"aud": None}, False),
        ({"audience": "gateway"}, {"aud": {"gateway": 1}}, False),
    ],
)
def test_issuer_and_audience_must_be_the_ones_that_were_set(
    rules: dict[str, str], claims: dict[str, Any], is_good: bool
) -> None:
    made, look = (
        provided(**claims) if claims.get("aud") != {"gateway": 1} else None,
        reader(keys=Keys(), **rules),
    )
    if made is None:
        return  # PyJWT makes no such token, and reads none
    if is_good:
        assert look.read(made).sub == "u-1"
    else:
        with pytest.raises(TokenRefused):
            look.read(made)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_never_a_secret(algorithm: str) -> None:
    public = PRIVATE[algorithm].public_key()
    for encoding, kind in (
        (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
    ):
        secret = public.public_bytes(encoding, kind).decode("latin-1")
        for kid in (None, algorithm):
            header = {"alg": "HS256", **({"kid": kid} if kid else {})}
            forged = raw_token(
                json.dumps({"role": "admin", "sessions": "*", "exp": NOW + 60}).encode(), secret, header
            )
            with pytest.raises(TokenRefused):
                reader(keys=Keys()).read(forged)


def test_a_provider_cannot_give_out_the_numbers_of_our_people() -> None:
    assert reader(keys=Keys()).read(provided(sub="user:1")).sub == "provider:user:1"


def test_a_token_of_an_unknown_key_is_refused() -> None:
    with pytest.raises(TokenRefused):
        reader(keys=Keys()).read(provided("ES256", "another"))
    with pytest.raises(TokenRefused):
        reader().read(provided("ES256"))


def test_issued_tokens_live_ninety_days_at_the_most() -> None:
    login = Login(SECRET, None, clock=time.time)  # type: ignore[arg-type]
    _, expires_at = login.issue(Principal("a", "a", Role.VIEWER, None), 400 * DAY_S)
    assert expires_at <= time.time() + 90 * DAY_S


class Clock:
    """A clock that stands until it is moved."""

    now = NOW

    def __call__(self) -> float:
        return self.now


def test_a_token_that_was_read_before_is_not_verified_again(monkeypatch: pytest.MonkeyPatch) -> None:
    known = reader()
    given_token = token()
    first = known.read(given_token)
    monkeypatch.setattr(jwt, "decode", None)

    assert known.read(given_token) is first


def test_a_known_token_expires_in_its_second() -> None:
    clock = Clock()
    known = TokenReader(TokenRules(SECRET), clock=clock)
    given_token = token(exp=NOW + 60)
    known.read(given_token)

    clock.now = NOW + 59.9
    known.read(given_token)
    clock.now = NOW + 60
    with pytest.raises(TokenRefused, match="expired"):
        known.read(given_token)


def test_a_key_that_the_provider_withdraws_opens_nothing_after_a_minute() -> None:
    clock = Clock()
    keys = Keys()
    known = TokenReader(TokenRules(SECRET), keys, clock=clock)
    given_token = provided(exp=NOW + 3600, aud=None)
    known.read(given_token)
    keys.withdrawn = True

    clock.now = NOW + 61
    with pytest.raises(TokenRefused, match="not known"):
        known.read(given_token)


def test_a_token_that_differs_in_one_letter_is_another_one() -> None:
    known = reader()
    given_token = token()
    known.read(given_token)
    head, _, signature = given_token.rpartition(".")
    forged = f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"

    with pytest.raises(TokenRefused):
        known.read(forged)


def test_only_so_many_tokens_are_known_at_a_time() -> None:
    known = KnownTokens(lambda: NOW, most=3)
    tokens = [token(jti=f"j{number}") for number in range(5)]
    for item in tokens:
        known.keep(item, reader().read(item), 60)

    assert [known.find(item) is not None for item in tokens] == [False, False, True, True, True]
