"""The examples of the documentation do what they say, also when a message is changed or deleted."""

import asyncio
import json
import os
import posixpath
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, get_args, get_type_hints

import asyncpg
import pytest_asyncio

from gateway.postgres.connection.pool import connect_direct
from gateway.realtime.native.frames import SERVER_FRAMES
from tests.clients.conftest import HERE, require_node_modules
from tests.clients.examples import RECEIVERS, example, examples
from tests.launcher.running import DEADLINE_S, Running, Socket
from tests.postgres.writers import insert_message

SITE = "https://gateway.example.com"
INCOMING = "whatsapp_incoming_messages"

RUN = {
    ("README.md", "js", "ui/client.js"),
    ("README.md", "js", "postgres_changes"),
    ("docs/clients.md", "html", "ui/client.js"),  # in tests/browser/test_client.py
    ("docs/clients.md", "python", "client.inbox"),
    ("docs/protocol.md", "python", "websockets.connect"),
    ("docs/protocol.md", "", '"type":"subscribe"'),
    ("docs/protocol.md", "", '"type":"welcome"'),
    ("docs/webhooks-out.md", "", "gateway targets add"),  # in tests/processes/test_targets_command.py
    *(  # in test_receivers.py
        ("docs/webhooks-out.md", language, word) for language, words in RECEIVERS.items() for word in words
    ),
}
"""Page, language and a word of every example that some test runs."""


@pytest_asyncio.fixture
async def writer(database: str) -> AsyncIterator[asyncpg.Connection]:
    """The shop, which writes to the same tables."""
    opened = await connect_direct(database)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def started(
    gateway: Running, *command: str, cwd: Path | None = None
) -> AsyncIterator[asyncio.StreamReader]:
    """What a program says that was told the gateway's address and a token."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, "URL": gateway.url, "TOKEN": gateway.token()},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S):
            yield process.stdout
        assert process.returncode is None, "the example has ended"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def in_node(gateway: Running, before: str, snippet: str) -> tuple[str, ...]:
    """The command that runs a snippet behind what it takes for granted."""
    code = f"{before}\n{snippet.replace(SITE, gateway.url)}"
    return (require_node_modules("ws"), "--import", "./websocket.mjs", "--input-type=module", "-e", code)


async def live_and_let_die(writer: asyncpg.Connection) -> AsyncIterator[str]:
    """A message is written, changed and deleted; yields the text after each, for the example to say it."""
    key = await insert_message(writer, 12, message_text="hello from the shop")
    yield "hello from the shop"
    await writer.execute(f"UPDATE {INCOMING} SET message_text = 'hello again' WHERE id = $1", key)
    yield "hello again"
    await writer.execute(f"DELETE FROM {INCOMING} WHERE id = $1", key)
    yield ""


def test_every_example_is_run_somewhere() -> None:
    for item in examples("js", "html", "php", "python", ""):
        known = [word for page, language, word in RUN if (page, language) == item[:2] and word in item.text]
        assert len(known) == 1, f"no test runs this example of {item.page}:\n{item.text}"


async def test_the_python_example_prints_what_arrives(gateway: Running, writer: asyncpg.Connection) -> None:
    async with started(gateway, sys.executable, "-c", example("clients.md", "python")) as says:
        assert (await says.readline()).startswith(b"live at {'0': ")
        lines: list[str] = []
        async for _ in live_and_let_die(writer):
            if not lines:
                # Now with the inbox that has come into being.
                assert (await says.readline()).startswith(b"live at {'0': ")
            lines.append((await says.readline()).decode().rstrip("\n"))

    assert lines == [
        "message.created 12 hello from the shop",
        "message.updated 12 hello again",
        "message.deleted 12 None",
    ]


async def test_the_bare_example_prints_the_frames(gateway: Running, writer: asyncpg.Connection) -> None:
    async with started(gateway, sys.executable, "-c", example("protocol.md", "python")) as says:
        kinds = [json.loads(await says.readline())["type"] for _ in range(2)]
        events: list[str] = []
        async for _ in live_and_let_die(writer):
            if not events:
                assert (
                    json.loads(await says.readline())["type"] == "subscribed"
                )  # the inbox that has come into being
            events.append(json.loads(await says.readline())["event"])

    assert kinds == ["welcome", "subscribed"]
    assert events == ["message.created", "message.updated", "message.deleted"]


@pytest_asyncio.fixture
async def ui(gateway: Running, tmp_path: Path) -> Path:
    """The JavaScript client with all that it imports, as the gateway serves it: node imports from no address."""
    wanted, there = ["client.js"], set()
    while wanted:
        name = wanted.pop()
        if name in there:
            continue
        there.add(name)
        status, text = await gateway.call("GET", f"/ui/{name}")
        assert status == 200, name
        place = tmp_path / "ui" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        for found in re.findall(r'from "(\.[^"]+)"', text):
            wanted.append(posixpath.normpath(posixpath.join(posixpath.dirname(name), found)))
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path / "ui"


async def test_the_readmes_client_shows_what_arrives(
    gateway: Running, writer: asyncpg.Connection, ui: Path
) -> None:
    await insert_message(writer, 12, message_text="before")
    before = """
        const api = async (path, options = {}) => {
          const headers = { Authorization: `Bearer ${process.env.TOKEN}`, "Content-Type": "application/json" };
          return (await fetch(process.env.URL + path, { ...options, headers })).json();
        };
        const ticket = async () =>
          (await api("/api/tickets", { method: "POST", body: JSON.stringify({ for: "ws" }) })).data.ticket;
        const position = (await api("/api/conversations?session=12")).data.position["12"];
        const show = (item) => console.log(JSON.stringify(item));
        const reload = () => console.log(JSON.stringify("reload"));
        console.log(JSON.stringify(position));
    """
    snippet = example("README.md", "js", "ui/client.js")
    assert f"{SITE}/ui/client.js" in snippet
    snippet = snippet.replace(f"{SITE}/ui/client.js", (ui / "client.js").as_uri())
    async with started(gateway, *in_node(gateway, before, snippet), cwd=HERE) as says:
        assert json.loads(await says.readline())["off"] == 1
        said = []
        async for _ in live_and_let_die(writer):
            said.append(json.loads(await says.readline()))

    assert [(item["event"], item["inbox"]) for item in said] == [
        ("message.created", "12"), ("message.updated", "12"), ("message.deleted", "12"),
    ]  # fmt: skip
    assert [item["data"].get("message_text") for item in said] == ["hello from the shop", "hello again", None]


async def test_the_readmes_supabase_page_reloads_and_shows(
    gateway: Running, writer: asyncpg.Connection
) -> None:
    require_node_modules("@supabase/supabase-js")
    before = """
        import { createClient } from "@supabase/supabase-js";
        const [SUPABASE_URL, SUPABASE_KEY] = ["https://project.supabase.co", "anon"];
        const GATEWAY_TOKEN = process.env.TOKEN;
        const show = (change) => console.log(JSON.stringify(change));
        const reload = () => console.log(JSON.stringify("reload"));
    """
    snippet = example("README.md", "js", "postgres_changes")
    async with started(gateway, *in_node(gateway, before, snippet), cwd=HERE) as says:
        assert json.loads(await says.readline()) == "reload"
        said: list[dict[str, Any]] = []
        async for _ in live_and_let_die(writer):
            said.append(json.loads(await says.readline()))

    assert [item["eventType"] for item in said] == ["INSERT", "UPDATE", "DELETE"]
    assert [item["new"].get("message_text") for item in said] == ["hello from the shop", "hello again", None]
    assert said[2]["old"] == {"id": said[0]["new"]["id"]}


def objects(line: str) -> list[dict[str, Any]]:
    """The JSON objects of a line, which may have words behind them."""
    found, start = [], line.find("{")
    while start >= 0:
        item, size = json.JSONDecoder().raw_decode(line[start:].replace("[…]", "[]").replace("{…}", "{}"))
        found.append(item)
        rest = line[start:].replace("[…]", "[]").replace("{…}", "{}")[size:]
        line, start = rest, rest.find("{")
    return found


async def answer(socket: Socket, frame: dict[str, Any]) -> dict[str, Any]:
    """What a frame brings about: the answer to it, or what all who follow the inbox are told."""
    await socket.send(**frame)
    while True:
        said = await socket.receive()
        if "ref" in frame and said.get("ref") == frame["ref"]:
            return said
        if "ref" not in frame and said["type"] == "error":
            return said
        if frame["type"] == said["type"] == "presence" and said["who"]:
            assert (said["topic"], said["chat"]) == (frame["topic"], frame["chat"])
            assert said["who"] == [{"sub": "tester", "name": "Tester", "doing": frame["doing"]}]
            return said


async def test_the_frames_of_a_client_are_understood(gateway: Running, writer: asyncpg.Connection) -> None:
    for _ in range(190):
        await insert_message(writer, 12)
    epoch = await writer.fetchval("SELECT epoch::text FROM gateway.inboxes WHERE inbox = 12")
    text = example("protocol.md", "", '"type":"subscribe"')
    frames = [item for line in text.splitlines() for item in objects(line)]
    answers = {}
    async with gateway.socket() as socket:
        for frame in frames:
            whole = json.dumps(frame, ensure_ascii=False)
            meant = {"epoch": epoch, "token": gateway.token(), "chat": "255711000111@s.whatsapp.net"}
            for field, value in meant.items():
                whole = whole.replace(f'"{field}": "…"', f'"{field}": "{value}"')
            said = await answer(socket, json.loads(whole))
            answers[frame["type"]] = said["type"]

    assert len(frames) >= 6
    assert answers == {
        "subscribe": "subscribed", "unsubscribe": "unsubscribed", "ping": "pong", "auth": "authenticated",
        "presence": "presence",
    }  # fmt: skip


def test_the_frames_of_the_server_are_those_that_it_sends() -> None:
    text = example("protocol.md", "", '"type":"welcome"')
    frames = [item for line in text.splitlines() for item in objects(line)]
    known: dict[str, set[str]] = {}
    for shape in SERVER_FRAMES:
        hints = get_type_hints(shape)
        (kind,) = get_args(hints["type"])
        known.setdefault(kind, set()).update(hints)

    assert {frame["type"] for frame in frames} == set(known)
    for frame in frames:
        assert frame.keys() <= known[frame["type"]], frame
