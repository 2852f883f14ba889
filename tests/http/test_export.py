"""A conversation as a file: whole, streamed, and safe to open in a spreadsheet."""

import csv
import io
import json
import tracemalloc
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.actions import export as actions
from gateway.domain.access import Role
from gateway.domain.errors import ConfigError, NotFound
from gateway.services.export.export import Export, safe_cell
from gateway.services.inbox import ThreadPage, ThreadQuery
from tests.http.support import Shop, received, sent
from tests.unit.wasender import payload_parts as parts

ANN = parts.ANN
EVIL = '=HYPERLINK("http://evil","x")'


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


async def export(shop: Shop, form: str) -> tuple[dict[str, str], bytes]:
    headers = {"Authorization": f"Bearer {shop.gateway.token()}"}
    url = f"{shop.gateway.url}/api/conversations/{ANN}/export?session=12&format={form}"
    async with shop.http.get(url, headers=headers) as reply:
        assert reply.status == 200, await reply.text()
        return dict(reply.headers), await reply.read()


async def talk(shop: Shop) -> None:
    for number in range(5):
        at: Any = {"messageTimestamp": parts.SENT_S + number}
        make = sent if number % 2 else received
        await shop.take(make(EVIL if number == 4 else f"say {number}", key_id=f"k{number}", **at))


async def test_json_lines_hold_every_message_in_the_order_of_the_thread(shop: Shop) -> None:
    await talk(shop)
    headers, body = await export(shop, "jsonl")
    rows = [json.loads(line) for line in body.splitlines()]
    page = await shop.gateway.data("GET", f"/api/conversations/{ANN}/messages?session=12")
    assert rows == page["messages"]
    assert headers["Content-Disposition"] == f'attachment; filename="conversation-12-{ANN}.jsonl"'
    assert "raw_data" not in rows[0]


async def test_no_cell_of_the_csv_is_a_formula(shop: Shop) -> None:
    await talk(shop)
    _, body = await export(shop, "csv")
    rows = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig"))))
    assert [row["text"] for row in rows] == ["say 0", "say 1", "say 2", "say 3", "'" + EVIL]
    assert [row["direction"] for row in rows] == ["in", "out", "in", "out", "in"]
    assert all(not cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\uff1d1"])
def test_what_a_spreadsheet_would_reckon_is_text(text: str) -> None:
    assert safe_cell(text) == "'" + text


async def test_the_zip_holds_both_and_the_files(shop: Shop) -> None:
    await talk(shop)
    picture = bytes(range(256)) * 40

    async def pieces(media_id: str) -> AsyncIterator[bytes] | None:
        async def parts_of() -> AsyncIterator[bytes]:
            yield picture[:5000]
            yield picture[5000:]

        return parts_of() if media_id == "one" else None

    files = type("Files", (), {"pieces": staticmethod(pieces)})()

    class Thread:
        async def messages(self, query: ThreadQuery) -> ThreadPage:
            media = {"id": "one", "state": "stored", "name": "../../evil name.JPG", "mime": "image/jpeg"}
            common = {"at": "2026-01-01T00:00:00Z", "direction": "in", "from_phone": ANN}
            items: list[dict[str, Any]] = [
                {"ref": "in:1", **common, "media": media},
                {"ref": "in:2", **common, "media": {**media, "id": "gone"}},
                {"ref": "in:3", **common, "media": {**media, "state": "lost"}},
            ]
            return ThreadPage(items, None, None, {})

    exported = Export(Thread(), files)  # type: ignore[arg-type]
    body = b"".join([piece async for piece in exported.stream(12, parts.ANN_JID, "zip")])
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["messages.jsonl", "messages.csv", "media/in-1.jpg"]
        assert archive.read("media/in-1.jpg") == picture
    _, body = await export(shop, "zip")
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert archive.read("messages.jsonl") == (await export(shop, "jsonl"))[1]
        assert archive.read("messages.csv") == (await export(shop, "csv"))[1]


@pytest.mark.parametrize("form", ["jsonl", "csv", "zip"])
async def test_memory_does_not_grow_with_the_conversation(form: Any) -> None:
    """A thousand pages of two hundred messages: what is held at once is a page or two."""
    pages = 1000

    class Thread:
        def __init__(self) -> None:
            self.asked = 0

        async def messages(self, query: ThreadQuery) -> ThreadPage:
            self.asked += 1
            number = self.asked % pages
            item = {
                "at": "2026-01-01T00:00:00Z",
                "direction": "in",
                "message_text": "x" * 200,
                "from_phone": ANN,
            }
            items = [{"ref": f"in:{number}-{place}", **item} for place in range(20)]
            return ThreadPage(items, None, ("a", "b", "in", "c") if number else None, {})

    total = 0
    tracemalloc.start()
    try:
        async for piece in Export(Thread(), None).stream(12, parts.ANN_JID, form):  # type: ignore[arg-type]
            total += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
    assert total > (100_000 if form == "zip" else 4_000_000)


async def test_only_an_admin_exports_and_it_is_written_down(shop: Shop) -> None:
    await talk(shop)
    url = f"/api/conversations/{ANN}/export?session=12"
    assert (await shop.gateway.call("GET", url, token=shop.gateway.token(Role.AGENT)))[0] == 403
    assert (await shop.gateway.call("GET", url + "&format=exe"))[0] == 422
    assert (await shop.gateway.call("GET", "/api/conversations/4900/export?session=12"))[0] == 404
    await export(shop, "csv")
    logs = await shop.gateway.data("GET", "/api/whatsapp-sessions/12/logs?event_type=conversation_exported")
    (row,) = logs["logs"] if isinstance(logs, dict) else logs
    assert (row["metadata"]["sub"], row["metadata"]["format"]) == ("tester", "csv")


async def test_the_command_writes_the_same_file(shop: Shop, tmp_path: Path) -> None:
    await talk(shop)
    settings = shop.gateway.gateway.settings
    await actions.export(settings, 12, "+" + ANN, "csv", tmp_path / "ann.csv")
    assert (tmp_path / "ann.csv").read_bytes() == (await export(shop, "csv"))[1]
    with pytest.raises(NotFound):
        await actions.export(settings, 12, "4900", "csv", tmp_path / "none.csv")
    with pytest.raises(ConfigError):
        await actions.export(settings, 12, ANN, "csv", tmp_path / "no" / "folder.csv")
