"""What the tests of states share: sessions that upstream has, too, and what a late joiner sees."""

from typing import Any

from tests.launcher.running import Running, Socket


async def made(gateway: Running, name: str = "Shop") -> int:
    """A session that upstream has, too."""
    body = {"name": name, "phone_number": "+15550001111"}
    number: int = (await gateway.data("POST", "/api/whatsapp-sessions", body))["id"]
    return number


async def linking(gateway: Running, socket: Socket, number: int) -> dict[str, Any]:
    """Starts an attempt; returns its first code as pushed."""
    await gateway.data("POST", f"/api/whatsapp-sessions/{number}/connect")
    return await socket.state("session.qr")


def states_of(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [frame for frame in frames if frame["type"] == "state"]


async def seen_by_a_late_joiner(gateway: Running, topic: str, token: str | None = None) -> dict[str, str]:
    """Part → event of what a new subscriber gets at once."""
    async with gateway.socket(token) as socket:
        return {value["part"]: value["event"] for value in (await socket.subscribe(topic))["state"]}
