"""The examples of the documentation do what they say."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest_asyncio

from gateway.postgres.connection.pool import connect_direct
from tests.clients.examples import example
from tests.postgres.writers import insert_message
from tests.running import DEADLINE_S, Running


@pytest_asyncio.fixture
async def writer(database: str) -> AsyncIterator[asyncpg.Connection]:
    """The shop, which writes to the same tables."""
    opened = await connect_direct(database)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def started(gateway: Running, *command: str) -> AsyncIterator[asyncio.StreamReader]:
    """What a program says that was told the gateway's address and a token."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, "URL": gateway.url, "TOKEN": gateway.token()},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield process.stdout
    finally:
        process.kill()
        await process.wait()


async def test_the_python_example_prints_what_arrives(gateway: Running, writer: asyncpg.Connection) -> None:
    async with started(gateway, sys.executable, "-c", example("clients.md", "python")) as says:
        assert (await says.readline()).startswith(b"live at {'0': ")
        await insert_message(writer, 12, message_text="hello from the shop")

        assert (await says.readline()).startswith(
            b"live at {'0': "
        )  # now with the inbox that has come into being
        assert await says.readline() == b"message.created 12 hello from the shop\n"


async def test_the_bare_example_prints_the_frames(gateway: Running, writer: asyncpg.Connection) -> None:
    async with started(gateway, sys.executable, "-c", example("protocol.md", "python")) as says:
        kinds = [json.loads(await says.readline())["type"] for _ in range(2)]
        await insert_message(writer, 12)

        assert kinds == ["welcome", "subscribed"]
        assert json.loads(await says.readline())["type"] == "subscribed"  # the inbox that has come into being
        assert json.loads(await says.readline())["event"] == "message.created"
