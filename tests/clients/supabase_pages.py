"""Pages of a shop that use Supabase's own clients, each in a process of its own."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.clients.conftest import HERE, PATIENCE_S, require_node_modules

INCOMING = "whatsapp_incoming_messages"
OUTGOING = "whatsapp_outgoing_messages"
SESSIONS = "whatsapp_sessions"
PACKAGES = HERE / "site-packages"

CLIENTS = ["@supabase/supabase-js", "supabase-old", "python"]
IDS = ["newest", "old", "python"]

Line = dict[str, Any]


def everything(table: str = INCOMING, **more: str) -> dict[str, str]:
    return {"event": "*", "schema": "public", "table": table, **more}


def _command(client: str) -> tuple[list[str], dict[str, str]]:
    if client == "python":
        if not (PACKAGES / "realtime").is_dir():
            pytest.skip(
                "Python's `realtime` is missing: run "
                "`pip install --target tests/clients/site-packages -r tests/clients/requirements.txt`"
            )
        return [sys.executable, "supabase_python.py"], {"PYTHONPATH": str(PACKAGES)}
    return [require_node_modules(client), "supabase.mjs", client], {}


@dataclass
class SupabasePage:
    """What it has heard is in `lines`."""

    process: asyncio.subprocess.Process
    lines: list[Line]
    _news: asyncio.Condition

    async def tell(self, **what: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what).encode() + b"\n")
        await self.process.stdin.drain()

    async def subscribe(self, name: str, *bindings: dict[str, str]) -> None:
        """Returns when the client says SUBSCRIBED."""
        await self.tell(listen=name, bindings=list(bindings))
        await self.status("SUBSCRIBED", channel=name)

    async def heard(self, what: str, is_it: Callable[[Line], bool], after: int = 0) -> Line:
        """The first such line after so many."""

        def found() -> Line | None:
            return next((line for line in self.lines[after:] if is_it(line)), None)

        async with self._news:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._news.wait_for(lambda: found() is not None)
            except TimeoutError:
                raise AssertionError(f"never heard: {what}; but {self.lines[-5:]}") from None
        line = found()
        assert line is not None
        return line

    async def status(self, status: str, *, channel: str | None = None, after: int = 0) -> Line:
        return await self.heard(
            status,
            lambda line: line.get("status") == status and channel in (None, line["channel"]),
            after,
        )

    async def system(self, status: str, after: int = 0) -> str:
        """The message of a `system` frame. Python's client shows only good ones; the others are channel errors."""

        def is_it(line: Line) -> bool:
            if line.get("status") == "CHANNEL_ERROR" and status == "error":
                return "extension" in str(line["error"])
            return bool(line.get("system", {}).get("status") == status)

        line = await self.heard(f"system {status}", is_it, after)
        return str(line["system"]["message"] if "system" in line else json.loads(line["error"])["message"])

    async def changes(self, count: int, channel: str | None = None) -> list[Line]:
        """All changes so far, when there are so many."""

        def seen() -> list[Line]:
            return [
                line["change"]
                for line in self.lines
                if "change" in line and channel in (None, line["channel"])
            ]

        await self.heard(f"{count} changes", lambda _: len(seen()) >= count)
        assert len(seen()) == count, seen()
        return seen()

    async def text(self, text: str) -> Line:
        """The change with this text."""
        line = await self.heard(
            f"a message {text!r}",
            lambda line: line.get("change", {}).get("new", {}).get("message_text") == text,
        )
        change: Line = line["change"]
        return change

    async def listen_to_it(self) -> None:
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            async with self._news:
                self.lines.append(json.loads(raw))
                self._news.notify_all()


@contextlib.asynccontextmanager
async def supabase_page(client: str, url: str, key: str, **environment: str) -> AsyncIterator[SupabasePage]:
    command, environ = _command(client)
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=HERE,
        env={
            "PATH": os.environ.get("PATH", os.defpath),
            "SUPABASE_URL": url,
            "SUPABASE_KEY": key,
            **environ,
            **environment,
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # it complains of every refusal
        limit=1 << 20,
    )
    page = SupabasePage(process, [], asyncio.Condition())
    listening = asyncio.create_task(page.listen_to_it(), name="page")
    try:
        yield page
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening
