"""Which folders forget everything when the machine stops."""

import os
from pathlib import Path

import pytest

from gateway.runtime.data_dir import memory_of


@pytest.mark.parametrize(
    ("kind", "wanted"), [("tmpfs", "tmpfs"), ("ramfs", "ramfs"), ("ext4", None), ("overlay", None)]
)
def test_the_kind_of_file_system_is_that_of_the_device(tmp_path: Path, kind: str, wanted: str | None) -> None:
    device = os.stat(tmp_path).st_dev
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 0:21 / /proc rw - proc proc rw\n"
        "23 1 999:999 / /elsewhere rw shared:2 - tmpfs tmpfs rw\n"
        f"24 1 {os.major(device)}:{os.minor(device)} / /a\\040b rw,noatime shared:1 master:7 - {kind} dev rw\n"
    )

    assert memory_of(tmp_path / "not" / "there" / "yet", mounts) == wanted


def test_where_nobody_can_tell_a_folder_is_taken(tmp_path: Path) -> None:
    assert memory_of(tmp_path, tmp_path / "no such file") is None
