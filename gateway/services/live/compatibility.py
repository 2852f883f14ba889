"""Whether this version may still serve the schema, while a newer one changes it."""

import asyncio
import logging

from gateway.domain.versions import is_below, too_old

logger = logging.getLogger(__name__)


class Compatibility:
    """Hears with each beat of the listening connection which version the schema needs."""

    def __init__(self, version: str) -> None:
        self._version = version
        self.complaint: str | None = None
        """Why this gateway serves no more; None while it does. It stays: what has drained is started anew."""
        self.ended = asyncio.Event()
        """Set with the complaint."""

    def heard(self, least: str | None) -> None:
        """Takes the oldest version that may serve; None where the schema names none. Never waits."""
        if self.complaint is None and least is not None and is_below(self._version, least):
            self.complaint = too_old(self._version, least)
            logger.error("schema.too_new version=%s needed=%s meaning=drains", self._version, least)
            self.ended.set()
