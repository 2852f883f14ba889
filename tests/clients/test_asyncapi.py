"""The official AsyncAPI parser accepts `/asyncapi.json`."""

import asyncio
import json
from typing import Any

from gateway.http.api import openapi
from gateway.realtime.native import asyncapi
from tests.clients.conftest import HERE, PATIENCE_S, require_node_modules

DOCUMENT = asyncapi.document(openapi.schemas(), "cookie")


async def verdict(document: dict[str, Any]) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        require_node_modules("@asyncapi/parser"),
        "asyncapi.mjs",
        cwd=HERE,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_S):
        said, _ = await process.communicate(json.dumps(document).encode())
    found: dict[str, Any] = json.loads(said)
    return found


async def test_the_official_parser_has_no_complaints() -> None:
    assert await verdict(DOCUMENT) == {
        "version": "3.0.0",
        "channels": ["/ws", "/realtime/v1/websocket"],
        "complaints": [],
    }


async def test_and_it_would_have_some() -> None:
    message = {"payload": {"$ref": "#/components/schemas/NotThere"}}
    broken = {**DOCUMENT, "components": {**DOCUMENT["components"], "messages": {"ping": message}}}

    assert (await verdict(broken))["complaints"]
