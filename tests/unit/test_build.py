"""Which commit runs: as the wheel says it, as git says it, or honestly unknown."""

import subprocess
from pathlib import Path

from gateway.runtime.build import UNKNOWN, commit_at

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_wheel_names_the_commit_that_it_was_built_from(tmp_path: Path) -> None:
    place = tmp_path / "gateway" / "runtime" / "commit.txt"
    place.parent.mkdir(parents=True)
    place.write_text(f"{COMMIT}\n")
    assert commit_at(tmp_path) == COMMIT[:12]
    place.write_text(f"{COMMIT}-dirty\n")
    assert commit_at(tmp_path) == f"{COMMIT[:12]}-dirty"


def test_a_folder_without_git_does_not_know_its_commit(tmp_path: Path) -> None:
    assert commit_at(tmp_path) == UNKNOWN


def test_a_checkout_is_asked_and_anothers_repository_around_an_environment_is_not(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.com", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    (tmp_path / "file").write_text("1")
    git("add", ".")
    git("commit", "-qm", "1")
    assert commit_at(tmp_path) == UNKNOWN  # somebody else's project

    (tmp_path / "hatch_build.py").write_text("")
    git("add", ".")
    git("commit", "-qm", "2")
    head = git("rev-parse", "HEAD")[:12]
    assert commit_at(tmp_path) == head
    (tmp_path / "file").write_text("2")
    assert commit_at(tmp_path) == f"{head}-dirty"
