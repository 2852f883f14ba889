"""A bare client of Supabase Realtime's wire, in both versions; it sends what the real clients send."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect

from tests.launcher.running import DEADLINE_S, Running

PATH = "/realtime/v1/websocket"
INCOMING = "whatsapp_incoming_messages"
OUTGOING = "whatsapp_outgoing_messages"
SESSIONS = "whatsapp_sessions"
ALL_INCOMING = {"event": "*", "schema": "public", "table": INCOMING}


class Said(NamedTuple):
    """A frame of the server. `join_ref` is None in version 1, which has none."""

    join_ref: Any
    ref: Any
    topic: str
    event: str
    payload: dict[str, Any]


class Phoenix:
    def __init__(self, raw: ClientConnection, vsn: str) -> None:
        self.raw = raw
        self.vsn = vsn
        self.said: list[Said] = []
        self._ref = 0

    async def send(
        self, topic: str, event: str, payload: Any, *, join_ref: str | None = None, ref: str | None = None
    ) -> str:
        """Returns the ref; without one, the next."""
        if ref is None:
            self._ref += 1
            ref = str(self._ref)
        if self.vsn.startswith("2"):
            await self.raw.send(json.dumps([join_ref, ref, topic, event, payload]))
        else:
            frame = {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": join_ref}
            await self.raw.send(json.dumps(frame))
        return ref

    async def receive(self) -> Said:
        async with asyncio.timeout(DEADLINE_S):
            raw = json.loads(await self.raw.recv())
        if isinstance(raw, dict):
            assert self.vsn.startswith("1")
            assert raw.keys() == {"topic", "event", "payload", "ref"}
            said = Said(None, raw["ref"], raw["topic"], raw["event"], raw["payload"])
        else:
            assert self.vsn.startswith("2")
            said = Said(*raw)
        self.said.append(said)
        return said

    async def next(self, event: str, where: Callable[[Said], bool] = lambda _: True) -> Said:
        while True:
            said = await self.receive()
            if said.event == event and where(said):
                return said

    async def join(
        self, topic: str, *changes: dict[str, Any], token: str | None = None, **config: Any
    ) -> dict[str, Any]:
        """Joins `realtime:<topic>`; returns the payload of the reply."""
        ref = await self.ask_to_join(topic, *changes, token=token, **config)
        return (await self.next("phx_reply", lambda said: said.ref == ref)).payload

    async def ask_to_join(
        self, topic: str, *changes: dict[str, Any], token: str | None = None, **config: Any
    ) -> str:
        payload: dict[str, Any] = {
            "config": {
                "broadcast": {"ack": False, "self": False},
                "presence": {"key": "", "enabled": False},
                "postgres_changes": list(changes),
                "private": False,
                **config,
            }
        }
        if token is not None:
            payload["access_token"] = token
        self._ref += 1
        ref = str(self._ref)
        return await self.send(f"realtime:{topic}", "phx_join", payload, join_ref=ref, ref=ref)

    async def change(self) -> dict[str, Any]:
        """`data` of the next change."""
        data: dict[str, Any] = (await self.next("postgres_changes")).payload["data"]
        return data

    async def system(self) -> dict[str, Any]:
        return (await self.next("system")).payload

    async def changes_until_now(self, topic: str = "probe") -> list[dict[str, Any]]:
        """The changes that came before the answer to a question asked now."""
        start = len(self.said)
        ref = await self.send("phoenix", "heartbeat", {})
        await self.next("phx_reply", lambda said: said.ref == ref)
        return [said.payload["data"] for said in self.said[start:] if said.event == "postgres_changes"]


@contextlib.asynccontextmanager
async def phoenix(
    gateway: Running, key: str | None = None, vsn: str = "2.0.0", **more: Any
) -> AsyncIterator[Phoenix]:
    """An open socket; without a key, as an agent on all sessions."""
    query = urlencode({"apikey": gateway.token() if key is None else key, "vsn": vsn})
    address = f"{gateway.url.replace('http', 'ws', 1)}{PATH}?{query}"
    async with connect(address, compression=None, **more) as raw:
        yield Phoenix(raw, vsn)
