"""Webhooks out, from a customer's message to a receiver that verifies it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from gateway.domain.access import Role
from tests.http.receivers import Receiver, receiving
from tests.http.support import Shop, eventually, opened, received
from tests.launcher.running import running
from tests.launcher.settings import settings_for

TARGETS = "/api/webhook-targets"
ANN = "15550001111@s.whatsapp.net"
BEN = "15550002222@s.whatsapp.net"


@pytest_asyncio.fixture
async def shop(database: str, tmp_path: Path) -> AsyncIterator[Shop]:
    """A gateway with the sessions 12 and 13 whose targets may be on this machine."""
    settings = settings_for(database, tmp_path, target_networks=("127.0.0.0/8",))
    async with running(settings) as gateway, opened(gateway, database) as shop:
        for number in (12, 13):
            await shop.add_session(number)
        yield shop


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def add(shop: Shop, receiver: Receiver, **more: object) -> int:
    target = await shop.gateway.data(
        "POST", TARGETS, {"url": receiver.url, "events": ["message.created"], **more}
    )
    receiver.secret = target["secret"]
    return int(target["id"])


async def test_a_customers_message_reaches_a_target_signed_and_once(shop: Shop, receiver: Receiver) -> None:
    await shop.take(received("before", "BEFORE"))
    target = await add(shop, receiver)

    await shop.take(received("after", "AFTER", ANN))
    await shop.take(received("of another session", "OTHER", BEN), 13)

    taken = await receiver.until(2)
    assert {
        (item.body["type"], item.body["session_id"], item.body["data"]["message_text"]) for item in taken
    } == {
        ("message.created", 12, "after"),
        ("message.created", 13, "of another session"),
    }
    assert len({item.id for item in taken}) == 2

    async def states() -> list[str]:
        rows = await shop.gateway.data("GET", f"{TARGETS}/{target}/deliveries")
        return sorted(row["state"] for row in rows)

    assert await eventually(states, lambda found: found == ["delivered", "delivered"])
    assert len(receiver.got) == 2


async def test_a_refused_event_holds_its_chat_alone_and_keeps_its_id(shop: Shop, receiver: Receiver) -> None:
    await add(shop, receiver, sessions=[12])
    receiver.answers[ANN] = 500
    await shop.take(received("first", "A1", ANN))
    await shop.take(received("second", "A2", ANN))
    await shop.take(received("of Ben", "B1", BEN))
    assert [item.body["data"]["message_text"] for item in await receiver.until(1)] == ["of Ben"]
    await receiver.asked(3)  # first, of Ben, and first again

    receiver.answers.clear()

    texts = [item.body["data"]["message_text"] for item in await receiver.until(3)]
    assert texts == ["of Ben", "first", "second"]
    tried = [item.id for item in receiver.got if item.body["data"]["message_text"] == "first"]
    assert len(tried) >= 3
    assert len(set(tried)) == 1


async def test_a_receiver_that_answers_401_is_paused_and_nothing_is_lost(
    shop: Shop, receiver: Receiver
) -> None:
    target = await add(shop, receiver)
    receiver.status = 401
    await shop.take(received("one", "A1", ANN))

    async def reason() -> str | None:
        (found,) = await shop.gateway.data("GET", TARGETS)
        return str(found["paused_reason"] or "")

    assert "401" in str(await eventually(reason))
    await shop.take(received("two", "A2", ANN))
    assert len(receiver.got) == 1

    receiver.status = 200
    await shop.gateway.data("PUT", f"{TARGETS}/{target}", {"paused": False})

    assert [item.body["data"]["message_text"] for item in await receiver.until(2)] == ["one", "two"]
    assert await reason() == ""


async def test_after_a_rotation_both_secrets_sign(shop: Shop, receiver: Receiver) -> None:
    target = await add(shop, receiver)
    former = receiver.secret

    changed = await shop.gateway.data("PUT", f"{TARGETS}/{target}", {"rotate_secret": True})
    assert changed["secret"] != former
    await shop.take(received("one", "A1", ANN))
    await receiver.until(1)  # verified with the former one
    receiver.secret = changed["secret"]
    await shop.take(received("two", "A2", ANN))

    assert len(await receiver.until(2)) == 2
    stored = await shop.one("SELECT secret, former_secret FROM gateway.webhook_targets")
    assert not {former, changed["secret"]} & set(stored.values())


async def test_a_dead_letter_is_sent_again_when_an_admin_says_so(shop: Shop, receiver: Receiver) -> None:
    target = await add(shop, receiver)
    receiver.status = 500
    await shop.take(received("one", "A1", ANN))

    async def failures() -> int:
        return int(await shop.db.fetchval("SELECT sum(failures) FROM gateway.webhook_deliveries") or 0)

    await eventually(failures)
    await shop.db.execute(
        "UPDATE gateway.webhook_deliveries SET first_failed_at = now() - interval '25 hours', due_at = NULL"
    )

    async def dead() -> list[int]:
        return [
            row["id"] for row in await shop.gateway.data("GET", f"{TARGETS}/{target}/deliveries?state=dead")
        ]

    await eventually(dead)
    receiver.status = 200
    assert await shop.gateway.data("POST", f"{TARGETS}/{target}/redrive") == {"redriven": 1}

    assert len(await receiver.until(1)) == 1
    assert await eventually(dead, lambda found: found == []) == []


async def test_only_admins_see_targets_and_each_those_of_own_sessions(shop: Shop, receiver: Receiver) -> None:
    target = await add(shop, receiver, sessions=[12])
    for role in (Role.VIEWER, Role.AGENT):
        status, _ = await shop.gateway.call("GET", TARGETS, token=shop.gateway.token(role))
        assert status == 403
    other = shop.gateway.token(Role.ADMIN, {13})
    assert await shop.gateway.data("GET", TARGETS, token=other) == []
    status, _ = await shop.gateway.call("DELETE", f"{TARGETS}/{target}", token=other)
    assert status == 404
    status, _ = await shop.gateway.call("POST", TARGETS, {"url": receiver.url, "sessions": [12]}, token=other)
    assert status == 403
    own = await shop.gateway.data("POST", TARGETS, {"url": receiver.url}, token=other)
    assert own["sessions"] == [13]


async def test_an_address_inside_is_refused_in_one_sentence(shop: Shop) -> None:
    for url in (
        "http://10.0.0.1/",
        "https://169.254.169.254/latest",
        "ftp://127.0.0.1/",
        "https://user@shop.example/",
    ):
        status, reply = await shop.gateway.call("POST", TARGETS, {"url": url})
        assert (status, reply["code"], reply["details"]["field"]) == (422, "invalid", "url"), url
