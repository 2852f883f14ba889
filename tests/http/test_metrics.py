"""What /metrics says: every metric that is documented, and what has just happened."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from gateway import __version__
from gateway.domain.streams import ALERTS_TABLE, SESSIONS_INBOX
from gateway.runtime.build import commit
from tests.docs.pages import names, table
from tests.http.support import Shop, eventually, opened, received
from tests.launcher.running import Running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def busy_shop(shared_gateway: Running) -> AsyncIterator[Shop]:
    """The sessions 12 and 13, and a database that is thrown away: these tests may write."""
    async with opened(shared_gateway, shared_gateway.gateway.database_url) as shop:
        for number in (12, 13):
            await shop.add_session(number)
            await shared_gateway.gateway.live.states.see(number)
        yield shop


pytestmark = pytest.mark.asyncio(loop_scope="module")


class Scrape:
    """One answer of /metrics."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name with these labels."""
        return sum(
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


async def scrape(shop: Shop) -> Scrape:
    _, said = await shop.gateway.call("GET", "/metrics", token="")
    return Scrape(said)


async def test_a_scrape_holds_every_metric_that_is_documented(busy_shop: Shop) -> None:
    said = await scrape(busy_shop)

    listed = {name.removesuffix("_total") for name in names(table("operations.md", "## Metrics"))}
    assert listed - {family.name for family in said.families} == set()
    assert said.value("gateway_build_info", version=__version__, commit=commit()) == 1
    assert said.value("gateway_gateways") == 1
    assert said.value("gateway_migrations", state="pending") == 0
    assert said.value("gateway_migrations", state="applied") > 50
    assert said.value("gateway_sessions", status="connected") >= 2
    assert said.value("gateway_disk_free_bytes") > 0


async def test_a_message_is_counted_from_its_webhook_to_the_socket(busy_shop: Shop) -> None:
    shop = busy_shop
    before = await scrape(shop)
    async with shop.gateway.socket() as socket:
        top = await socket.subscribe("inbox:12")
        await shop.take(received("counted", key_id="counted-1"), 12)
        await socket.event("message.created")
        async with shop.gateway.socket() as late:
            await late.subscribe("inbox:12", after={"off": top["off"], "epoch": top["epoch"]})
            assert [frame["event"] for frame in late.frames if frame["type"] == "event"] == [
                "message.created"
            ]
        during = await scrape(shop)

    async def has_closed() -> Any:
        after = await scrape(shop)
        return after.value("gateway_closed_connections_total") - before.value(
            "gateway_closed_connections_total"
        )

    await eventually(has_closed)
    assert during.value("gateway_connections", dialect="native") == 1
    assert during.value("gateway_subscriptions", state="live") >= 1
    for name, more in (
        ("gateway_webhooks_total", 1),
        ("gateway_webhook_seconds_count", 1),
        ("gateway_ingest_batch_webhooks_sum", 1),
        ("gateway_commit_to_write_seconds_count", 1),
        ("gateway_deliveries_total", 1),
        ("gateway_catch_ups_total", 1),
    ):
        assert during.value(name) - before.value(name) >= more, name
    assert during.value("gateway_webhooks_total", answer="200", outcome="stored") >= 1


async def test_the_latency_probe_arrives_and_no_client_is_told_of_it(busy_shop: Shop) -> None:
    shop = busy_shop
    async with shop.gateway.socket() as socket:
        tops = (await socket.subscribe("inbox:*"))["tops"]

        async def arrived() -> Any:
            return (await scrape(shop)).value("gateway_probe_seconds_count")

        await eventually(arrived)
        assert "-2" not in tops
        assert not [frame for frame in socket.frames if frame["type"] == "event"]
    assert (await scrape(shop)).value("gateway_probes_lost_total") == 0
    rows = await shop.db.fetchval("SELECT count(*) FROM gateway.stream WHERE inbox = -2")
    assert rows <= 101


async def test_a_number_that_loses_its_link_is_an_alert_until_it_is_back(busy_shop: Shop) -> None:
    shop, alerts = busy_shop, busy_shop.gateway.gateway.observation.alerts
    status = (
        "UPDATE whatsapp_sessions SET status = $1, last_connected_at = now() WHERE wasender_session_id = 13"
    )
    top = await shop.db.fetchval("SELECT coalesce(max(off), 0) FROM gateway.stream WHERE inbox = -1")
    await shop.db.execute(status, "logged_out")
    await alerts.look()

    found = await shop.db.fetch(
        "SELECT kind, note, ended_at FROM gateway.alerts WHERE wasender_session_id = 13"
    )
    assert [(row["kind"], row["ended_at"]) for row in found] == [("link_lost", None)]
    assert "Link it again" in found[0]["note"]
    await alerts.look()
    await shop.db.execute(status, "connected")
    await alerts.look()

    assert await shop.db.fetchval("SELECT count(*) FROM gateway.alerts WHERE wasender_session_id = 13") == 1
    assert (
        await shop.db.fetchval("SELECT ended_at FROM gateway.alerts WHERE wasender_session_id = 13")
        is not None
    )
    told = await shop.db.fetch(
        "SELECT op, record ->> 'kind' AS kind FROM gateway.stream"
        " WHERE inbox = $1 AND tbl = $2 AND off > $3 ORDER BY off",
        SESSIONS_INBOX, ALERTS_TABLE, top,
    )  # fmt: skip
    assert [tuple(row) for row in told] == [("INSERT", "link_lost"), ("UPDATE", "link_lost")]
