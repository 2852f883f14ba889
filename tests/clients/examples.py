"""The examples of the documentation, taken from it and run."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def example(page: str, language: str) -> str:
    """The one code block of that language on a page of the documentation."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return str(found)
