"""A change whose own key names LID and number: it is its author's, and the two are one person from then on."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.http.support import INCOMING, OUTGOING, Shop, eventually
from tests.http.webhook_makers import OLEG, deleted, edit, jid, key, react, revoke, said, update

_numbers = itertools.count(1)


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


@pytest.fixture
def lid() -> str:
    """Of a person that no test has met: what is known of a person stays known."""
    return f"88001122{next(_numbers):07d}@lid"


def phone_of(lid: str) -> str:
    return f"49152{lid[7:15]}"


Changing = Callable[[str, str], Any]
"""A webhook about the message M of the person with this LID and number."""

EDITS: dict[str, Changing] = {
    "by its LID, the sender's number beside it": lambda lid, phone: edit(
        "M", lid, "new", senderPn=jid(phone)
    ),
    "by its LID, the other address of the chat beside it": lambda lid, phone: edit(
        "M", lid, "new", remoteJidAlt=jid(phone)
    ),
    "by its number, the LID beside it": lambda lid, phone: edit("M", phone, "new", senderLid=lid),
    "as an update": lambda lid, phone: update(
        key("M", phone, senderLid=lid),
        {"message": {"editedMessage": {"message": {"conversation": "new"}}}},
    ),
}


async def one_conversation(shop: Shop, phone: str) -> None:
    async def chats() -> list[str]:
        data = await shop.gateway.data("GET", "/api/conversations?session=12&limit=200")
        return [item["chat"] for item in data["conversations"]]

    await eventually(chats, lambda found: found == [jid(phone)])


@pytest.mark.parametrize("kind", EDITS)
async def test_an_edit_that_brings_the_number_of_a_lid_is_applied(shop: Shop, lid: str, kind: str) -> None:
    await shop.take(said("M", lid, "old"))
    await shop.take(EDITS[kind](lid, phone_of(lid)))

    assert (await shop.row())["message_text"] == "new"
    assert (await shop.last_entry())["outcome"] == "stored"
    await one_conversation(shop, phone_of(lid))


async def test_an_edit_on_the_own_phone_that_brings_the_number_of_a_lid_is_applied(
    shop: Shop, lid: str
) -> None:
    await shop.take(said("M", lid, "old", mine=True))
    await shop.take(edit("M", phone_of(lid), "new", mine=True, remoteJidAlt=lid))

    assert (await shop.row(OUTGOING))["message_text"] == "new"


@pytest.mark.parametrize("is_named", [True, False], ids=["a revoke", "messages.delete"])
async def test_a_deletion_that_brings_the_number_of_a_lid_is_applied(
    shop: Shop, lid: str, is_named: bool
) -> None:
    phone = phone_of(lid)
    await shop.take(said("M", lid))
    await shop.take(
        revoke("M", phone, senderLid=lid) if is_named else deleted(key("M", phone, senderLid=lid))
    )

    assert (await shop.row())["deleted_at"] is not None


async def test_a_reaction_that_brings_the_number_of_a_lid_is_shown(shop: Shop, lid: str) -> None:
    await shop.take(said("M", lid))
    await shop.take(react("M", phone_of(lid), "👍", senderLid=lid))

    (one,) = (await shop.row())["reactions"]
    assert one["emoji"] == "👍"


async def test_a_state_that_brings_the_number_of_a_lid_moves_the_message(shop: Shop, lid: str) -> None:
    await shop.take(said("M", lid, mine=True))
    await shop.take(update(key("M", phone_of(lid), mine=True, remoteJidAlt=lid), {"status": 4}))

    assert (await shop.row(OUTGOING))["status"] == "read"
    await one_conversation(shop, phone_of(lid))


async def test_a_change_of_another_person_is_refused_whatever_link_it_brings(shop: Shop, lid: str) -> None:
    await shop.take(said("M", OLEG, "as written"))
    await shop.take(edit("M", phone_of(lid), "forged", senderLid=lid))

    assert (await shop.row())["message_text"] == "as written"
    assert (await shop.last_entry())["outcome"] == "refused"
    assert await shop.db.fetchval(f"SELECT count(*) FROM {INCOMING}") == 1
