"""WasenderAPI's npm SDK, unmodified, sends through the gateway: a bot gets the queue and the pace without a change."""

from pathlib import Path

from gateway.domain.access import Role
from tests.clients.conftest import wasenderapi_sdk
from tests.sending.support import ANN, opened


async def test_the_sdk_sends_reads_edits_and_deletes(database: str, tmp_path: Path) -> None:
    async with opened(database, tmp_path) as shop:
        session_id = await shop.linked()
        token = shop.gateway.token(Role.AGENT, {session_id})
        async with wasenderapi_sdk("wasenderapi", f"{shop.gateway.url}/api", token) as sdk:
            taken = await sdk.data("sendText", {"to": f"+{ANN}", "text": "Hello"})
            assert taken["status"] == "in_progress"
            number = taken["msgId"]
            (row,) = await shop.rows()
            await shop.until(str(row["id"]), "read")

            info = await sdk.data("getMessageInfo", number)
            assert (info["msgId"], info["status"], info["key"]["fromMe"]) == (number, 4, True)
            quoted = await sdk.data("sendQuotedMessage", {"to": ANN, "text": "As I said", "replyTo": number})
            await shop.eventually(shop.sends, lambda found: len(found) == 2)
            assert (await sdk.data("editMessage", number, "Hi"))["msgId"] == number
            await sdk.call("deleteMessage", number)
            await sdk.data("sendImage", {"to": ANN, "imageUrl": "https://shop.example/a.jpg", "text": "Look"})

        sends = await shop.eventually(shop.sends, lambda found: len(found) == 3)
        assert [send["kind"] for send in sends] == ["text", "text", "image"]
        assert sends[1]["reply_to"] == sends[0]["msgId"]
        assert quoted["msgId"] != number
        assert (await shop.row(str(row["id"])))["deleted_at"] is not None
