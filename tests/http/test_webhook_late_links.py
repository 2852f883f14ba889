"""What came under one address of a person and concerns what came under the other, when the two become known as one."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.http.support import INCOMING, OUTGOING, Shop, eventually
from tests.http.webhook_makers import (
    GROUP,
    contact,
    deleted,
    edit,
    element,
    group,
    jid,
    key,
    react,
    revoke,
    said,
    sealed_edit,
    update,
    upsert,
    with_secret,
)

_numbers = itertools.count(1)


@pytest.fixture
def shop(shared_swept_shop: Shop) -> Shop:
    """The gateway of this file."""
    return shared_swept_shop


@pytest.fixture
def lid() -> str:
    """Of a person that no test has met: what is known of a person stays known."""
    return f"88004455{next(_numbers):07d}@lid"


def phone_of(lid: str) -> str:
    return f"49157{lid[7:15]}"


# ---------------------------------------------------------------------------------------------- how a link is learnt


def by_message(lid: str) -> Any:
    return said("LINK", lid, "it is me", ago=5, senderPn=jid(phone_of(lid)))


def by_contact(lid: str) -> Any:
    return contact(jid(phone_of(lid)), lid=lid, name="Somebody")


LINKS: dict[str, Callable[[str], Any]] = {
    "by a later message": by_message,
    "by the address book": by_contact,
}

# ---------------------------------------------------------------------------------------------- what waits for it

Change = tuple[Callable[[str], Any], bool, Callable[[dict[str, Any]], Any], Any, Any]
"""The webhook about M under this address, whether M is our own, what of the row it changes, to what, and from what."""

CHANGES: dict[str, Change] = {
    "an edit": (lambda at: edit("M", at, "new"), False, lambda row: row["message_text"], "new", "old"),
    "an edit as an update": (
        lambda at: update(key("M", at), {"message": {"editedMessage": {"message": {"conversation": "new"}}}}),
        False,
        lambda row: row["message_text"],
        "new",
        "old",
    ),
    "an own edit": (
        lambda at: edit("M", at, "new", mine=True),
        True,
        lambda row: row["message_text"],
        "new",
        "old",
    ),
    "a revoke": (lambda at: revoke("M", at), False, lambda row: row["deleted_at"] is not None, True, False),
    "an own revoke": (
        lambda at: revoke("M", at, mine=True),
        True,
        lambda row: row["deleted_at"] is not None,
        True,
        False,
    ),
    "messages.delete": (
        lambda at: deleted(key("M", at)),
        False,
        lambda row: row["deleted_at"] is not None,
        True,
        False,
    ),
    "a reaction": (
        lambda at: react("M", at, "👍"),
        False,
        lambda row: [one["emoji"] for one in row["reactions"] or []],
        ["👍"],
        [],
    ),
    "a reaction to our own": (
        lambda at: react("M", at, "👍"),
        True,
        lambda row: [one["emoji"] for one in row["reactions"] or []],
        ["👍"],
        [],
    ),
    "a state": (
        lambda at: update(key("M", at, mine=True), {"status": 4}),
        True,
        lambda row: row["status"],
        "read",
        "sent",
    ),
}


async def row_of(shop: Shop, table: str) -> dict[str, Any]:
    (row,) = await shop.db.fetch(f"SELECT * FROM {table} WHERE wa_key_id = 'M'")
    return dict(row)


@pytest.mark.parametrize("is_first", [True, False], ids=["before it", "after it"])
@pytest.mark.parametrize("by_phone", [True, False], ids=["by its number", "by its LID"])
@pytest.mark.parametrize("kind", CHANGES)
async def test_a_change_under_the_other_address_counts_once_both_are_one(
    shop: Shop, lid: str, kind: str, by_phone: bool, is_first: bool
) -> None:
    make, mine, look, after, before = CHANGES[kind]
    phone, table = phone_of(lid), OUTGOING if mine else INCOMING
    message = said("M", lid if by_phone else phone, "old", mine=mine)
    change = make(phone if by_phone else lid)
    for body in (change, message) if is_first else (message, change):
        await shop.take(body)
    assert look(await row_of(shop, table)) == before
    if not is_first:
        entry = await shop.last_entry()
        assert entry["outcome"] == "refused"
        assert "as soon as the two addresses" in entry["reason"]

    await shop.take(LINKS["by the address book" if by_phone else "by a later message"](lid))
    assert look(await row_of(shop, table)) == after
    for waiting in ("early_changes", "early_deliveries"):
        assert await shop.db.fetchval(f"SELECT count(*) FROM gateway.{waiting}") == 0


async def test_in_a_group_a_members_edit_under_the_other_address_counts_once_both_are_one(
    shop: Shop, lid: str
) -> None:
    await shop.take(said("M", GROUP, "old", by=lid))
    await shop.take(edit("M", GROUP, "new", by=phone_of(lid)))
    assert (await row_of(shop, INCOMING))["message_text"] == "old"

    await shop.take(said("N", GROUP, "it is me", by=lid, participantPn=jid(phone_of(lid))))
    assert (await row_of(shop, INCOMING))["message_text"] == "new"


async def test_what_waits_for_a_link_is_dropped_when_the_lid_is_of_another_number(
    shop: Shop, lid: str
) -> None:
    await shop.take(said("M", lid, "as written"))
    await shop.take(edit("M", "4915799999999", "forged"))
    await shop.take(by_message(lid))

    assert (await row_of(shop, INCOMING))["message_text"] == "as written"
    assert await shop.db.fetchval("SELECT count(*) FROM gateway.early_changes") == 0


async def test_of_two_strangers_who_wait_only_the_author_counts(shop: Shop, lid: str) -> None:
    await shop.take(said("M", lid, "as written"))
    await shop.take(edit("M", "4915799999998", "forged", ago=5))
    await shop.take(edit("M", phone_of(lid), "new", ago=10))
    await shop.take(by_contact(lid))

    assert (await row_of(shop, INCOMING))["message_text"] == "new"


async def test_of_two_edits_that_waited_the_later_one_counts(shop: Shop, lid: str) -> None:
    await shop.take(said("M", lid, "old"))
    await shop.take(edit("M", phone_of(lid), "last", ago=5))
    await shop.take(edit("M", phone_of(lid), "first", ago=15))
    await shop.take(by_contact(lid))

    assert (await row_of(shop, INCOMING))["message_text"] == "last"


async def test_a_state_that_waited_does_not_take_back_what_came_meanwhile(shop: Shop, lid: str) -> None:
    await shop.take(said("M", lid, mine=True))
    await shop.take(update(key("M", phone_of(lid), mine=True), {"status": 3}))
    await shop.take(update(key("M", lid, mine=True), {"status": 4}))
    await shop.take(by_contact(lid))

    assert (await row_of(shop, OUTGOING))["status"] == "read"


async def test_an_encrypted_edit_that_waited_is_read_once_both_addresses_are_one(
    shop: Shop, lid: str
) -> None:
    phone = jid(phone_of(lid))
    await shop.take(with_secret(lid))
    await shop.take(sealed_edit("new text", phone))
    assert (await shop.row())["message_text"] == "old"
    await shop.take(by_contact(lid))

    row = await eventually(shop.row, lambda found: found["message_text"] == "new text")
    assert row["edited_on_phone"] is None
    assert await shop.db.fetchval("SELECT count(*) FROM gateway.early_changes") == 0


# ---------------------------------------------------------------------------------------------- one message, two rows


def content(key_id: str, at: str, message: Any, *, ago: int = 60, **more: Any) -> Any:
    return upsert(element(key(key_id, at, **more), message, ago=ago))


async def copies(shop: Shop) -> list[dict[str, Any]]:
    rows = await shop.db.fetch(f"SELECT * FROM {INCOMING} WHERE wa_key_id = 'M' ORDER BY id")
    return [dict(row) for row in rows]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("lid_first", [True, False], ids=["LID first", "number first"])
async def test_a_message_that_came_under_both_addresses_is_one_row_once_they_are_one(
    shop: Shop, lid: str, link: str, lid_first: bool
) -> None:
    addresses = [lid, phone_of(lid)] if lid_first else [phone_of(lid), lid]
    for address in addresses:
        await shop.take(said("M", address, "hello"))
    first, _ = await copies(shop)

    await shop.take(LINKS[link](lid))
    (one,) = await copies(shop)
    assert one["id"] == first["id"]
    assert one["message_text"] == "hello"
    assert one["chat"] == jid(phone_of(lid))
    data = await shop.gateway.data("GET", f"/api/conversations/{phone_of(lid)}/messages?session=12")
    assert [message["message_text"] for message in data["messages"]][:1] == ["hello"]
    assert len(data["messages"]) == 1 + (link == "by a later message")


async def test_in_a_group_a_message_that_came_under_both_addresses_is_one_row(shop: Shop, lid: str) -> None:
    await shop.take(group((phone_of(lid), None)))
    await shop.take(said("M", GROUP, "hello", by=lid))
    await shop.take(said("M", GROUP, "hello", by=phone_of(lid)))
    await shop.take(by_contact(lid))

    assert [row["message_text"] for row in await copies(shop)] == ["hello"]


@pytest.mark.parametrize("empty_first", [True, False])
async def test_a_placeholder_and_its_content_under_the_other_address_are_one_row(
    shop: Shop, lid: str, empty_first: bool
) -> None:
    empty = content("M", lid, None)
    full = content("M", phone_of(lid), {"conversation": "hello"})
    for body in (empty, full) if empty_first else (full, empty):
        await shop.take(body)
    assert len(await copies(shop)) == 2
    await shop.take(by_contact(lid))

    (one,) = await copies(shop)
    assert (one["message_text"], one["message_type"]) == ("hello", "text")


@pytest.mark.parametrize("by_phone", [True, False], ids=["then its number", "then its LID"])
async def test_an_own_message_that_came_empty_is_filled_under_the_other_address(
    shop: Shop, lid: str, by_phone: bool
) -> None:
    addresses = [lid, phone_of(lid)] if by_phone else [phone_of(lid), lid]
    await shop.take(content("M", addresses[0], None, mine=True))
    await shop.take(said("M", addresses[1], "hello", mine=True))
    assert (await row_of(shop, OUTGOING))["message_text"] == "hello"
    await shop.take(by_contact(lid))

    assert (await row_of(shop, OUTGOING))["chat"] == jid(phone_of(lid))


async def test_what_was_done_to_a_copy_is_kept(shop: Shop, lid: str) -> None:
    phone = phone_of(lid)
    await shop.take(said("M", lid, "hello"))
    await shop.take(said("M", phone, "hello"))
    await shop.take(edit("M", phone, "hello you", ago=20))
    await shop.take(react("M", lid, "👍", ago=15))
    await shop.db.execute(
        f"UPDATE {INCOMING} SET is_read = true WHERE wa_key_id = 'M' AND chat = $1", jid(phone)
    )
    await shop.take(by_contact(lid))

    (one,) = await copies(shop)
    assert one["message_text"] == "hello you"
    assert [each["emoji"] for each in one["reactions"]] == ["👍"]
    assert one["is_read"]


async def test_two_contents_under_one_key_stay_two_rows(shop: Shop, lid: str) -> None:
    await shop.take(said("M", lid, "hello"))
    await shop.take(said("M", phone_of(lid), "something else"))
    await shop.take(by_contact(lid))

    assert [row["message_text"] for row in await copies(shop)] == ["hello", "something else"]
    assert {row["chat"] for row in await copies(shop)} == {jid(phone_of(lid))}


async def test_a_copy_that_a_table_of_the_shop_holds_on_to_stays(shop: Shop, lid: str) -> None:
    await shop.take(said("M", lid, "hello"))
    await shop.take(said("M", phone_of(lid), "hello"))
    _, copy = await copies(shop)
    await shop.db.execute(f"CREATE TABLE notes (message bigint REFERENCES {INCOMING} (id))")
    try:
        await shop.db.execute("INSERT INTO notes VALUES ($1)", copy["id"])
        await shop.take(by_contact(lid))
        assert len(await copies(shop)) == 2
        assert {row["chat"] for row in await copies(shop)} == {jid(phone_of(lid))}
    finally:
        await shop.db.execute("DROP TABLE notes")


async def test_browsers_are_told_that_the_copy_is_gone(shop: Shop, lid: str) -> None:
    await shop.take(said("M", lid, "hello"))
    await shop.take(said("M", phone_of(lid), "hello"))
    _, copy = await copies(shop)
    await shop.take(by_contact(lid))

    async def told() -> list[str]:
        rows = await shop.db.fetch(
            "SELECT op FROM gateway.stream WHERE coalesce(record, old) ->> 'id' = $1 ORDER BY inbox, off",
            str(copy["id"]),
        )
        return [row["op"] for row in rows]

    assert "DELETE" in await eventually(told, lambda found: "DELETE" in found)


# ---------------------------------------------------------------------------------------------- LIDs in disguise


def disguised(lid: str) -> str:
    return lid.partition("@")[0]


async def chats_of(shop: Shop) -> set[str]:
    rows = await shop.db.fetch(f"SELECT chat FROM {INCOMING} UNION SELECT chat FROM {OUTGOING}")
    return {row["chat"] for row in rows}


@pytest.mark.parametrize("mine", [False, True], ids=["theirs", "ours"])
async def test_the_digits_of_a_known_lid_are_no_phone_number(shop: Shop, lid: str, mine: bool) -> None:
    await shop.take(by_message(lid))
    await shop.take(said("M", disguised(lid), "hello", mine=mine))

    assert await chats_of(shop) == {jid(phone_of(lid))}
    row = await row_of(shop, OUTGOING if mine else INCOMING)
    assert row["to_phone" if mine else "from_phone"] == phone_of(lid)


async def test_the_digits_of_a_lid_that_the_same_request_names_are_no_phone_number(
    shop: Shop, lid: str
) -> None:
    await shop.take(
        upsert(
            element(key("L", lid, senderPn=jid(phone_of(lid))), {"conversation": "it is me"}),
            element(key("M", disguised(lid)), {"conversation": "hello"}),
        )
    )

    assert await chats_of(shop) == {jid(phone_of(lid))}


async def test_a_change_under_the_digits_of_a_known_lid_counts(shop: Shop, lid: str) -> None:
    await shop.take(by_message(lid))
    await shop.take(said("M", phone_of(lid), "old"))
    await shop.take(edit("M", disguised(lid), "new"))

    assert (await row_of(shop, INCOMING))["message_text"] == "new"


async def test_a_state_under_the_digits_of_a_known_lid_counts(shop: Shop, lid: str) -> None:
    await shop.take(by_message(lid))
    await shop.take(said("M", phone_of(lid), "old", mine=True))
    await shop.take(update(key("M", disguised(lid), mine=True), {"status": 4}))

    assert (await row_of(shop, OUTGOING))["status"] == "read"


async def test_digits_that_turn_out_to_be_a_lids_move_to_the_person(shop: Shop, lid: str) -> None:
    await shop.take(said("M", disguised(lid), "hello"))
    await shop.gateway.data("GET", "/api/conversations?session=12")

    async def is_listed() -> bool:
        return bool(
            await shop.db.fetchval(
                "SELECT EXISTS (SELECT FROM gateway.conversations WHERE chat = $1)", jid(disguised(lid))
            )
        )

    await eventually(is_listed)
    await shop.take(by_message(lid))

    assert await chats_of(shop) == {jid(phone_of(lid))}
    assert (await row_of(shop, INCOMING))["from_phone"] == phone_of(lid)


async def test_a_long_number_that_somebody_has_is_theirs_whatever_lid_has_its_digits(
    shop: Shop, lid: str
) -> None:
    other = f"88009988{next(_numbers):07d}@lid"
    await shop.take(contact(jid(disguised(lid)), lid=other, name="Has a long number"))
    await shop.take(by_message(lid))
    await shop.take(said("M", disguised(lid), "hello"))

    assert (await row_of(shop, INCOMING))["chat"] == jid(disguised(lid))
