"""The key set of an identity provider: what is fetched, how often, and which keys count."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any, cast

import jwt
import pytest
import pytest_asyncio
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gateway.domain.errors import ConfigError
from gateway.runtime.access import open_jwks
from gateway.runtime.jwks import LOOK_EVERY_S, Jwks, check_address, read_keys
from gateway.settings import Settings

EC = ec.generate_private_key(ec.SECP256R1())
OTHER_EC = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65537, 2048)
ED = ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, kid: str | None = None, **more: Any) -> dict[str, Any]:
    kinds: dict[type, Any] = {
        rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
        ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
    }
    algorithm = next((kinds[kind] for kind in kinds if isinstance(key, kind)), jwt.algorithms.OKPAlgorithm)
    found: dict[str, Any] = json.loads(algorithm.to_jwk(key.public_key()))
    return {**found, **({"kid": kid} if kid else {}), **more}


class Provider:
    """A server with a key set that a test can change."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.fetched = 0
        self.answer: web.Response | None = None
        self.url = ""

    async def serve(self, request: web.Request) -> web.Response:
        self.fetched += 1
        return self.answer or web.json_response({"keys": self.keys})


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider()
    app = web.Application()
    app.router.add_get("/jwks", made.serve)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    yield made
    await runner.cleanup()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_key_that_is_rotated_in_is_found_and_one_that_is_gone_counts_no_more(
    provider: Provider,
) -> None:
    provider.keys, clock = [jwk(EC, "one")], Clock()
    async with Jwks(provider.url, clock=clock) as keys:
        assert len(keys.find("one", "ES256")) == 1
        provider.keys = [jwk(OTHER_EC, "two")]
        clock.now = LOOK_EVERY_S
        await asyncio.gather(*(keys.look("two", "ES256") for _ in range(20)))

        assert len(keys.find("two", "ES256")) == 1
        assert keys.find("one", "ES256") == []
        assert provider.fetched == 2


async def test_strangers_with_unknown_names_make_one_call_in_half_a_minute(provider: Provider) -> None:
    provider.keys, clock = [jwk(EC, "one")], Clock()
    async with Jwks(provider.url, clock=clock) as keys:
        for number in range(50):
            clock.now += 0.5
            await keys.look(f"unknown{number}", "ES256")
        assert provider.fetched == 1
        clock.now += LOOK_EVERY_S
        await keys.look("unknown", "ES256")
        assert provider.fetched == 2
        await keys.look("one", "ES256")
        assert provider.fetched == 2


@pytest.mark.parametrize(
    "answer",
    [
        web.Response(status=500), web.Response(text="<html>"), web.Response(text="[]"), web.Response(text="{}"),
        web.Response(status=302, headers={"Location": "/jwks"}), web.Response(body=b"x" * 300_000),
    ],
    ids=["500", "html", "list", "no keys", "redirect", "large"],
)  # fmt: skip
async def test_an_answer_that_is_none_leaves_the_keys_that_were_known(
    provider: Provider, answer: web.Response
) -> None:
    provider.keys, clock = [jwk(EC, "one")], Clock()
    async with Jwks(provider.url, clock=clock) as keys:
        provider.answer, clock.now = answer, LOOK_EVERY_S
        await keys.look("two", "ES256")
        assert provider.fetched == 2
        assert len(keys.find("one", "ES256")) == 1


async def test_a_provider_that_is_away_at_the_start_does_not_keep_the_gateway_from_starting() -> None:
    async with Jwks("http://127.0.0.1:9/jwks") as keys:
        assert keys.find(None, "ES256") == []


def test_only_public_keys_of_the_three_algorithms_count_each_for_its_own() -> None:
    small = rsa.generate_private_key(65537, 1024)
    listed: list[Any] = [
        jwk(RSA, "rsa"), jwk(EC, "ec"), jwk(ED, "ed"),
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "secret", "alg": "HS256"},
        {"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA", "kid": "secret"},
        jwk(small, "small"), jwk(ec.generate_private_key(ec.SECP384R1()), "p384"), jwk(RSA, "enc", use="enc"),
        jwk(RSA, "lie", alg="HS256"), jwk(RSA, "ps", alg="PS256"), {"kty": "RSA"},
        {"kty": "EC", "crv": "P-256", "x": 5}, None, 5, [], {},
    ]  # fmt: skip

    found = read_keys(json.dumps({"keys": listed}).encode())

    assert [(item.kid, item.algorithm) for item in found] == [
        ("rsa", "RS256"),
        ("ec", "ES256"),
        ("ed", "EdDSA"),
    ]


@pytest.mark.parametrize(
    "url", ["http://id.shop.example/jwks", "ftp://x/y", "file:///etc/passwd", "https://", "x"]
)
def test_keys_come_by_https_only(url: str) -> None:
    with pytest.raises(ConfigError, match="https"):
        check_address(url)


@pytest.mark.parametrize(
    "url", ["https://id.shop.example/jwks", "http://127.0.0.1:1/x", "http://localhost/x"]
)
def test_on_this_machine_they_may_come_plain(url: str) -> None:
    assert check_address(url) == url


async def test_a_provider_without_issuer_and_audience_is_refused_at_the_start() -> None:
    async with AsyncExitStack() as stack:
        for none in (None, ""):
            settings = cast(
                Settings,
                SimpleNamespace(jwks_url="https://id.shop.example/jwks", jwt_issuer=none, jwt_audience=none),
            )
            with pytest.raises(ConfigError, match="GATEWAY_JWKS_URL needs GATEWAY_JWT_ISSUER"):
                await open_jwks(settings, stack)
