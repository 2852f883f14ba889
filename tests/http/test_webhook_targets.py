"""Webhooks out, from a customer's message to a receiver that verifies it."""

import json
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from gateway.domain.access import Role
from gateway.embedded_postgres.server import EmbeddedPostgres
from tests.http.receivers import Receiver, receiving
from tests.http.support import Shop, eventually, key_of, opened, received, secret_of
from tests.launcher.running import running
from tests.launcher.settings import settings_for
from tests.postgres_fixtures import clone

TARGETS = "/api/webhook-targets"
ANN = "15550001111@s.whatsapp.net"
BEN = "15550002222@s.whatsapp.net"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_targets_shop(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shop]:
    """A gateway with the sessions 12 and 13 whose targets may be on this machine, for all tests of the file."""
    async with clone(postgres, "migrated") as database:
        settings = settings_for(
            database, tmp_path_factory.mktemp("targets"), target_networks=("127.0.0.0/8",)
        )
        async with running(settings) as gateway, opened(gateway, database) as shop:
            for number in (12, 13):
                await shop.add_session(number)
            yield shop


@pytest_asyncio.fixture(loop_scope="module")
async def shop(shared_targets_shop: Shop) -> AsyncIterator[Shop]:
    """The same; what a test has added goes after it."""
    yield shared_targets_shop
    for target in await shared_targets_shop.gateway.data("GET", TARGETS):
        await shared_targets_shop.gateway.data("DELETE", f"{TARGETS}/{target['id']}")


@pytest_asyncio.fixture(loop_scope="module")
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def add(shop: Shop, receiver: Receiver, **more: object) -> int:
    wish = {"url": receiver.url, "events": ["message.created"], **more}
    target = await shop.gateway.data("POST", TARGETS, wish)
    receiver.secret = target["secret"]
    receiver.is_raw = target["mode"] == "raw"
    return int(target["id"])


async def say(shop: Shop, text: str, chat: str = ANN, session_id: int = 12) -> bytes:
    """A customer's message comes in; returns the bytes of its webhook."""
    body = {**received(text, uuid.uuid4().hex, chat), "sessionId": key_of(session_id)}
    raw = json.dumps(
        body, ensure_ascii=False, indent=1
    ).encode()  # spaces and letters as no writer of ours has them
    status, _ = await shop.post(raw, secret=secret_of(session_id))
    assert status == 200
    return raw


async def test_a_customers_message_reaches_a_target_signed_and_once(shop: Shop, receiver: Receiver) -> None:
    await say(shop, "before")
    target = await add(shop, receiver)

    await say(shop, "after", ANN)
    await say(shop, "of another session", BEN, 13)

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
    await say(shop, "first", ANN)
    await say(shop, "second", ANN)
    await say(shop, "of Ben", BEN)
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
    await say(shop, "one", ANN)

    async def reason() -> str | None:
        (found,) = await shop.gateway.data("GET", TARGETS)
        return str(found["paused_reason"] or "")

    assert "401" in str(await eventually(reason))
    await say(shop, "two", ANN)
    assert len(receiver.got) == 1

    receiver.status = 200
    await shop.gateway.data("PUT", f"{TARGETS}/{target}", {"paused": False})

    assert [item.body["data"]["message_text"] for item in await receiver.until(2)] == ["one", "two"]
    assert await reason() == ""


async def test_an_alert_reaches_a_target_as_it_opens_and_as_it_is_over(
    shop: Shop, receiver: Receiver
) -> None:
    await add(shop, receiver, events=["alert.opened", "alert.ended"])
    alerts = shop.gateway.gateway.observation.alerts
    status = (
        "UPDATE whatsapp_sessions SET status = $1, last_connected_at = now() WHERE wasender_session_id = 13"
    )
    for word, count in (("logged_out", 1), ("connected", 2)):
        await shop.db.execute(status, word)
        await alerts.look()
        taken = await receiver.until(count)

    assert [(item.body["type"], item.body["session_id"]) for item in taken] == [
        ("alert.opened", 13), ("alert.ended", 13),
    ]  # fmt: skip
    assert {item.body["data"]["kind"] for item in taken} == {"link_lost"}
    assert "Link it again" in taken[0].body["data"]["note"]


async def test_after_a_rotation_both_secrets_sign(shop: Shop, receiver: Receiver) -> None:
    target = await add(shop, receiver)
    former = receiver.secret

    changed = await shop.gateway.data("PUT", f"{TARGETS}/{target}", {"rotate_secret": True})
    assert changed["secret"] != former
    await say(shop, "one", ANN)
    await receiver.until(1)  # verified with the former one
    receiver.secret = changed["secret"]
    await say(shop, "two", ANN)

    assert len(await receiver.until(2)) == 2
    stored = await shop.one("SELECT secret, former_secret FROM gateway.webhook_targets WHERE id = $1", target)
    assert not {former, changed["secret"]} & set(stored.values())


async def test_a_dead_letter_is_sent_again_when_an_admin_says_so(shop: Shop, receiver: Receiver) -> None:
    target = await add(shop, receiver)
    receiver.status = 500
    await say(shop, "one", ANN)

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


# ------------------------------------------------------------------------------------------ raw mode


async def test_a_receiver_of_wasenderapi_keeps_working_behind_us(shop: Shop, receiver: Receiver) -> None:
    await say(shop, "before")
    await add(shop, receiver, mode="raw", events=["messages.received"])
    receiver.answers[ANN] = 500
    first = await say(shop, "first é")
    second = await say(shop, "second")
    other = await say(shop, "of the other session", BEN, 13)
    await receiver.asked(3)  # first, the other, and first again
    receiver.answers.clear()

    taken = await receiver.until(3)

    assert [item.text for item in taken] == ["of the other session", "first é", "second"]
    assert [item.raw for item in taken] == [other, first, second]
    assert [item.signature for item in taken] == [secret_of(13), secret_of(12), secret_of(12)]
    assert len({item.id for item in receiver.got}) == 3


async def test_a_raw_target_is_sent_the_events_that_it_has_chosen_also_those_we_make_nothing_of(
    shop: Shop, receiver: Receiver
) -> None:
    await add(shop, receiver, mode="raw", events=["poll.results", "newsletter.mystery"], sessions=[12])
    for event in ("chats.update", "poll.results", "newsletter.mystery"):
        await shop.take({"event": event, "data": {"id": 1}})
    await shop.take({"event": "poll.results", "data": {"id": 1}}, 13)

    taken = await receiver.until(2)

    assert [item.body["event"] for item in taken] == ["poll.results", "newsletter.mystery"]
    assert {item.body["sessionId"] for item in taken} == {key_of(12)}


async def test_kept_webhooks_hold_no_key_and_go_with_the_last_raw_target(
    shop: Shop, receiver: Receiver
) -> None:
    target = await add(shop, receiver, mode="raw", events="*")
    await say(
        shop, f"my key is {key_of(12)}"
    )  # hidden in what is kept, so that the bytes are not those that came
    await receiver.until(1)

    kept = await shop.db.fetch("SELECT body, event, chat FROM gateway.raw_webhooks")
    assert [(row["event"], row["chat"]) for row in kept] == [("messages.received", ANN)]
    assert key_of(12).encode() not in kept[0]["body"]
    assert receiver.got[0].body["sessionId"] == key_of(12)
    assert receiver.got[0].text == "my key is [redacted]"
    await shop.gateway.data("DELETE", f"{TARGETS}/{target}")
    await say(shop, "after")
    assert await shop.db.fetchval("SELECT count(*) FROM gateway.raw_webhooks") == 0


async def test_a_new_key_and_secret_of_the_session_are_what_a_raw_target_gets(
    shop: Shop, receiver: Receiver
) -> None:
    await add(shop, receiver, mode="raw", events="*", sessions=[12])
    receiver.status = 503
    await say(shop, "one")
    await receiver.asked(1)
    await shop.db.execute(
        "UPDATE whatsapp_sessions SET api_key = 'another-key-0123456789', webhook_secret = 'another-secret'"
        " WHERE wasender_session_id = 12"
    )
    receiver.status = 200

    (taken,) = await receiver.until(1)

    assert (taken.body["sessionId"], taken.signature) == ("another-key-0123456789", "another-secret")
    await shop.db.execute(
        "UPDATE whatsapp_sessions SET api_key = $1, webhook_secret = $2 WHERE wasender_session_id = 12",
        key_of(12), secret_of(12),
    )  # fmt: skip


async def test_only_an_admin_of_all_sessions_sets_up_a_raw_target_and_it_is_logged(
    shop: Shop, receiver: Receiver
) -> None:
    limited = shop.gateway.token(Role.ADMIN, {12})
    wish = {"url": receiver.url, "mode": "raw", "sessions": [12]}
    status, reply = await shop.gateway.call("POST", TARGETS, wish, token=limited)
    assert (status, reply["code"]) == (403, "forbidden")

    target = await add(shop, receiver, mode="raw", sessions=[12], events="*")

    for method, path in (("PUT", ""), ("DELETE", ""), ("POST", "/redrive"), ("POST", "/test")):
        status, _ = await shop.gateway.call(method, f"{TARGETS}/{target}{path}", {}, token=limited)
        assert status == 404, (method, path)
    logs = await shop.gateway.data("GET", "/api/whatsapp-sessions/12/logs?event_type=secrets_revealed")
    assert "127.0.0.1" in (logs["logs"] if isinstance(logs, dict) else logs)[0]["message"]
    status, reply = await shop.gateway.call("PUT", f"{TARGETS}/{target}", {"events": ["Not an event"]})
    assert (status, reply["details"]) == (422, {"field": "events"})


async def test_a_test_says_what_the_receiver_answers(shop: Shop, receiver: Receiver) -> None:
    target = await add(shop, receiver)
    said = await shop.gateway.data("POST", f"{TARGETS}/{target}/test")
    assert (said["is_taken"], said["status"], receiver.got[0].body["type"]) == (True, 200, "webhook.test")
    receiver.status = 403
    said = await shop.gateway.data("POST", f"{TARGETS}/{target}/test")
    assert said == {"is_taken": False, "status": 403, "answer": "403 as the test says"}
    await shop.gateway.data("PUT", f"{TARGETS}/{target}", {"mode": "raw", "events": "*"})
    receiver.is_raw, receiver.status = True, 200
    assert (await shop.gateway.data("POST", f"{TARGETS}/{target}/test"))["is_taken"]
    assert (receiver.got[-1].body["event"], receiver.got[-1].signature) == ("webhook.test", secret_of(12))
