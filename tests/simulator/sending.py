"""What the tests of sends do: they send, read the ledger, set a mode, and read the states told."""

from typing import Any

from tests.simulator.support import Receiver, Reply, Served

ANN = "+491701234567"
ANN_JID = "491701234567@s.whatsapp.net"


async def send(served: Served, key: str, **body: Any) -> Reply:
    return await served.call("POST", "/api/send-message", {"to": ANN, **body}, token=key)


async def sends(served: Served, query: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (await served.control("GET", f"/sends{query}")).data
    return rows


async def mode(served: Served, name: str, **more: Any) -> None:
    reply = await served.control("POST", "/faults", {"mode": name, **more})
    assert reply.status == 200, reply.text


def states_of(receiver: Receiver) -> list[int]:
    return [hook.body["data"]["update"]["status"] for hook in receiver.got if hook.event == "messages.update"]
