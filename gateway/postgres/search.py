"""What people type into a search box, as patterns for Postgres."""

import re

# Signs people write numbers with. A word among them means that a name is looked for: the 2 of "Shop 2" is no number.
_NUMBER = re.compile(r"[\d\s()+./-]+")


def like(text: str) -> str:
    """The text as a part of a LIKE pattern that means just these letters."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def number_part(text: str | None) -> str:
    """The digits of a phone number in any formatting, without leading zeros; '' if it is not a number."""
    if not text or not _NUMBER.fullmatch(text):
        return ""
    return "".join(filter(str.isdecimal, text)).lstrip("0")
