"""How a line of the log looks: as text for people, or as one JSON object for a collector."""

import json
import logging
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from gateway.domain.errors import LOGGED
from gateway.domain.lines import one_line
from gateway.services.log_context import log_context

_TEXT = "%(asctime)s %(levelname)s %(name)s %(message)s"

_PLACE = re.compile(r"(?:(?P<name>\w+)=)?(?P<place>%[-+ #0]*\d*(?:\.\d+)?[sdrfxai])")
"""A value in the template of a line, with the name that stands before it."""


class TextFormatter(logging.Formatter):
    """One event is one line, however its values look; a traceback below it stays as it is."""

    def __init__(self) -> None:
        super().__init__(_TEXT)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line of a record, with the request or socket that it is about."""
        record.message = one_line(record.message)
        line = super().formatMessage(record)
        about = [f"{name}={value}" for name, value in _about() if f" {name}=" not in record.message]
        return " ".join([line, *about]) if about else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, event, and the event's values under their names."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        event, values = _taken_apart(record)
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
        }
        for name, value in values:
            fields[f"{name}_" if name in fields else name] = value
        for name, value in _about():
            fields.setdefault(name, value)
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False, default=str)


def _about() -> Iterator[tuple[str, str]]:
    about = log_context()
    for name in ("request", "connection", "address"):
        value = getattr(about, name)
        if value:
            yield name, one_line(value)


def _taken_apart(record: logging.LogRecord) -> tuple[str, list[tuple[str, Any]]]:
    """The name of the event, and its values as they were handed over: numbers stay numbers."""
    template = str(record.msg)
    # `logging` takes a lone dictionary for values by name.
    arguments = record.args if isinstance(record.args, tuple) else (record.args,) if record.args else ()
    found = list(_PLACE.finditer(template.replace("%%", "  ")))
    if len(found) != len(arguments):
        return record.getMessage(), []
    values = [
        (place["name"], _plain(place["place"], value))
        for place, value in zip(found, arguments, strict=True)
        if place["name"]
    ]
    rest = _PLACE.sub(lambda place: "" if place["name"] else place[0], template)
    unnamed = tuple(value for place, value in zip(found, arguments, strict=True) if not place["name"])
    return " ".join((rest % unnamed if unnamed else rest).split()), values


def _plain(place: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict | list | tuple) and place == "%s":
        return value
    return place % (value,)


def _is_new(record: logging.LogRecord) -> bool:
    """Not a traceback that `http.failed` has told: uvicorn writes it once more."""
    return not (record.exc_info and getattr(record.exc_info[1], LOGGED, False))


def start_logging(level: str, form: str = "text") -> None:
    """From now on the log goes to stderr, from that level on, as `text` or `json`."""
    logging.basicConfig(stream=sys.stderr, level=level.upper())
    formatter = JsonFormatter() if form == "json" else TextFormatter()
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_is_new)
    # While Postgres is away, asyncpg prints a traceback for each try to keep its pool filled. We say so ourselves.
    logging.getLogger("asyncpg.pool").setLevel(logging.ERROR)
