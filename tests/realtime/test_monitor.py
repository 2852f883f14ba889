"""Upkeep on the real thing: ghosts are found, stolen webhooks shown and repaired, orphans adopted."""

from pathlib import Path

import asyncpg
import pytest

from gateway.domain.access import Role
from tests.launcher.running import Running, running
from tests.launcher.settings import settings_for

SESSIONS = "/api/whatsapp-sessions"


async def linked(gateway: Running) -> int:
    """A connected session."""
    session = await gateway.data(
        "POST", "/api/whatsapp-sessions", {"name": "Shop", "phone_number": "+15550001111"}
    )
    number: int = session["id"]
    async with gateway.socket() as socket:
        await socket.subscribe(f"session:{number}")
        await gateway.data("POST", f"/api/whatsapp-sessions/{number}/connect")
        await socket.state("session.qr")
        await gateway.data("POST", f"/_simulator/sessions/{number}/scan", token="")
        await socket.state("session.link_ended")
    return number


async def lose_webhooks(gateway: Running, number: int) -> None:
    mode = {"mode": "lose", "session_id": number, "times": None}
    await gateway.data("POST", "/_simulator/faults", mode, token="")


async def test_a_ghost_is_found_by_a_probe_and_browsers_hear_of_it(gateway: Running) -> None:
    number = await linked(gateway)
    await lose_webhooks(gateway, number)
    async with gateway.socket() as socket:
        await socket.subscribe("sessions")
        await gateway.data("POST", f"/_simulator/sessions/{number}/unlink", token="")
        assert (await gateway.data("GET", f"/api/whatsapp-sessions/{number}/status"))["status"] == "connected"

        await gateway.gateway.services.status_probe.probe(number)
        state = await socket.state("session.status")

    assert state["data"]["status"] == "logged_out"
    assert state["data"]["source"] == "probe"
    assert state["data"]["stale"] is False


async def test_only_sessions_without_a_sign_of_life_are_probed(gateway: Running, database: str) -> None:
    number = await linked(gateway)
    store = gateway.gateway.repositories.monitor
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("UPDATE gateway.session_state SET webhook_seen_at = now(), probed_at = NULL")
        assert await store.quiet_sessions(600, 10) == []
        await connection.execute(
            "UPDATE gateway.session_state SET webhook_seen_at = now() - interval '11 minutes'"
        )
        assert await store.quiet_sessions(600, 10) == [number]
        await connection.execute("UPDATE gateway.session_state SET probed_at = now()")
        assert await store.quiet_sessions(600, 10) == []
    finally:
        await connection.close()


async def test_a_webhook_taken_by_another_program_is_shown_and_repaired_by_one_call(gateway: Running) -> None:
    number = await linked(gateway)
    path = f"/api/whatsapp-sessions/{number}"
    async with gateway.socket() as socket:
        await socket.subscribe(f"session:{number}")
        await gateway.data("PUT", path, {"webhook_url": "https://other.example/hook"})
        await gateway.gateway.services.monitor.round()
        await socket.next("state", lambda frame: (frame["data"] or {}).get("webhook_state") == "elsewhere")

        await gateway.data("POST", f"{path}/repair-webhook")
        await gateway.gateway.services.monitor.round()
        await socket.next("state", lambda frame: (frame["data"] or {}).get("webhook_state") == "ok")

    status, _ = await gateway.call("POST", f"{path}/repair-webhook", token=gateway.token(Role.AGENT))
    assert status == 403


async def test_a_sync_adopts_an_orphan_and_a_session_that_is_gone_comes_back(
    gateway: Running, database: str
) -> None:
    number = await linked(gateway)
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("DELETE FROM whatsapp_sessions")
    finally:
        await connection.close()
    report = await gateway.data("POST", "/api/whatsapp-sessions/sync")
    assert (report["created"], report["total_sessions"]) == (1, 1)
    again = await gateway.data("POST", "/api/whatsapp-sessions/sync")
    assert (again["created"], again["unchanged"]) == (0, 1)

    hidden = {
        "path": "/whatsapp-sessions",
        "method": "GET",
        "body": {"success": True, "data": []},
        "times": 1,
    }
    await gateway.data("POST", "/_simulator/faults", hidden, token="")
    gone = await gateway.data("POST", "/api/whatsapp-sessions/sync")
    assert gone["gone"] == 1
    assert await gateway.data("GET", "/api/whatsapp-sessions") == []
    back = await gateway.data("POST", "/api/whatsapp-sessions/sync")
    assert back["updated"] == 1
    assert [item["id"] for item in await gateway.data("GET", "/api/whatsapp-sessions")] == [number]


@pytest.mark.parametrize("moved", [True, False])
async def test_webhooks_move_with_the_public_url_and_others_are_left_alone(
    database: str, tmp_path: Path, moved: bool
) -> None:
    old, new = "https://old.example", "https://new.example"
    async with running(settings_for(database, tmp_path, public_url=old)) as first:
        await first.gateway.services.monitor.round()
        session = await first.data(
            "POST", "/api/whatsapp-sessions", {"name": "Shop", "phone_number": "+15550001111"}
        )
        path = f"/api/whatsapp-sessions/{session['id']}"
        if not moved:
            await first.data("PUT", path, {"webhook_url": "https://other.example/hook"})
    async with running(settings_for(database, tmp_path, public_url=new)) as second:
        await second.gateway.services.monitor.round()
        url = (await second.data("GET", path))["webhook_url"]

    assert url == (f"{new}/api/whatsapp/webhook" if moved else "https://other.example/hook")


async def test_a_webhook_that_could_not_be_moved_is_moved_by_a_later_round(
    database: str, tmp_path: Path
) -> None:
    old, new, newest = ("https://old.example", "https://new.example", "https://newest.example")
    async with running(settings_for(database, tmp_path, public_url=old)) as first:
        await first.gateway.services.monitor.round()
        numbers = [
            (await first.data("POST", SESSIONS, {"name": "Shop", "phone_number": "+15550001111"}))["id"]
            for _ in range(2)
        ]
    async with running(settings_for(database, tmp_path, public_url=new)) as second:
        refused = {"path": f"/whatsapp-sessions/{numbers[1]}", "method": "PUT", "status": 500, "times": None}
        await second.data("POST", "/_simulator/faults", refused, token="")
        await second.gateway.services.monitor.round()
        assert await urls_of(second, numbers) == [new, old]
        await second.data("DELETE", "/_simulator/faults", token="")
        await second.data("POST", "/_simulator/faults", refused, token="")
    # It moves once more before it was done: nobody is left behind under either of the former addresses.
    async with running(settings_for(database, tmp_path, public_url=newest)) as third:
        await third.data("DELETE", "/_simulator/faults", token="")
        await third.gateway.services.monitor.round()
        assert await urls_of(third, numbers) == [newest, newest]


async def urls_of(gateway: Running, numbers: list[int]) -> list[str]:
    found = [(await gateway.data("GET", f"{SESSIONS}/{number}"))["webhook_url"] for number in numbers]
    return [url.removesuffix("/api/whatsapp/webhook") for url in found]


async def test_a_round_after_a_failed_move_tries_again_and_then_leaves_it_at_that(
    database: str, tmp_path: Path
) -> None:
    old, new = "https://old.example", "https://new.example"
    async with running(settings_for(database, tmp_path, public_url=old)) as first:
        await first.gateway.services.monitor.round()
        wish = {"name": "Shop", "phone_number": "+15550001111"}
        number = (await first.data("POST", SESSIONS, wish))["id"]
    async with running(settings_for(database, tmp_path, public_url=new)) as second:
        refused = {"path": f"/whatsapp-sessions/{number}", "method": "PUT", "status": 500, "times": None}
        await second.data("POST", "/_simulator/faults", refused, token="")
        await second.gateway.services.monitor.round()
        assert await urls_of(second, [number]) == [old]
        await second.data("DELETE", "/_simulator/faults", token="")
        await second.gateway.services.monitor.round()
        assert await urls_of(second, [number]) == [new]

        # Done: an address that somebody sets on purpose afterwards is his.
        await second.data("PUT", f"{SESSIONS}/{number}", {"webhook_url": f"{old}/api/whatsapp/webhook"})
        await second.gateway.services.monitor.round()
        assert await urls_of(second, [number]) == [old]
