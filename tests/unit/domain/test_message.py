"""Identity, text that can be stored, delivery states, and what clients see of a row."""

from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain import message
from gateway.domain.message import INCOMING_TABLE, OUTGOING_TABLE, DeliveryState

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
    max_leaves=15,
)


def test_no_state_may_replace_itself_or_one_that_is_further() -> None:
    for state in DeliveryState:
        if state not in (DeliveryState.FAILED, DeliveryState.QUEUED):
            assert message.overwritten_by(state) == [item.word for item in DeliveryState if item < state]


def test_upstreams_pending_replaces_nothing() -> None:
    assert message.overwritten_by(DeliveryState.QUEUED) == []


def test_a_failure_replaces_what_was_not_delivered_yet_and_a_proof_replaces_the_failure() -> None:
    assert set(message.overwritten_by(DeliveryState.FAILED)) == {"unknown", "queued", "sent"}
    assert "failed" in message.overwritten_by(DeliveryState.DELIVERED)


@given(st.lists(st.sampled_from(DeliveryState), max_size=8), st.randoms())
def test_proof_that_it_was_read_wins_in_whatever_order_the_states_come(
    states: list[DeliveryState], order: Any
) -> None:
    everything = [*(state for state in states if state <= DeliveryState.READ), DeliveryState.READ]
    order.shuffle(everything)
    word = "unknown"
    for state in everything:
        word = state.word if word in message.overwritten_by(state) else word

    assert word == "read"


# ------------------------------------------------------------------------------------------ identity


@pytest.mark.parametrize(
    ("jid", "bare", "phone"),
    [
        ("49151@s.whatsapp.net", "49151@s.whatsapp.net", "49151"),
        ("49151:12@s.whatsapp.net", "49151@s.whatsapp.net", "49151"),
        ("49151@c.us", "49151@s.whatsapp.net", "49151"),
        ("+49 151", "+49 151", "49151"),
        ("198765@lid", "198765@lid", None),
        ("198765:3@lid", "198765@lid", None),
        ("12036@g.us", "12036@g.us", None),
        ("12036@newsletter", "12036@newsletter", None),
        ("status@broadcast", "status@broadcast", None),
        ("@s.whatsapp.net", "@s.whatsapp.net", None),
        ("", "", None),
    ],
)
def test_a_jid_names_a_phone_only_on_the_server_of_phones(jid: str, bare: str, phone: str | None) -> None:
    assert (message.bare_jid(jid), message.phone_of(jid)) == (bare, phone)


@pytest.mark.parametrize(
    ("chat", "address", "expected"),
    [
        ("x@g.us", "49151", "x@g.us"),
        (None, "+49 151-2", "491512@s.whatsapp.net"),
        (None, "198@lid", "198@lid"),
        ("", "49151", "49151@s.whatsapp.net"),
        (None, "Shop", "Shop"),
        (None, "", None),
        (None, None, None),
    ],
)
def test_a_row_without_a_chat_gets_it_from_its_phone(
    chat: str | None, address: str | None, expected: str | None
) -> None:
    assert message.chat_of(chat, address) == expected


# ------------------------------------------------------------------------------------------ text


@given(st.text(st.characters()))
def test_mended_text_can_be_stored_and_is_not_mended_twice(text: str) -> None:
    mended = message.mend_text(text)

    assert "\x00" not in mended
    mended.encode()
    assert message.mend_text(mended) == mended


@given(st.text())
def test_good_text_is_left_as_it_is_but_for_nul(text: str) -> None:
    assert message.mend_text(text) == text.replace("\x00", "")


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("a\x00b", "ab"),
        ("\ud83d", "\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("", ""),
    ],
)
def test_halves_of_an_emoji_are_joined_or_replaced(text: str, mended: str) -> None:
    assert message.mend_text(text) == mended


@given(JSON)
def test_every_string_of_a_json_value_is_mended_its_keys_too(value: Any) -> None:
    repr(message.mend(value)).encode()

    def strings(item: Any) -> list[str]:
        if isinstance(item, str):
            return [item]
        if isinstance(item, list):
            return [text for part in item for text in strings(part)]
        if isinstance(item, dict):
            return [text for pair in item.items() for part in pair for text in strings(part)]
        return []

    for text in strings(message.mend(value)):
        assert "\x00" not in text
        text.encode()


# ------------------------------------------------------------------------------------------ what clients see


@pytest.mark.parametrize(
    ("stored", "zone", "shown"),
    [
        ("2026-03-01T12:00:00+00:00", "UTC", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00.5+02:00", "UTC", "2026-03-01T10:00:00.500000Z"),
        ("2026-03-01T12:00:00", "Europe/Berlin", "2026-03-01T11:00:00Z"),
        ("2026-07-01T12:00:00", "Europe/Berlin", "2026-07-01T10:00:00Z"),
        ("infinity", "UTC", ""),
        ("-infinity", "UTC", ""),
        ("20000-01-01T00:00:00", "UTC", ""),
        ("0044-03-15T00:00:00+00:00 BC", "UTC", ""),
        ("9999-12-31T23:59:59", "America/New_York", ""),
        ("0001-01-01T00:00:00", "Europe/Berlin", ""),
        ("yesterday", "UTC", "yesterday"),
    ],
)
def test_times_are_shown_in_utc_and_naive_ones_are_read_in_the_operators_zone(
    stored: str, zone: str, shown: str
) -> None:
    assert message.utc_text(stored, ZoneInfo(zone)) == shown


def test_a_foreign_row_is_shown_with_what_it_lacks_and_without_raw_data() -> None:
    record = {"id": 7, "message_id": "x", "from_phone": "+49 151", "raw_data": {"sessionId": "key"}}

    data = message.message_data(INCOMING_TABLE, record, UTC)

    assert data == {
        "id": "7",
        "message_id": "x",
        "from_phone": "+49 151",
        "direction": "in",
        "ref": "in:7",
        "session_id": 0,
        "chat": "49151@s.whatsapp.net",
        "phone": "49151",
    }


@pytest.mark.parametrize(
    ("shops", "told", "columns"),
    [
        ({"ref": "A-17"}, {"ref": "in:7"}, {"ref": "A-17"}),
        (
            {"session_id": [1], "phone": None},
            {"session_id": 12, "phone": None},
            {"session_id": [1], "phone": None},
        ),
        ({"columns": 3, "direction": "left"}, {"direction": "in"}, {"columns": 3, "direction": "left"}),
        ({"name": "Ann", "at": 5}, {"name": "Ann", "at": 5}, {"name": "Ann", "at": 5}),
        ({"media": 5, "gateway_media": None}, {"media": None}, {"media": 5}),
        ({"send_no": 3, "payload": "x"}, {"send_no": 3, "payload": "x"}, None),
    ],
)
def test_a_column_of_the_shop_with_a_name_of_ours_is_told_beside_it(
    shops: dict[str, Any], told: dict[str, Any], columns: dict[str, Any] | None
) -> None:
    data = message.message_data(INCOMING_TABLE, {"id": 7, "wasender_session_id": 12, **shops}, UTC)

    assert {name: data[name] for name in told} == told
    assert data.get("columns") == columns


def test_the_digits_of_a_lid_are_never_shown_as_a_phone() -> None:
    record = {"id": 7, "to_phone": "198@lid", "chat": "198@lid", "wasender_session_id": 12}

    data = message.message_data(OUTGOING_TABLE, record, UTC)

    assert (data["phone"], data["direction"], data["session_id"]) == (None, "out", 12)


_FILE = {"id": "1", "state": "pending", "kind": "image"}


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"media": _FILE}, {"media": _FILE}),
        ({"media": "the shop's", "gateway_media": _FILE}, {"media": _FILE}),
        ({"media": "the shop's", "gateway_media": None}, {"media": None}),
        ({"media": {"the": "shop's"}, "gateway_media": None}, {"media": None}),
        ({"media": None, "gateway_media": _FILE}, {"media": _FILE}),
        ({"media": _FILE, "gateway_media": [1]}, {"media": _FILE, "gateway_media": [1]}),
        ({"media": _FILE, "gateway_media": {"a": 1}}, {"media": _FILE, "gateway_media": {"a": 1}}),
        ({"media": None, "gateway_media": None}, {"media": None, "gateway_media": None}),
        ({"media": None, "gateway_media": [1]}, {"media": None, "gateway_media": [1]}),
    ],
    ids=str,
)
@pytest.mark.parametrize("table", [INCOMING_TABLE, OUTGOING_TABLE])
def test_the_file_is_told_as_media_and_a_column_of_the_shop_under_its_own_name(
    table: str, columns: dict[str, Any], told: dict[str, Any]
) -> None:
    data = message.message_data(table, {"id": 1, **columns}, UTC)

    assert {name: value for name, value in data.items() if name.endswith("media")} == told
