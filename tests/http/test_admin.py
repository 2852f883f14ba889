"""`/api/admin`: the cluster as operators see it, and doctor with what mends its findings."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway import __version__
from gateway.domain.access import Role
from gateway.runtime.examination import environment_of, read_line
from tests.http.support import HOOK, Shop, eventually, opened, received
from tests.launcher.running import Running
from tests.launcher.settings import settings_for

OVERVIEW, DOCTOR = "/api/admin/overview", "/api/admin/doctor"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def busy_shop(shared_gateway: Running) -> AsyncIterator[Shop]:
    """A gateway whose database is thrown away: these tests may write."""
    async with opened(shared_gateway, shared_gateway.gateway.database_url) as shop:
        yield shop


async def test_only_admins_of_all_sessions_see_the_cluster(busy_shop: Shop) -> None:
    gateway = busy_shop.gateway
    for token in (gateway.token(Role.AGENT), gateway.token(Role.ADMIN, {12})):
        for method, path in (("GET", OVERVIEW), ("POST", DOCTOR)):
            assert (await gateway.call(method, path, token=token))[0] == 403
    assert (await gateway.call("GET", OVERVIEW, token=""))[0] == 401


async def test_the_overview_tells_gateways_numbers_queues_and_alerts(busy_shop: Shop) -> None:
    shop = busy_shop
    number = await shop.create(name="Seen from above")
    await shop.db.execute(
        "UPDATE whatsapp_sessions SET status = 'logged_out', last_connected_at = now() WHERE wasender_session_id = $1",
        number,
    )
    await shop.gateway.gateway.observation.alerts.look()
    sampler = shop.gateway.gateway.observation.sampler
    async with shop.gateway.socket():
        sampler.look()

        async def says_of_itself() -> bool:
            (row,) = (await shop.gateway.data("GET", OVERVIEW))["gateways"]
            return bool(row["facts"].get("connections") == 1)

        await eventually(says_of_itself)
    found = await shop.gateway.data("GET", OVERVIEW)

    (gateway,) = found["gateways"]
    assert (gateway["version"], gateway["is_here"]) == (__version__, True)
    assert gateway["silent_s"] < 8
    assert {"process", "lag_ms", "pollers", "senders", "spooled"} <= gateway["facts"].keys()
    (session,) = [row for row in found["sessions"] if row["id"] == number]
    assert (session["name"], session["status"]) == ("Seen from above", "logged_out")
    assert [(row["kind"], row["session_id"]) for row in found["alerts"]] == [("link_lost", number)]
    assert found["counts"]["journal_failed"] == 0
    assert found["media"]["bytes"] == 0


async def test_doctor_names_the_session_whose_webhooks_are_refused_and_what_repairs_it(
    busy_shop: Shop,
) -> None:
    shop = busy_shop
    number = await shop.create(name="Refused")
    for _ in range(2):
        await shop.post(received(), secret="another-secret-0123456789", path=f"{HOOK}/{number}")

    async def is_counted() -> bool:
        return await shop.gateway.gateway.repositories.sessions.refused_webhooks(number) == 2

    await eventually(is_counted)
    findings = await shop.gateway.data("POST", DOCTOR)

    by_subject = {row["subject"]: row for row in findings}
    assert by_subject["database"]["is_fine"] is True
    wrong = by_subject[f"session {number}"]
    assert (wrong["is_fine"], wrong["repairs"]) == (False, number)
    assert "its secret changed upstream" in wrong["says"]


@pytest.mark.parametrize(
    ("line", "subject", "is_fine", "repairs", "command"),
    [
        ("ok    database     Postgres answers.", "database", True, None, None),
        ("FAIL  data folder  There is no room.", "data folder", False, None, None),
        ("FAIL  session 123456789 Repair it.", "session 123456789", False, 123456789, None),
        ("FAIL  triggers     They are gone: run `gateway migrate`.", "triggers", False, None, "gateway migrate"),
        ("ok    session 7    It is well: `gateway sync`.", "session 7", True, None, None),
    ],
)  # fmt: skip
async def test_a_line_of_doctor_is_read_whole(
    line: str, subject: str, is_fine: bool, repairs: int | None, command: str | None
) -> None:
    found = read_line(line)

    assert found is not None
    assert (found["subject"], found["is_fine"], found["repairs"], found["command"]) == (
        subject, is_fine, repairs, command,
    )  # fmt: skip
    assert read_line("Traceback (most recent call last):") is None


async def test_doctor_is_set_up_as_the_gateway_is(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("data")
    settings = settings_for("postgresql://shop@127.0.0.1/shop", folder, trusted_proxies="10.0.0.1,10.0.0.2")
    environment = environment_of(settings, WASENDER_TOKEN="1|token")

    assert environment["DATABASE_URL"] == "postgresql://shop@127.0.0.1/shop"
    assert environment["GATEWAY_DATA_DIR"] == str(settings.data_dir)
    assert environment["GATEWAY_TRUSTED_PROXIES"] == "10.0.0.1,10.0.0.2"
    assert environment["WASENDER_TOKEN"] == "1|token"
    assert "WORKER_SOCKET_FD" not in environment
