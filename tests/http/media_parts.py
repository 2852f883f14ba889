"""A number that is linked at the simulator, files that come to it, and what became of them."""

import base64
import hashlib
from typing import Any

from tests.http.support import Shop, eventually

SENDER = "15550002222"


class Post:
    """Sends files to one linked number, as a customer does."""

    def __init__(self, shop: Shop, session_id: int) -> None:
        self.shop = shop
        self.session_id = session_id

    async def send(self, content: bytes, kind: str = "image", **wish: Any) -> str:
        """A message with this file arrives; its key id."""
        media = {"kind": kind, "base64": base64.b64encode(content).decode(), **wish}
        return await self.send_wish({"media": media})

    async def send_wish(self, wish: dict[str, Any]) -> str:
        """A message that the simulator makes of a wish arrives; its key id."""
        path = f"/_simulator/sessions/{self.session_id}/inbound"
        said = await self.shop.gateway.data("POST", path, {"from": SENDER, **wish}, token="")
        return str(said["key_id"])

    async def row(self, key_id: str) -> Any:
        return await self.shop.db.fetchval(
            "SELECT media FROM whatsapp_incoming_messages WHERE wa_key_id = $1", key_id
        )

    async def settled(self, key_id: str) -> dict[str, Any]:
        """What the message says of its file once it is not `pending` any more."""
        media = await eventually(
            lambda: self.row(key_id), lambda said: said is not None and said["state"] != "pending", "the file"
        )
        return dict(media)

    async def get(
        self, media_id: str, query: str = "", *, token: str | None = None, **headers: str
    ) -> tuple[int, bytes, Any]:
        """Status, body and headers of `GET /api/media/{id}`."""
        return await self.fetch(f"/api/media/{media_id}{query}", token=token, **headers)

    async def fetch(self, path: str, *, token: str | None = None, **headers: str) -> tuple[int, bytes, Any]:
        bearer = self.shop.gateway.token() if token is None else token
        given = {**({"Authorization": f"Bearer {bearer}"} if bearer else {}), **headers}
        async with self.shop.http.get(self.shop.gateway.url + path, headers=given) as reply:
            return reply.status, await reply.read(), reply.headers


async def linked_number(shop: Shop) -> Post:
    session_id = await shop.create(webhook_enabled=True)
    async with shop.gateway.socket() as socket:
        await socket.subscribe(f"session:{session_id}")
        await shop.gateway.data("POST", f"/api/whatsapp-sessions/{session_id}/connect")
        await socket.state("session.qr")
        await shop.gateway.data("POST", f"/_simulator/sessions/{session_id}/scan", token="")
        await socket.state("session.link_ended")
    return Post(shop, session_id)


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
