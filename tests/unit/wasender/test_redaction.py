"""Redacting looks a body up in its text first: what it leaves alone holds no secret, whatever JSON comes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wasender import webhook

KEY = 'key "of" \\ a \n sessiön'
SECRET = "hush-hush"

# Texts in which secrets, parts of them and the names of keys are likely.
TEXTS = st.lists(
    st.sampled_from(
        [KEY, SECRET, KEY[:9], KEY[9:], "\\", '"', "n", "sessionId", "session_id", "\x00", "\ud83d", "ä"]
    ),
    max_size=4,
).map("".join)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def strings_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.items() for part in item for text in strings_of(part)]
    if isinstance(value, list):
        return [text for item in value for text in strings_of(item)]
    return [value] if isinstance(value, str) else []


@given(st.dictionaries(TEXTS, JSON, max_size=4), st.sampled_from([None, KEY, SECRET, 12]))
def test_no_string_of_what_is_kept_holds_a_secret(body: dict[str, Any], claimed: Any) -> None:
    kept = webhook.redact(body if claimed is None else {**body, "sessionId": claimed}, 12, [KEY, SECRET])

    assert not [text for text in strings_of(kept) if KEY in text or SECRET in text]
    assert not [text for text in strings_of(kept) if "\x00" in text or "\ud83d" in text]


@given(st.dictionaries(TEXTS, JSON, max_size=4))
def test_it_is_the_same_whether_the_text_tells_or_every_string_is_looked_at(body: dict[str, Any]) -> None:
    whole = {**body, "sessionId": KEY}

    kept = webhook.redact(whole, 12, [KEY, SECRET])
    # A NUL anywhere makes it look at everything.
    looked_at = webhook.redact({**whole, "nul": "\x00"}, 12, [KEY, SECRET])

    assert {**kept, "nul": ""} == looked_at


@pytest.mark.parametrize("name", ["sessionId", "session_id"])
def test_every_place_that_names_the_session_gets_our_number(name: str) -> None:
    kept = webhook.redact({"sessionId": KEY, "data": [{name: 7}, "text"]}, 12, [KEY])

    assert kept == {"sessionId": "12", "data": [{name: "12"}, "text"]}


def test_what_is_kept_can_be_written_as_json_again() -> None:
    assert json.loads(json.dumps(webhook.redact({"sessionId": KEY, "n": 2**70}, 12, []))) == {
        "sessionId": "12",
        "n": 2**70,
    }
