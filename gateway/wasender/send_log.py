"""WasenderAPI's log of sends: which of its entries may be a message of ours, and by which number it goes."""

import json
from collections.abc import Mapping
from typing import Any

from gateway.services.sending.checks import LoggedSend

_MOST_DIGITS = 15


def logged_sends(page: Mapping[str, Any]) -> list[LoggedSend]:
    """The entries of one page that can be read, and have not failed; the newest first, as upstream has them."""
    rows = page.get("data")
    found = [_logged(row) for row in rows] if isinstance(rows, list) else []
    return [entry for entry in found if entry is not None]


def _logged(row: Any) -> LoggedSend | None:
    if not isinstance(row, dict) or row.get("status") == "failed":
        return None
    number = str(row.get("id", ""))
    try:
        content = json.loads(row["content"]) if isinstance(row.get("content"), str) else None
    except ValueError:
        return None
    if not (number.isascii() and number.isdigit()) or not isinstance(content, dict):
        return None
    text = content.get("text")
    if not isinstance(text, str | None):
        return None
    return LoggedSend(int(number[:_MOST_DIGITS]), str(row.get("to") or ""), text)
