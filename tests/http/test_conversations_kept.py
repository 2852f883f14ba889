"""The list over REST is right while webhooks come in and a gateway keeps it up to date beside them."""

import random
from typing import Any

from tests.http.support import Shop, deleted, edited, eventually, received, sent
from tests.postgres.conversation_oracle import Oracle
from tests.unit.wasender import payload_parts as parts

JIDS = (parts.ANN_JID, parts.ANN_LID, parts.BOB_JID, parts.BOB_LID, parts.GROUP)

_BEHIND = """
SELECT count(*)
FROM gateway.inboxes AS i
LEFT JOIN gateway.projections AS p ON p.inbox = i.inbox
WHERE i.inbox >= 0 AND (p.off = i.off AND p.epoch = i.epoch AND p.next_chat IS NULL) IS NOT TRUE
"""


class Phones:
    """What customers and the shop's own phone do, by chance; every message has a second of its own."""

    def __init__(self, shop: Shop, seed: int) -> None:
        self._shop = shop
        self._chance = random.Random(seed)
        self._ids: list[str] = []
        self._seconds = list(range(10_000))
        self._chance.shuffle(self._seconds)

    async def act(self) -> None:
        session = self._chance.choice((12, 13))
        jid = self._chance.choice(JIDS)
        key_id = f"KEY{len(self._ids)}"
        at: dict[str, Any] = {"messageTimestamp": parts.SENT_S + self._seconds.pop()}
        match self._chance.choice(("received",) * 6 + ("sent",) * 3 + ("edited", "deleted", "read")):
            case "received":
                name = self._chance.choice(("Ann", "Bob"))
                await self._take(
                    received(key_id=key_id, jid=jid, key=self._key(jid), pushName=name, **at), session
                )
                self._ids.append(key_id)
            case "sent":
                await self._take(sent(key_id=key_id, jid=jid, **at), session)
                self._ids.append(key_id)
            case "edited":
                await self._take(edited("edited", self._known()), session)
            case "deleted":
                await self._take(deleted(self._known()), session)
            case "read":
                chat = jid.replace("@", "%40")
                await self._shop.gateway.data("POST", f"/api/conversations/{chat}/read?session={session}")

    def _key(self, jid: str) -> dict[str, Any]:
        """Sometimes a LID's number is told: what was stored under the LID moves to another chat."""
        if jid == parts.GROUP:
            return {"participant": parts.BOB_JID}
        if jid.endswith("@lid") and self._chance.random() < 0.3:
            return {"senderPn": parts.ANN_JID if jid == parts.ANN_LID else parts.BOB_JID}
        return {}

    def _known(self) -> str:
        return self._chance.choice(self._ids) if self._ids else "none"

    async def _take(self, body: dict[str, Any], session: int) -> None:
        await self._shop.take(body, session)


async def listed(shop: Shop, query: str) -> list[tuple[Any, ...]]:
    data = await shop.gateway.data("GET", f"/api/conversations?limit=200&{query}")
    return [
        (
            item["session_id"],
            item["chat"],
            item["last_at"],
            item["unread"],
            item["replied"],
            item["name"],
        )
        for item in data["conversations"]
    ]


async def test_the_list_is_right_after_every_webhook_and_the_one_kept_ready_comes_to_it(shop: Shop) -> None:
    phones = Phones(shop, seed=5)
    oracle = Oracle(shop.db)
    for _ in range(60):
        await phones.act()
        assert await listed(shop, "groups=1") == await oracle.conversations(None, "all", None, True)
        assert await listed(shop, "filter=unread&session=12") == await oracle.conversations(
            [12], "unread", None, False
        )
        assert await listed(shop, "filter=unreplied") == await oracle.conversations(
            None, "unreplied", None, False
        )

    await eventually(lambda: shop.db.fetchval(_BEHIND), lambda count: count == 0, "the list kept ready")
    kept = await shop.db.fetch(
        "SELECT session, chat, unread FROM gateway.conversations ORDER BY last_at DESC, session DESC, chat DESC"
    )
    rows = await oracle.conversations(None, "all", None, True)
    assert [tuple(row) for row in kept] == [(row[0], row[1], row[3]) for row in rows]
