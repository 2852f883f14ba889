"""Writes the commit that a wheel or sdist is built from into it, where gateway/runtime/build.py reads it.

The commit is BUILD_COMMIT where that is set (an image is built without .git), else what git says of this checkout. An
sdist carries the file, so a wheel that is built from it has it, too. An editable install asks git each time.
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACE = "gateway/runtime/commit.txt"


class CommitHook(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable" or Path(self.root, PLACE).exists():
            return
        commit = os.environ.get("BUILD_COMMIT", "").strip() or self._asked_of_git()
        if not commit:
            return
        if not re.fullmatch(r"[0-9a-f]{7,64}(-dirty)?", commit):
            raise ValueError(
                f"BUILD_COMMIT is no commit: {commit!r}. Use the output of `git rev-parse HEAD`."
            )
        handle, name = tempfile.mkstemp(suffix=".txt")
        os.write(handle, f"{commit}\n".encode())
        os.close(handle)
        os.chmod(name, 0o644)
        self._file = Path(name)
        build_data["force_include"][name] = PLACE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if written := getattr(self, "_file", None):
            written.unlink(missing_ok=True)

    def _asked_of_git(self) -> str:
        if not Path(self.root, ".git").exists():
            return ""
        asked = ["git", "-C", self.root, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        try:
            return subprocess.run(
                asked, capture_output=True, text=True, check=True, timeout=30
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError):
            return ""
