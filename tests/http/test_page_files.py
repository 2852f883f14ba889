"""The page's files: joined and compressed at start, kept for ever by browsers, and never the wrong ones."""

import gzip
import shutil
from pathlib import Path

import brotli
import pytest

from gateway.http.page_files import PageFiles
from gateway.http.page_modules import CannotJoin, join_modules, join_styles
from gateway.runtime.routes import UI
from tests.launcher.running import Running

BASE = PageFiles(UI).base


async def test_the_page_names_its_files_by_their_version_and_few_of_them(gateway: Running) -> None:
    status, page = await gateway.call("GET", "/")

    assert status == 200
    assert f'src="{BASE}/app.js"' in page
    assert page.count("<script") == page.count('rel="stylesheet"') == 1
    assert "{ui}" not in page


async def test_the_inbox_names_what_its_script_asks_for_first_and_other_pages_do_not(
    gateway: Running,
) -> None:
    pages = {path: (await gateway.call("GET", path))[1] for path in ("/", "/people")}

    assert 'crossorigin href="/api/conversations?filter=all&amp;limit=50&amp;position=page"' in pages["/"]
    assert 'rel="preload"' not in pages["/people"]
    assert "{early}" not in pages["/"] + pages["/people"]


async def test_files_of_this_version_are_kept_for_ever_and_those_of_another_not_at_all(
    gateway: Running,
) -> None:
    own = await gateway.headers(f"{BASE}/app.js")
    other = await gateway.headers("/ui/0123456789ab/app.js")
    plain = await gateway.headers("/ui/app.js")

    assert own["Cache-Control"] == "public, max-age=31536000, immutable"
    assert other["Cache-Control"] == "no-store"
    assert plain["Cache-Control"] == "no-cache"
    assert own["ETag"] == other["ETag"] == plain["ETag"]


@pytest.mark.parametrize(
    ("accepted", "encoding"), [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("br;q=0, gzip", "gzip")]
)
async def test_files_come_compressed_as_the_browser_takes_them(
    gateway: Running, accepted: str, encoding: str
) -> None:
    headers = await gateway.headers(f"{BASE}/app.js", **{"Accept-Encoding": accepted})

    assert headers["Content-Encoding"] == encoding
    assert "Accept-Encoding" in headers["Vary"]


async def test_a_file_that_the_browser_has_is_not_sent_again(gateway: Running) -> None:
    tag = (await gateway.headers("/ui/app.css"))["ETag"]

    status, text = await gateway.call("GET", "/ui/app.css", headers={"If-None-Match": tag})

    assert (status, text) == (304, "")


async def test_what_is_not_there_says_so(gateway: Running) -> None:
    for path in ("/ui/none.js", f"{BASE}/none.js", "/ui/../settings.py", "/ui/index.html"):
        status, reply = await gateway.call("GET", path)
        assert status == 404, path
        assert reply["success"] is False or "detail" in reply


async def test_every_entry_is_one_file_that_asks_for_nothing_more(gateway: Running) -> None:
    for name in ("app.js", "embed.js", "login.js", "client.js"):
        text = await body_of(gateway, name, "identity")
        assert b"\nimport " not in text, name
        assert gzip.decompress(await body_of(gateway, name, "gzip")) == text
        assert brotli.decompress(await body_of(gateway, name, "br")) == text
    assert b"@import" not in await body_of(gateway, "app.css", "identity")


async def body_of(gateway: Running, name: str, encoding: str) -> bytes:
    """The bytes of a file as they come over the wire."""
    headers = {"Accept-Encoding": encoding}
    async with gateway.http.get(
        f"{gateway.url}{BASE}/{name}", headers=headers, auto_decompress=False
    ) as reply:
        assert reply.headers.get("Content-Encoding", "identity") == encoding
        return await reply.read()


def test_a_changed_file_is_a_new_version(tmp_path: Path) -> None:
    shutil.copytree(UI, tmp_path / "ui")
    before = PageFiles(tmp_path / "ui").version
    (tmp_path / "ui" / "app.css").write_text("a {}")
    shutil.move(tmp_path / "ui", tmp_path / "other")

    assert PageFiles(tmp_path / "other").version != before


def test_modules_are_joined_in_the_order_they_need_and_keep_their_names_apart() -> None:
    sources = {
        "a/main.js": 'import { one, two as deux } from "../b.js";\nimport * as all from "../b.js";\n'
        "const own = import.meta.url;\nexport const sum = one + deux + all.one;\n",
        "b.js": "/** Numbers. */\nconst own = 1;\nexport const one = own;\nexport function two() {}\n",
    }

    joined = join_modules("a/main.js", sources)

    assert joined.index("return { one: one, two: two };") < joined.index("two: deux")
    assert 'new URL("../", import.meta.url)' in joined
    assert 'new URL("a/main.js", $root).href' in joined
    assert joined.endswith("export const { sum } = $m1;\n")
    assert "Numbers." not in joined


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ({"a.js": 'import "./b.js";\n', "b.js": 'import "./a.js";\n'}, "import each other"),
        ({"a.js": 'import "./none.js";\n'}, "not there"),
        ({"a.js": "export default 1;\n"}, "cannot be joined"),
        ({"a.js": 'import x from "./b.js";\n', "b.js": ""}, "cannot be joined"),
    ],
)
def test_what_cannot_be_joined_is_said_at_start(sources: dict[str, str], said: str) -> None:
    with pytest.raises(CannotJoin, match=said):
        join_modules("a.js", sources)


def test_styles_are_joined_in_the_order_they_are_named() -> None:
    sources = {"app.css": '@import "x/one.css";\nb {}\n', "x/one.css": "a {}\n"}

    assert join_styles("app.css", sources) == "a {}\nb {}\n"


@pytest.mark.parametrize("path", ["/people", "/account"])
async def test_people_and_account_are_the_page_for_those_who_are_logged_in(
    gateway: Running, path: str
) -> None:
    status, page = await gateway.call("GET", path)
    headers = await gateway.headers(path)

    assert status == 200
    assert f'src="{BASE}/app.js"' in page
    assert headers["Cache-Control"] == "no-store"
