"""Whatever JSON comes: it is answered 200, its content stands in a row or in the journal, and no fault is logged.

The suite posts few bodies; `ANY_JSON_EXAMPLES=10000 python -m pytest tests/http/test_any_json.py` posts many.
"""

import asyncio
import json
import logging
import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.domain.any_json import parse
from gateway.domain.message import MessageReceived, MessageSent, PeopleTold
from gateway.wasender import webhook
from tests.http.support import HOOK, INCOMING, OUTGOING, Shop, key_of, secret_of
from tests.http.webhook_makers import GROUP, NINA, OLEG, jid, said
from tests.unit.wasender import payload_samples as samples
from tests.unit.wasender.payload_parts import NOW, Sample
from tests.unit.wasender.payload_samples import SAMPLES
from tests.unit.wasender.test_webhook import SCALARS, TREES, paths, replaced

EXAMPLES = int(os.environ.get("ANY_JSON_EXAMPLES", "40"))

KEYS = st.builds(
    lambda key_id, chat, mine, by: {"id": key_id, "remoteJid": chat, "fromMe": mine, "participant": by},
    st.sampled_from(["A", "B", "C"]) | SCALARS,
    st.sampled_from([jid(NINA), jid(OLEG), GROUP, "77000000000011@lid", "status@broadcast"]) | SCALARS,
    st.booleans() | SCALARS,
    st.sampled_from([None, jid(NINA), jid(OLEG)]) | SCALARS,
)
CONTENTS = st.one_of(
    st.none(),
    st.builds(lambda text: {"conversation": text}, st.text(max_size=20)),
    st.builds(lambda key, text: {"reactionMessage": {"key": key, "text": text}}, KEYS, st.text(max_size=3)),
    st.builds(
        lambda key, kind, text: {
            "protocolMessage": {"key": key, "type": kind, "editedMessage": {"conversation": text}}
        },
        KEYS,
        st.sampled_from([0, 14, "REVOKE", "MESSAGE_EDIT", 3]),
        st.text(max_size=9),
    ),
    st.builds(lambda key: {"secretEncryptedMessage": {"targetMessageKey": key, "secretEncType": 2}}, KEYS),
    st.dictionaries(
        st.sampled_from(["imageMessage", "orderMessage", "pollCreationMessage"]), TREES, max_size=2
    ),
    TREES,
)
ELEMENTS = st.builds(
    lambda key, message, more: {"key": key, "message": message, **(more if isinstance(more, dict) else {})},
    KEYS,
    CONTENTS,
    TREES,
)
DAMAGED = st.builds(
    lambda number, choices: _damaged(SAMPLES[number], choices),
    st.integers(0, len(SAMPLES) - 1),
    st.lists(st.tuples(st.integers(0, 60), SCALARS | TREES), max_size=3),
)
ANYTHING = st.one_of(
    TREES,
    st.builds(
        lambda event, elements: {"event": event, "data": {"messages": elements}},
        st.sampled_from(samples.EVENTS),
        st.lists(ELEMENTS, max_size=3),
    ),
    st.builds(lambda event, data: {"event": event, "data": data}, st.sampled_from(samples.EVENTS), TREES),
    DAMAGED,
)


def _is_json(body: Any) -> bool:
    try:
        json.dumps(body, allow_nan=False)
    except ValueError:  # NaN and infinity, which JSON has no word for
        return False
    return True


BODIES = ANYTHING.filter(_is_json)


def _damaged(sample: Sample, choices: list[tuple[int, Any]]) -> Any:
    body: Any = sample.body
    for place, value in choices:
        spots = list(paths(body))
        body = replaced(body, spots[place % len(spots)], value)
    return body


@pytest.mark.timeout(max(120, EXAMPLES // 4))
@pytest.mark.filterwarnings("ignore:Generating overly large repr", "ignore:Do not use the `random` module")
async def test_any_json_is_found_again(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    caplog.set_level(logging.ERROR)

    @given(body=BODIES)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def each(body: Any) -> None:
        asyncio.run_coroutine_threadsafe(_check(shop, body), loop).result(60)
        faults = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
        assert faults == []

    await asyncio.to_thread(each)


@pytest.mark.parametrize("megabytes", [1, 4, 7])
async def test_large_json_is_found_again(shop: Shop, megabytes: int) -> None:
    text = "x" * (megabytes << 20)
    for body in (said(f"L{megabytes}", NINA, text), {"event": "weather", "data": text}, [text]):
        await _check(shop, body, patience=True)


@pytest.mark.parametrize("depth", [101, 600, 1100, 200_000])
async def test_deep_json_is_found_again_and_the_message_beside_it_is_a_row(shop: Shop, depth: int) -> None:
    text = f"beside {depth}"
    deep = "[" * depth + f'"at the bottom of {depth}"' + "]" * depth
    raw = json.dumps({**said(f"DEEP{depth}", NINA, text), "more": "HERE"}).replace('"HERE"', deep)
    status, _ = await shop.post(raw.encode(), secret=secret_of(12), path=f"{HOOK}/12")

    assert status == 200
    rows = await shop.db.fetch(f"SELECT message_text FROM {INCOMING} WHERE wa_key_id = $1", f"DEEP{depth}")
    assert [row["message_text"] for row in rows] == [text]
    entry = await shop.db.fetchrow("SELECT * FROM gateway.journal ORDER BY id DESC LIMIT 1")
    assert entry is not None
    assert f"at the bottom of {depth}" in json.dumps(entry["body"])
    assert "kept as text" in entry["reason"]


async def _check(shop: Shop, body: Any, patience: bool = False) -> None:
    read = parse(json.dumps(body).encode()).body  # a number that no parser holds is its digits
    redacted = webhook.redact(read, 12, [key_of(12), secret_of(12)])
    before = await shop.db.fetchval("SELECT coalesce(max(id), 0) FROM gateway.journal")
    status, _ = await shop.post(body, secret=secret_of(12), path=f"{HOOK}/12")
    assert status == 200
    entry = None
    async with asyncio.timeout(15.0):
        while entry is None:  # a large one may go by the spool
            entry = await shop.db.fetchrow(
                "SELECT * FROM gateway.journal WHERE id > $1 ORDER BY id DESC", before
            )
            await asyncio.sleep(0 if entry else 0.02)
    reading = webhook.read(redacted, NOW)
    if entry["body"] is not None:
        assert _as_stored(entry["body"]) == _as_stored(redacted) or entry["outcome"] == "ignored"
        return
    if reading.is_noise or redacted is None:
        return
    assert entry["outcome"] in ("stored", "duplicate"), dict(entry)
    for change in reading.changes:
        if isinstance(change, PeopleTold):
            assert await shop.db.fetchval("SELECT count(*) FROM gateway.contacts WHERE session = 12") >= 0
        if isinstance(change, MessageReceived | MessageSent) and not change.is_placeholder:
            table = INCOMING if isinstance(change, MessageReceived) else OUTGOING
            texts = await shop.db.fetch(
                f"SELECT message_text, raw_data, edited_at FROM {table} WHERE wa_key_id = $1", change.key_id
            )
            assert any(
                row["message_text"] == change.text
                or row["raw_data"].get("message") == change.raw.get("message")
                or row["edited_at"] is not None
                for row in texts
            ), (change, [dict(row) for row in texts])


def _as_stored(value: Any) -> Any:
    """With numbers as Postgres' JSON compares them: large ones come back as the decimal that was written."""
    if isinstance(value, dict):
        return {name: _as_stored(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_stored(item) for item in value]
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
