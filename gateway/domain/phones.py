"""A phone number as a person writes it, in whatever form their country has."""

import re

from gateway.domain.errors import Invalid

FEWEST_DIGITS = 8
"""Of a number that is not known to be assigned; what is shorter is a number that is not written to its end."""
LONG_DIGITS = 11
"""From this length on, digits without `+` and without a zero are likelier to begin with a country code."""
_DIALLED = re.compile(r"\+?[0-9\s().\-/\u00a0\u2010-\u2015]{4,40}")


def international(written: str, own_number: str | None) -> str:
    """The digits of a number with its country code. Raises Invalid for what no country has.

    With `+` or `00` it names its country. With one zero it is of the country of `own_number`, the linked number
    itself. Otherwise its length says which is likelier, and the other way is tried after it: chats are named by all
    digits of a number, people leave out what they need not dial.
    """
    text = written.strip()
    if re.fullmatch(r"\+?[0-9]{0,3}", text) and text.strip("+"):
        raise _impossible(
            "This is too short for a phone number; write it with its country code, such as +49."
        )
    if not _DIALLED.fullmatch(text):
        raise _impossible("A phone number has digits, and may begin with +.")
    if text.startswith("00"):
        text = "+" + text[2:]
    whole: tuple[str, str | None] = (text if text.startswith("+") else f"+{text}", None)
    national: tuple[str, str | None] = (text, _region(own_number))
    ways = [whole]
    if not text.startswith("+"):
        is_long = len(re.sub(r"[^0-9]", "", text)) >= LONG_DIGITS
        ways = [national] if text.startswith("0") else [whole, national] if is_long else [national, whole]
    valid = (_number(number, region, is_assigned=True) for number, region in ways)
    # Numbering plans change, and shops try numbers that are not given out: what a plan has room for is taken, too.
    possible = (
        _number(number, region, is_assigned=False) for number, region in sorted(ways, key=_is_national)
    )
    found = next(filter(None, (*valid, *possible)), None)
    if found is None:
        raise _impossible("No country has such a phone number; write it with its country code, such as +49.")
    return found


def is_assigned(digits: str) -> bool:
    """Whether a country gives out this number (digits with its country code)."""
    return _number(f"+{digits}", None, is_assigned=True) is not None


def _is_national(way: tuple[str, str | None]) -> bool:
    return not way[0].startswith("+")


def _number(text: str, region: str | None, *, is_assigned: bool) -> str | None:
    import phonenumbers  # tables of all countries: commands that need none of them start faster without

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    fits = phonenumbers.is_valid_number if is_assigned else phonenumbers.is_possible_number
    if not fits(number):
        return None
    digits = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164).removeprefix("+")
    return digits if is_assigned or len(digits) >= FEWEST_DIGITS else None


def _region(own_number: str | None) -> str | None:
    """The country of the linked number, as phonenumbers names it; None where that is not known."""
    import phonenumbers

    digits = re.sub(r"[^0-9]", "", own_number or "")
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse("+" + digits, None))
    except phonenumbers.NumberParseException:
        return None


def _impossible(text: str) -> Invalid:
    return Invalid(text, details={"errors": {"chat": [text]}})
