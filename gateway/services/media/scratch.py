"""A folder for files on their way: each gateway has one of its own, and removes those that dead ones have left."""

import contextlib
import fcntl
import logging
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from gateway.domain.errors import ConfigError

logger = logging.getLogger(__name__)

_LOCK = "lock"


class Scratch:
    """Names for files on their way. The caller that takes one removes it."""

    def __init__(self, root: Path) -> None:
        """`root` is shared by the gateways of one data folder. Raises ConfigError if it cannot be used."""
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_abandoned(root)
            self._folder = root / uuid.uuid4().hex
            self._folder.mkdir(mode=0o700)
            self._lock = os.open(self._folder / _LOCK, os.O_WRONLY | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"The folder {root} for files on their way cannot be used ({error.strerror})."
            ) from None

    @contextlib.contextmanager
    def file(self) -> Iterator[Path]:
        """A name for one file, which is gone afterwards."""
        path = self._folder / uuid.uuid4().hex
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)


def _remove_abandoned(root: Path) -> None:
    for folder in root.iterdir():
        try:
            lock = os.open(folder / _LOCK, os.O_WRONLY)
        except OSError:
            continue  # just being made, or nothing of ours
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # its gateway lives
        else:
            shutil.rmtree(folder, ignore_errors=True)
            logger.info("media.scratch_removed folder=%s", folder.name)
        finally:
            os.close(lock)
