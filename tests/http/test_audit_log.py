"""The audit trail: who did what, page by page, with upstream's own log, and as a table for a spreadsheet."""

import csv
import io
from datetime import datetime

from gateway.domain.access import Role
from tests.launcher.running import Running

NAME = "=HYPERLINK(1)"


async def made(gateway: Running) -> str:
    session = await gateway.data(
        "POST", "/api/whatsapp-sessions", {"name": NAME, "phone_number": "+15550001111"}
    )
    return f"/api/whatsapp-sessions/{session['id']}"


async def test_the_trail_says_who_did_what_newest_first_and_page_by_page(gateway: Running) -> None:
    path = await made(gateway)
    await gateway.data("PUT", path, {"log_messages": False})
    await gateway.data("POST", f"{path}/disconnect")

    _, whole = await gateway.call("GET", f"{path}/logs")
    assert [row["event_type"] for row in whole["data"]] == [
        "disconnected",
        "session_updated",
        "session_created",
    ]
    assert {row["actor"] for row in whole["data"]} == {"Tester"}
    assert whole["next_cursor"] is None

    seen, cursor = [], ""
    while cursor is not None:
        _, page = await gateway.call("GET", f"{path}/logs?limit=1" + (f"&cursor={cursor}" if cursor else ""))
        seen += page["data"]
        cursor = page["next_cursor"]
    assert seen == whole["data"]

    _, chosen = await gateway.call("GET", f"{path}/logs?event_type=disconnected")
    assert [row["event_type"] for row in chosen["data"]] == ["disconnected"]


async def test_upstreams_own_log_is_merged_in_on_request(gateway: Running) -> None:
    path = await made(gateway)
    number = path.rpartition("/")[2]
    async with gateway.socket() as socket:
        await socket.subscribe(f"session:{number}")
        await gateway.data("POST", f"{path}/connect")
        await socket.state("session.qr")
        await gateway.data("POST", f"/_simulator/sessions/{number}/scan", token="")
        await socket.state("session.link_ended")

    rows = await gateway.data("GET", f"{path}/logs?upstream=1")
    times = [datetime.fromisoformat(row["created_at"]) for row in rows]
    assert {row["source"] for row in rows} == {"gateway", "upstream"}
    assert times == sorted(times, reverse=True)
    assert {row["source"] for row in await gateway.data("GET", f"{path}/logs")} == {"gateway"}


async def test_the_trail_as_csv_runs_no_formula_in_a_spreadsheet(gateway: Running) -> None:
    path = await made(gateway)
    await gateway.data("DELETE", path)
    status, text = await gateway.call("GET", f"{path}/logs?format=csv")
    rows = list(csv.DictReader(io.StringIO(text)))

    assert status == 200
    assert [row["event_type"] for row in rows] == ["session_deleted"]
    assert rows[0]["actor"] == "Tester"
    assert not any(value.startswith("=") for row in rows for value in row.values())


async def test_a_trail_is_only_for_those_whose_session_it_is(gateway: Running) -> None:
    path = await made(gateway)
    stranger = gateway.token(Role.ADMIN, sessions={999})
    assert (await gateway.call("GET", f"{path}/logs", token=stranger))[0] == 403


async def test_a_cursor_that_was_not_given_out_is_refused_in_one_sentence(gateway: Running) -> None:
    path = await made(gateway)
    for cursor in ("x", "WzFd", "WyJhIiwiYiJd"):
        status, reply = await gateway.call("GET", f"{path}/logs?cursor={cursor}")
        assert (status, reply["code"]) == (422, "invalid")
