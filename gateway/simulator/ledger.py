"""Every send that the simulator has accepted, in order, and nothing else: the oracle of tests about sending.

Lifecycle: one JSON line per send in a file beside the state file, written before the answer to the send. It is
there after the process was killed, and is never trimmed but by `clear`. Without a state file it is in memory.
"""

import json
import logging
import os
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


class Ledger:
    """Holds one row for each accepted send."""

    def __init__(self, state_path: Path | None) -> None:
        """Reads what is there. A last line that was cut by a kill is left out."""
        self._path = state_path.with_suffix(".sends.jsonl") if state_path else None
        self._rows: list[dict[str, Any]] = []
        if self._path is not None and self._path.exists():
            raw = self._path.read_bytes()
            self._rows = [row for line in raw.splitlines() if (row := _row(line))]
            if raw and not raw.endswith(b"\n"):  # or the next line would be lost with the cut one
                with self._path.open("ab") as file:
                    file.write(b"\n")

    @property
    def last_msg_id(self) -> int:
        """The highest number that was ever given; 0 if none was."""
        return max((int(row["msgId"]) for row in self._rows), default=0)

    def add(self, row: dict[str, Any]) -> None:
        """Writes a row down; it survives the process from then on."""
        self._rows.append(row)
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "ab", opener=_private) as file:
                file.write(json.dumps(row).encode() + b"\n")
        except OSError as error:  # a full disk must not stop a demo
            logger.warning("simulator.ledger_failed error=%s", type(error).__name__)

    def rows(self, *, session_id: int | None = None, after: int = 0) -> list[dict[str, Any]]:
        """The sends with a `msgId` beyond `after`, oldest first."""
        return [row for row in self._rows if row["msgId"] > after and session_id in (None, row["session"])]

    def clear(self) -> None:
        """Forgets everything."""
        self._rows.clear()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and isinstance(row.get("msgId"), int) else None
