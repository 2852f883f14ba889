"""Which spellings of a number are one person's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.contacts import jid_variants, variants_of

ONE_PERSON = [
    ("5511976543210", "551176543210"),  # Brazil, eight digits that begin with 7
    ("5521998765432", "552198765432"),
    ("5585961234567", "558561234567"),
    ("525587654321", "5215587654321"),  # Mexico
    ("523312345678", "5213312345678"),
    ("5491134567890", "541134567890"),  # Argentina
    ("5492914567890", "542914567890"),
]
TWO_PEOPLE = [
    ("5511932109876", "551132109876"),  # Brazil, a landline: its eight digits begin with 3
    ("5511952109876", "551152109876"),
    ("5501976543210", "550176543210"),  # no area of Brazil
    ("521558765432", "52558765432"),  # a digit short
    ("15512345678", "5512345678"),
    ("4915112345678", "415112345678"),
    ("5411345678901", "54911345678901"),
]


@pytest.mark.parametrize(("dialled", "other"), ONE_PERSON)
def test_two_spellings_are_one_person(dialled: str, other: str) -> None:
    assert variants_of(dialled) == variants_of(other) == (dialled, other)
    assert jid_variants(f"{other}@s.whatsapp.net") == (f"{dialled}@s.whatsapp.net", f"{other}@s.whatsapp.net")


@pytest.mark.parametrize(("one", "other"), TWO_PEOPLE)
def test_numbers_that_only_look_alike_are_two_people(one: str, other: str) -> None:
    assert (variants_of(one), variants_of(other)) == ((one,), (other,))


@pytest.mark.parametrize("jid", ["5215587654321@lid", "5215587654321@g.us", "US.5215587654321", ""])
def test_only_the_number_of_a_phone_has_spellings(jid: str) -> None:
    assert jid_variants(jid) == (jid,)


@given(st.one_of(st.from_regex(r"(55|52|521|54|549)[0-9]{8,13}", fullmatch=True), st.text()))
def test_all_spellings_of_a_number_have_the_same_spellings(phone: str) -> None:
    variants = variants_of(phone)

    assert phone in variants
    assert {variants_of(variant) for variant in variants} == {variants}
