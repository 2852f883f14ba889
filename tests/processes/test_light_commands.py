"""Commands load what they need, and no more: a second of imports is what each would cost otherwise."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.launcher.settings import SECRET
from tests.launcher.terminal import PATIENCE_S

# Says on a line of its own which packages there are when the command has ended.
_RUN = """
import sys
from gateway.cli.main import main
try:
    main()
finally:
    print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules}))
"""

_WEB = {"starlette", "uvicorn", "zxingcpp"}
_DRIVERS = {"aiohttp", "asyncpg"}
_THE_REST = {"uvloop", "cryptography", "orjson", "prometheus_client"}


@pytest.mark.parametrize(
    ("command", "code", "unneeded"),
    [
        (["--help"], 0, _WEB | _DRIVERS | _THE_REST | {"pydantic"}),
        (["--version"], 0, _WEB | _DRIVERS | _THE_REST),
        (["serve", "--help"], 0, _WEB | _DRIVERS | _THE_REST),
        (["token"], 0, _WEB | _DRIVERS | {"uvloop", "prometheus_client"}),
        (["migrate"], 2, _WEB | {"aiohttp", "prometheus_client"}),
        (["journal", "list"], 2, _WEB | {"aiohttp"}),
        (["sync"], 2, _WEB),
        (["doctor"], 1, _WEB),
        (["serve", "--workers", "2", "--port", "0"], 2, _WEB | {"aiohttp", "prometheus_client"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
async def test_a_command_loads_nothing_it_does_not_use(
    tmp_path: Path, command: Sequence[str], code: int, unneeded: set[str]
) -> None:
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "DATABASE_"))
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _RUN, *command,
        cwd=tmp_path, env={**environ, "GATEWAY_SECRET": SECRET, "GATEWAY_DATA_DIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_S):
        said = (await process.communicate())[0].decode()

    assert process.returncode == code, said
    loaded = set(said.partition("loaded:")[2].split())
    assert "typer" in loaded
    assert loaded & unneeded == set()
