"""The seam that another engine would take over stays as narrow as docs/scaling.md says."""

import ast
import re

from gateway.services.live import tail_source
from tests.house.reading import CHECKOUT, address, files

SEAM = "gateway.services.live.tail_source"
TAIL = "gateway.postgres.streams"


def importers_of(module: str, *names: str) -> set[str]:
    """Files that import one of the names from the module, or anything where none is named."""
    found = set()
    for path in files("gateway", ".py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == module:
                taken = {each.name for each in node.names}
                if not names or taken & set(names):
                    found.add(address(path))
    return found


def methods_of(protocol: type) -> set[str]:
    return {name for name in vars(protocol) if not name.startswith("_")}


def test_the_feed_and_what_catches_clients_up_are_the_only_users_of_the_tail() -> None:
    assert importers_of(SEAM, "Streams") == {"gateway/services/live/feed.py"}
    assert importers_of(SEAM, "StreamReader") == {
        "gateway/realtime/context.py",
        "gateway/realtime/hub/catch_up_reads.py",
        "gateway/realtime/hub/follower.py",
        "gateway/realtime/native/connection.py",
        "gateway/realtime/supabase/connection.py",
    }


def test_one_place_puts_announcements_together_with_the_feed() -> None:
    assert importers_of(SEAM, "Announcements") == {"gateway/runtime/live.py"}


def test_one_place_says_that_the_tail_is_in_postgres() -> None:
    """Beside it only retention knows the class: it forgets old events there."""
    assert importers_of(TAIL, "StreamStore") == {
        "gateway/runtime/repositories.py",
        "gateway/postgres/retention.py",
    }


def test_no_statement_reads_the_table_of_events_but_those_of_the_tail_and_those_listed() -> None:
    named = {
        address(path)
        for path in files("gateway", ".py")
        if re.search(r"(FROM|JOIN|INTO|UPDATE) gateway\.stream\b", path.read_text("utf-8"))
    }
    assert named == LISTED | {"gateway/postgres/streams.py"}


LISTED = {
    "gateway/postgres/inbox/conversation_statements.py",
}
"""They follow the streams in the transaction that they write in, so they stay with Postgres whatever announces."""


def test_an_engine_has_to_bring_so_much_and_no_more() -> None:
    assert methods_of(tail_source.StreamReader) == {"extents", "ensure", "moved_since", "read_after"}
    assert methods_of(tail_source.Streams) == {"read_unread", "check_history", "begin_anew"}
    assert methods_of(tail_source.Announcements) == {"open", "run", "close", "is_cut_off"}


def test_the_page_about_scaling_names_the_seam() -> None:
    page = (CHECKOUT / "docs" / "scaling.md").read_text("utf-8")
    assert "gateway/services/live/tail_source.py" in page
    for name in ("Streams", "Announcements"):
        assert f"`{name}`" in page
