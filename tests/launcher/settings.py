"""What gateways of tests are started with, as settings and as an environment."""

import functools
import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from gateway.settings import Settings
from tests import leftovers

SECRET = "a-secret-for-tests-of-at-least-32-characters"

WIDE = dict.fromkeys(
    (
        "requests_per_s", "sockets", "tickets_per_min", "searches_at_once", "upstream_at_once", "upstream_per_min",
        "address_connections", "address_strangers",
    ),
    100_000,
)  # fmt: skip
"""Limits for tests that are a whole office: many people by one name, from one address, faster than people are."""

NOWHERE = {"simulator": False, "wasender_base_url": "http://127.0.0.1:9/api", "wasender_token": "none"}
"""An upstream that is never there, for tests that need none: what the sessions' table says stays."""


class _Given(Settings):
    """Settings that read nothing but what they are given: looking for 120 variables takes longer than all the rest."""

    def __init__(self, **values: Any) -> None:
        BaseModel.__init__(self, **values)


@functools.cache
def _media_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="gateway-media-"))
    leftovers.watch(folder, remove=True)
    return folder


def media_url_for(dsn: str) -> str:
    """A media store for this database, gone after the run: its gateways share it, whatever their data folders are."""
    return (_media_folder() / hashlib.sha256(dsn.encode()).hexdigest()[:16]).as_uri()


def settings_for(dsn: str, data_dir: Path, **more: Any) -> Settings:
    """Settings that read nothing of the machine's environment. The simulator is upstream."""
    values: dict[str, Any] = {
        "simulator": True,
        "secret": SECRET,
        "port": 0,
        "media_url": media_url_for(dsn),
        **WIDE,
        **more,
    }
    return _Given(database_url=dsn, data_dir=data_dir, **values)


def environment_of(settings: Mapping[str, Any]) -> dict[str, str]:
    """The same values for a gateway in a process of its own: variables by the names of the settings."""
    return {
        str(Settings.model_fields[name].validation_alias): _word(value) for name, value in settings.items()
    }


def _word(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


WIDE_ENV = environment_of(WIDE)
