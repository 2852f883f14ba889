"""The file of the sessions that are known."""

from pathlib import Path

import pytest

from gateway.domain.errors import ConfigError
from gateway.spool.known_sessions import KnownSessions


def known(folder: Path) -> KnownSessions:
    """Of any database; nothing is sealed."""
    return KnownSessions(folder, "postgresql://shop@127.0.0.1/shop", str, str)


def test_a_folder_that_cannot_be_used_is_one_sentence_and_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ConfigError, match=r"^Webhooks cannot be kept in .*/file/spool .*Set GATEWAY_DATA_DIR"
    ):
        known(tmp_path / "file" / "spool").read()

    assert caplog.messages == []


def test_a_file_that_cannot_be_read_is_as_none_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = known(tmp_path)
    assert file.read() is None
    assert caplog.messages == []

    file.path.mkdir()
    assert file.read() is None
    file.path.rmdir()
    file.path.write_text("nonsense")
    assert file.read() is None

    assert [said.split()[0] for said in caplog.messages] == ["known_sessions.unreadable"] * 2
