"""The secret in the data folder: processes that begin at once find one and the same, or make it."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from gateway.runtime.data_dir import read_secret
from gateway.settings import read_settings

MANY = 12


def no_links(*_: Any) -> None:
    raise OSError(95, "Operation not supported")


def test_processes_that_begin_at_once_have_one_secret(tmp_path: Path) -> None:
    start = Barrier(MANY)

    def read(turn: int) -> set[str]:
        settings = read_settings(data_dir=str(tmp_path / str(turn)))
        start.wait()
        return {read_secret(settings)}

    with ThreadPoolExecutor(MANY) as threads:
        for turn in range(20):
            found = set[str]().union(*threads.map(read, [turn] * MANY))
            assert found == {(tmp_path / str(turn) / "secret").read_text().strip()}
            assert [path.name for path in (tmp_path / str(turn)).iterdir()] == ["secret"]


def test_a_file_system_without_links_keeps_the_first_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", no_links)
    settings = read_settings(data_dir=str(tmp_path))
    first = read_secret(settings)

    assert read_secret(settings) == first
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
