"""Only its author edits or deletes a message; a group's admin deletes. The rest is refused and changes nothing."""

from typing import Any

import pytest

from tests.http.support import INCOMING, OUTGOING, Shop
from tests.http.webhook_makers import (
    GROUP,
    NINA,
    OLEG,
    PIA,
    deleted,
    edit,
    group,
    jid,
    key,
    revoke,
    said,
    update,
    upsert,
)

NINAS_LID = "220011223344550@lid"


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


async def outcome(shop: Shop) -> str:
    return str((await shop.last_entry())["outcome"])


@pytest.mark.parametrize(
    "forged",
    [
        edit("M", OLEG, "forged"),
        edit("M", NINA, "forged", mine=True),
        edit("M", GROUP, "forged", by=NINA),
        revoke("M", OLEG),
        revoke("M", NINA, mine=True),
        deleted(key("M", OLEG)),
        update(key("M", OLEG), {"message": {"editedMessage": {"message": {"conversation": "forged"}}}}),
        update(key("M", OLEG), {"message": None, "messageStubType": 1}),
        update(key("M", NINA, mine=True), {"message": None, "messageStubType": "REVOKE"}),
    ],
)
async def test_a_customers_message_is_changed_by_its_author_in_its_chat_alone(
    shop: Shop, forged: Any
) -> None:
    await shop.take(said("M", NINA, "as written"))
    await shop.take(forged)

    row = await shop.row()
    assert (row["message_text"], row["edited_at"], row["deleted_at"]) == ("as written", None, None)
    entry = await shop.last_entry()
    assert (entry["outcome"], entry["body"]["event"]) == ("refused", forged["event"])
    assert "author" in entry["reason"]


@pytest.mark.parametrize(
    "forged", [edit("M", NINA, "forged"), revoke("M", NINA), edit("M", OLEG, "x", mine=True)]
)
async def test_our_own_message_is_changed_by_us_in_its_chat_alone(shop: Shop, forged: Any) -> None:
    await shop.take(said("M", NINA, "500 euros", mine=True))
    await shop.take(forged)

    row = await shop.row(OUTGOING)
    assert (row["message_text"], row["deleted_at"], await outcome(shop)) == ("500 euros", None, "refused")


async def test_a_refused_change_can_be_listed_and_is_processed_again_by_command(shop: Shop) -> None:
    await shop.take(said("M", NINA))
    await shop.take(revoke("M", OLEG))

    (entry,) = await shop.gateway.data("GET", "/api/journal?outcome=refused")
    assert entry["has_body"]
    retried = await shop.gateway.data("POST", f"/api/journal/{entry['id']}/retry")
    assert retried["outcome"] == "refused"


async def test_lid_and_number_of_one_person_are_one_author(shop: Shop) -> None:
    await shop.take(said("M", NINA, "before"))
    await shop.take(said("N", NINAS_LID, senderPn=jid(NINA), senderLid=NINAS_LID))
    await shop.take(edit("M", NINAS_LID, "after"))

    assert [row["message_text"] for row in await shop.rows() if row["wa_key_id"] == "M"] == ["after"]


async def test_an_edit_under_another_spelling_of_the_number_is_the_authors(shop: Shop) -> None:
    await shop.take(said("M", "5531987650001", "before"))
    await shop.take(edit("M", "553187650001", "after"))

    assert (await shop.row())["message_text"] == "after"


async def test_a_member_of_a_group_changes_only_his_own_messages(shop: Shop) -> None:
    await shop.take(said("M", GROUP, "vote for plum", by=NINA))
    await shop.take(edit("M", GROUP, "vote for pear", by=OLEG))
    assert await outcome(shop) == "refused"
    await shop.take(revoke("M", GROUP, by=OLEG))
    assert await outcome(shop) == "refused"
    await shop.take(deleted(key("M", GROUP)))
    assert await outcome(shop) == "refused"
    await shop.take(edit("M", GROUP, "vote for cherry", by=NINA))

    row = await shop.row()
    assert (row["message_text"], row["deleted_at"]) == ("vote for cherry", None)


@pytest.mark.parametrize(("rank", "is_gone"), [("admin", True), ("superadmin", True), (None, False)])
async def test_an_admin_of_a_group_deletes_and_edits_nothing(
    shop: Shop, rank: str | None, is_gone: bool
) -> None:
    await shop.take(group((OLEG, rank), (NINA, None)))
    await shop.take(said("M", GROUP, "spam", by=NINA))
    await shop.take(edit("M", GROUP, "not spam", by=OLEG))
    await shop.take(revoke("M", GROUP, by=OLEG))

    row = await shop.row()
    assert (row["message_text"], row["deleted_at"] is not None) == ("spam", is_gone)


@pytest.mark.parametrize(("action", "is_gone"), [("promote", True), ("demote", False), ("remove", False)])
async def test_ranks_follow_what_becomes_of_the_members(shop: Shop, action: str, is_gone: bool) -> None:
    await shop.take(group((OLEG, "admin" if action != "promote" else None)))
    await shop.take(
        {
            "event": "group-participants.update",
            "data": {"id": GROUP, "participants": [jid(OLEG)], "action": action},
        }
    )
    await shop.take(said("M", GROUP, "spam", by=NINA))
    await shop.take(revoke("M", GROUP, by=OLEG))

    assert ((await shop.row())["deleted_at"] is not None) == is_gone


async def test_the_linked_phone_deletes_others_messages_in_a_group(shop: Shop) -> None:
    await shop.take(said("M", GROUP, "spam", by=NINA))
    await shop.take(revoke("M", GROUP, mine=True))

    assert (await shop.row())["deleted_at"] is not None


async def test_messages_delete_is_for_own_rows_and_private_chats(shop: Shop) -> None:
    await shop.take(said("A", NINA))
    await shop.take(said("B", GROUP, mine=True))
    await shop.take(deleted(key("A", NINA), key("B", GROUP)))

    assert (await shop.row())["deleted_at"] is not None
    assert (await shop.row(OUTGOING))["deleted_at"] is not None


async def test_a_chat_that_was_cleared_on_the_phone_stays_here(shop: Shop) -> None:
    await shop.take(said("A", NINA))
    await shop.take({"event": "messages.delete", "data": {"jid": jid(NINA), "all": True}})

    assert (await shop.row())["deleted_at"] is None
    assert await outcome(shop) == "ignored"


@pytest.mark.parametrize("mine", [True, False])
async def test_a_delivery_state_matches_chat_and_key_whatever_from_me_says(shop: Shop, mine: bool) -> None:
    await shop.take(said("M", NINA, mine=True))
    await shop.take(update(key("M", OLEG, mine=mine), {"status": 4}))
    assert ((await shop.row(OUTGOING))["status"], await outcome(shop)) == ("sent", "refused")
    await shop.take(update(key("M", NINA, mine=mine), {"status": 4}))

    assert (await shop.row(OUTGOING))["status"] == "read"


async def test_the_same_id_of_another_author_is_another_message(shop: Shop) -> None:
    await shop.take(said("M", NINA, "mine"))
    await shop.take(said("M", OLEG, "his"))
    await shop.take(said("M", GROUP, "hers", by=PIA))
    await shop.take(said("M", OLEG, "his"))

    found = {row["message_id"]: (row["wa_key_id"], row["message_text"]) for row in await shop.rows()}
    assert found == {"M": ("M", "mine"), f"M@12~{OLEG}": ("M", "his"), f"M@12~{PIA}": ("M", "hers")}
    assert await outcome(shop) == "duplicate"
    await shop.take(edit("M", OLEG, "his, edited"))
    texts = await shop.db.fetch(f"SELECT message_text FROM {INCOMING} ORDER BY message_id")
    assert [row[0] for row in texts] == ["mine", "his, edited", "hers"]


async def test_the_same_id_of_another_member_is_another_message(shop: Shop) -> None:
    await shop.take(said("M", GROUP, "hers", by=NINA))
    await shop.take(said("M", GROUP, "his", by=OLEG))

    assert [(row["from_phone"], row["message_text"]) for row in await shop.rows()] == [
        (NINA, "hers"),
        (OLEG, "his"),
    ]


async def test_several_changes_of_one_webhook_are_each_judged(shop: Shop) -> None:
    await shop.take(said("A", NINA, "a"))
    await shop.take(said("B", OLEG, "b"))
    both = upsert(*edit("A", NINA, "a2")["data"]["messages"], *edit("B", NINA, "b2")["data"]["messages"])
    await shop.take(both)

    assert [row["message_text"] for row in await shop.rows()] == ["a2", "b"]
    entry = await shop.last_entry()
    assert (entry["outcome"], entry["body"] is not None) == ("stored", True)
