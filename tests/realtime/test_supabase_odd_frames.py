"""Whatever a client puts into a join or a heartbeat, it gets its answer, with everything of its own as it came."""

import json
from typing import Any

import pytest

from tests.launcher.running import Running
from tests.realtime.phoenix import ALL_INCOMING, Phoenix, phoenix

VERSIONS = ["1.0.0", "2.0.0"]

REFS: list[Any] = [
    7,
    0,
    -1,
    2**53 + 1,
    2**64 + 1,
    1.5,
    "7",
    "",
    "x" * 300,
    "ř 🙂",
    "half \ud83d",
    None,
    True,
    [1, "2"],
    {"a": None},
]
TOPICS: list[Any] = [
    "",
    "realtime",
    "realtime:",
    "x" * 3000,
    "realtime:" + "x" * 300,
    "realtime:\ud83d",
    7,
    None,
    [],
    {},
]
PAYLOADS: list[Any] = [
    None,
    [],
    "text",
    7,
    {"config": None},
    {"config": []},
    {"config": {"postgres_changes": "all"}},
    {"config": {"postgres_changes": [None, 7, "x"]}},
    {
        "config": {
            "postgres_changes": [{"event": "*", "schema": "public", "table": 2**70, "filter": "\ud83d"}]
        }
    },
    {
        "config": {
            "postgres_changes": [{"event": 7, "schema": [], "table": {}, "filter": 1.5, "select": "all"}]
        }
    },
    {"config": {"presence": 7, "broadcast": "x", "private": "yes"}, "access_token": 7},
    {"access_token": {"not": "text"}},
]


async def ask(
    client: Phoenix, event: str, *, ref: Any, topic: Any, payload: Any, join_ref: Any = None
) -> None:
    if client.vsn.startswith("2"):
        frame: Any = [join_ref, ref, topic, event, payload]
    else:
        frame = {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": join_ref}
    await client.raw.send(json.dumps(frame))


def same(one: Any, other: Any) -> bool:
    return json.dumps(one) == json.dumps(other)  # 1, 1.0 and True are three values


@pytest.mark.parametrize("vsn", VERSIONS)
async def test_any_ref_comes_back_as_it_came(gateway: Running, vsn: str) -> None:
    payload = {"config": {"postgres_changes": [ALL_INCOMING]}}
    async with phoenix(gateway, vsn=vsn) as client:
        for ref in REFS:
            await ask(client, "heartbeat", ref=ref, topic="phoenix", payload={})
            heartbeat = await client.receive()
            await ask(client, "phx_join", ref=ref, join_ref=ref, topic="realtime:shop", payload=payload)
            joined, system = await client.receive(), await client.receive()
            await ask(client, "phx_leave", ref=8, join_ref=ref, topic="realtime:shop", payload={})
            left, closed = await client.receive(), await client.receive()

            assert same(heartbeat.ref, ref)
            assert same(joined.ref, ref)
            assert (heartbeat.payload["status"], joined.payload["status"]) == ("ok", "ok")
            assert (system.event, left.ref, closed.event) == ("system", 8, "phx_close")
            assert same(closed.ref, ref)
            if vsn == "2.0.0":
                assert same(joined.join_ref, ref)
                assert same(closed.join_ref, ref)


@pytest.mark.parametrize("vsn", VERSIONS)
async def test_a_channel_joined_with_a_number_is_renewed_and_left_by_that_number(
    gateway: Running, vsn: str
) -> None:
    async with phoenix(gateway, vsn=vsn) as client:
        payload = {"config": {"postgres_changes": [ALL_INCOMING]}}
        await ask(client, "phx_join", ref=1, join_ref=1, topic="realtime:shop", payload=payload)
        await client.next("system")
        renewal = {"access_token": gateway.token(life_s=-5)}
        await ask(client, "access_token", ref=2, join_ref=1, topic="realtime:shop", payload=renewal)
        fault = await client.next("phx_error")

    assert fault.ref == 1


@pytest.mark.parametrize("vsn", VERSIONS)
async def test_a_topic_that_is_none_is_answered(gateway: Running, vsn: str) -> None:
    async with phoenix(gateway, vsn=vsn) as client:
        for topic in TOPICS:
            for event in ("phx_join", "heartbeat"):
                await ask(client, event, ref=3, join_ref=3, topic=topic, payload={})
                said = await client.receive()

                assert (said.ref, said.event, said.payload["status"]) == (3, "phx_reply", "error")
                assert same(said.topic, topic)


@pytest.mark.parametrize("vsn", VERSIONS)
async def test_an_odd_payload_is_answered(gateway: Running, vsn: str) -> None:
    async with phoenix(gateway, vsn=vsn) as client:
        for number, payload in enumerate(PAYLOADS):
            await ask(client, "heartbeat", ref=1, topic="phoenix", payload=payload)
            heartbeat = await client.next("phx_reply")
            await ask(client, "phx_join", ref=2, join_ref=2, topic=f"realtime:{number}", payload=payload)
            joined = await client.next("phx_reply")

            assert (heartbeat.ref, heartbeat.payload["status"]) == (1, "ok")
            assert (joined.ref, joined.payload["status"]) == (2, "ok")


async def test_what_is_nested_too_deeply_to_be_repeated_is_refused(gateway: Running) -> None:
    for levels in (300, 900, 1100, 100_000):
        async with phoenix(gateway) as client:
            deep = "[" * levels + "]" * levels
            wish = '{"event":"*","schema":"public","table":"whatsapp_incoming_messages","more":' + deep + "}"
            await client.raw.send(
                f'["1","1","realtime:shop","phx_join",{{"config":{{"postgres_changes":[{wish}]}}}}]'
            )

            assert (await client.receive()).ref == "1"
            await client.raw.send(f'{{"payload":{deep},"topic":"phoenix","event":"heartbeat","ref":9}}')
            assert (await client.next("phx_reply", lambda said: said.ref == 9)).payload["status"] == "ok"


async def test_channels_have_any_name(gateway: Running) -> None:
    async with phoenix(gateway) as client:
        for topic in ("🙂", "Ärzte/Zürich", "a b", "x.y:z", "%2F", "q" * 240, "\u202eabc", "null\u0000"):
            assert (await client.join(topic, ALL_INCOMING))["status"] == "ok"
            assert (await client.system())["channel"] == topic
