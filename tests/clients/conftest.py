"""Other people's clients, each in a process of its own, told call by call what to do."""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
NODE = shutil.which("node")
PATIENCE_S = 30.0


class SdkError(Exception):
    """What the SDK threw."""

    def __init__(self, facts: dict[str, Any]) -> None:
        super().__init__(facts.get("message"))
        self.facts = facts
        self.status: int | None = facts.get("statusCode")


class Sdk:
    """The npm package `wasenderapi` under node."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def call(self, name: str, *arguments: Any) -> Any:
        """What the SDK's method of this name returned. Raises SdkError with what it threw."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"call": name, "args": arguments}).encode() + b"\n")
        async with asyncio.timeout(PATIENCE_S):
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        assert line, f"node ended during {name}"
        said = json.loads(line)
        if "error" in said:
            raise SdkError(said["error"])
        return said["result"]

    async def data(self, name: str, *arguments: Any) -> Any:
        """`data` of what the method returned."""
        response = await self.call(name, *arguments)
        assert response["success"] is True, response
        return response["data"]


def require_node_modules(package: str = "wasenderapi") -> str:
    """Where node is; skips the test, naming what is missing, if it or the packages are not there."""
    if NODE is None:
        pytest.skip("node is missing: install the package `nodejs`")
    if not (HERE / "node_modules" / package).is_dir():
        pytest.skip(f"the npm package `{package}` is missing: run `npm ci` in tests/clients")
    return NODE


@contextlib.asynccontextmanager
async def wasenderapi_sdk(module: str, base_url: str, token: str) -> AsyncIterator[Sdk]:
    """The SDK, imported by this name, with this base URL and token."""
    process = await asyncio.create_subprocess_exec(
        require_node_modules(),
        "wasenderapi_sdk.mjs",
        module,
        base_url,
        cwd=HERE,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "WASENDER_PERSONAL_ACCESS_TOKEN": token,
            "WASENDER_API_KEY": token,
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        yield Sdk(process)
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(PATIENCE_S):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
