"""Tokens of the shop's own identity provider, through a real key set, at every way in."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import pytest_asyncio
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for
from tests.realtime.phoenix import ALL_INCOMING, phoenix

KEY = ec.generate_private_key(ec.SECP256R1())


@pytest_asyncio.fixture
async def provided(database: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A gateway with an identity provider beside it."""
    public: dict[str, Any] = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key()))

    async def serve(request: web.Request) -> web.Response:
        return web.json_response({"keys": [{**public, "kid": "one"}]})

    app = web.Application()
    app.router.add_get("/jwks", serve)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    settings = settings_for(
        database, tmp_path, jwks_url=url, jwt_issuer="https://id.shop", jwt_audience="gateway"
    )
    async with running(settings) as gateway:
        yield gateway
    await runner.cleanup()


def minted(**claims: Any) -> str:
    whole = {
        "sub": "u-1",
        "iss": "https://id.shop",
        "aud": "gateway",
        "exp": int(time.time()) + 600,
        **claims,
    }
    return jwt.encode(whole, KEY, "ES256", headers={"kid": "one"})


async def test_a_providers_token_opens_rest_and_both_sockets_for_what_it_names(provided: Running) -> None:
    token = minted(gateway_role="agent", app_metadata={"gateway_sessions": [12]})

    me = await provided.data("GET", "/api/me", token=token)
    assert (me["sub"], me["role"], me["sessions"]) == ("u-1", "agent", [12])
    async with provided.socket(token) as socket:
        await socket.subscribe("inbox:12")
        await socket.send(type="subscribe", ref="13", topic="inbox:13")
        assert (await socket.next("error"))["code"] == "forbidden"
    async with phoenix(provided, token) as client:
        assert (await client.join("shop", ALL_INCOMING))["status"] == "ok"
        assert (await client.system())["status"] == "ok"


async def test_without_its_own_claims_it_reads_nothing(provided: Running) -> None:
    token = minted(
        role="admin", sessions="*", user_metadata={"gateway_role": "admin", "gateway_sessions": "*"}
    )

    assert await provided.data("GET", "/api/whatsapp-sessions", token=token) == []
    assert (await provided.call("GET", "/api/people", token=token))[0] == 403


@pytest.mark.parametrize("claims", [{"iss": "https://id.evil"}, {"aud": "other"}, {"exp": 1}])
async def test_a_token_for_somebody_else_opens_nothing(provided: Running, claims: dict[str, Any]) -> None:
    assert (await provided.call("GET", "/api/me", token=minted(**claims)))[0] == 401


async def test_a_providers_token_is_revoked_by_its_sub(provided: Running) -> None:
    token = minted(gateway_role="viewer", gateway_sessions="*", iat=int(time.time()) - 1)
    table = provided.gateway.repositories.people
    await table.revoke(sub="u-1")
    await provided.gateway.access.revocations.open()
    assert (await provided.call("GET", "/api/me", token=token))[0] == 401
