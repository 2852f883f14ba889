"""The examples of the documentation, taken from it and run."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/clients.md", "docs/protocol.md", "docs/webhooks-out.md")

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

RECEIVERS = {
    "js": ("new Webhook(", "WASENDER_WEBHOOK_SECRET"),
    "python": ("= Webhook(", "WASENDER_WEBHOOK_SECRET"),
    "php": ("hash_hmac", "WASENDER_WEBHOOK_SECRET"),
}
"""Of docs/webhooks-out.md, by language: a word of the receiver in mode `standard`, and one of that in mode `raw`."""


class Example(NamedTuple):
    page: str
    language: str
    """Empty for frames and other things that are no program."""
    text: str


def examples(*languages: str) -> list[Example]:
    """The code blocks of these languages on all pages, in the order in which they stand there."""
    return [
        Example(page, language, text)
        for page in PAGES
        for language, text in _FENCED.findall((ROOT / page).read_text(encoding="utf-8"))
        if language in languages
    ]


def example(page: str, language: str, holding: str = "") -> str:
    """The one code block of that language on a page in which these words stand."""
    (found,) = [
        item.text
        for item in examples(language)
        if item.page.removeprefix("docs/") == page and holding in item.text
    ]
    return found
