"""A sealed file is given out whole, or not at all."""

import io
import random
from pathlib import Path

import orjson
import pytest

from gateway.domain.errors import ConfigError
from gateway.services.backup import sealed_file
from gateway.services.backup.entries import (
    DATABASE,
    MANIFEST,
    MEDIA,
    SECRETS,
    SPOOL,
    EntryReader,
    EntryWriter,
)
from gateway.services.backup.sealed_file import PIECE_BYTES, SealedReader, SealedWriter

PASSPHRASE = "correct horse"


CHEAP = {"n": 2, "r": 1, "p": 1}
"""Each file is opened hundreds of times here."""


def written(path: Path, contents: dict[str, list[bytes]]) -> Path:
    with path.open("wb") as file:
        writer = EntryWriter(SealedWriter(file, PASSPHRASE, {"gateway": "0"}, CHEAP))
        writer.put_json(MANIFEST, {"installation": "x"})
        writer.put_json(SECRETS, {"GATEWAY_SECRET": "hidden-from-everybody"})
        for name, pieces in contents.items():
            writer.begin(name)
            for piece in pieces:
                writer.piece(piece)
            writer.end()
        writer.close()
    return path


def survey(path: Path, passphrase: str = PASSPHRASE) -> dict[str, bytes]:
    """Every entry of the file, after it was found to be whole."""
    with path.open("rb") as file:
        reader = EntryReader(SealedReader(file, lambda: passphrase))
        contents = reader.survey()
        found = {}
        for name in contents.places:
            assert reader.go_to(contents, name)
            entry = str(reader.begin())
            found[entry] = reader.whole()
    return found


def noise(length: int) -> bytes:
    return random.Random(length).randbytes(length)


@pytest.mark.parametrize(
    "length", [0, 1, PIECE_BYTES - 300, PIECE_BYTES, 3 * PIECE_BYTES, 3 * PIECE_BYTES + 17]
)
def test_entries_of_any_length_come_back_as_they_were(tmp_path: Path, length: int) -> None:
    dump = noise(length)
    pieces = [dump[at : at + 100_000] for at in range(0, length, 100_000)]

    path = written(tmp_path / "b", {SPOOL: [b"one\n", b"two\n"], DATABASE: pieces, MEDIA + "ab": [b"file"]})

    assert survey(path) == {SPOOL: b"one\ntwo\n", DATABASE: dump, MEDIA + "ab": b"file"}
    assert b"hidden-from-everybody" not in path.read_bytes()


def test_a_file_cut_at_any_byte_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "b", {DATABASE: [noise(60)]}).read_bytes()
    cut = tmp_path / "cut"
    for length in range(len(whole)):
        cut.write_bytes(whole[:length])
        with pytest.raises(ConfigError, match=r"not whole|is no backup"):
            survey(cut)


def test_a_long_file_cut_between_its_pieces_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "b", {DATABASE: [noise(100_000)] * 8})
    whole = path.read_bytes()
    head = whole.index(b"}", whole.index(b"check")) + 1
    for pieces in range(4):
        for more in (-1, 0, 1):
            path.write_bytes(whole[: head + pieces * (PIECE_BYTES + 16) + more])
            with pytest.raises(ConfigError, match="not whole"):
                survey(path)


def test_a_file_that_was_changed_or_extended_anywhere_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path / "b", {DATABASE: [noise(60)]}).read_bytes()
    changed = tmp_path / "changed"
    for at in range(0, len(whole), 7):
        changed.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ConfigError):
            survey(changed)
    changed.write_bytes(whole + b"\0")
    with pytest.raises(ConfigError, match="not whole"):
        survey(changed)


def test_pieces_of_another_file_of_the_same_passphrase_do_not_fit(tmp_path: Path) -> None:
    one, two = (written(tmp_path / name, {DATABASE: [noise(9000)]}).read_bytes() for name in "ab")
    mixed = tmp_path / "mixed"
    mixed.write_bytes(one[:-500] + two[-500:])
    with pytest.raises(ConfigError, match="not whole"):
        survey(mixed)


def test_another_passphrase_is_told_from_damage(tmp_path: Path) -> None:
    path = written(tmp_path / "b", {DATABASE: [b"x"]})
    with pytest.raises(ConfigError, match="passphrase is not the one"):
        survey(path, "Correct horse")


def test_a_head_that_asks_for_more_memory_than_a_machine_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "b"
    kdf = {"name": "scrypt", "n": 2**40, "r": 8, "p": 1, "salt": "00"}
    head = orjson.dumps({"format": 1, "kdf": kdf, "nonce": "00" * 7, "check": "00"})
    path.write_bytes(sealed_file.MAGIC + len(head).to_bytes(4, "big") + head)
    with pytest.raises(ConfigError, match="not whole"):
        survey(path)


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "b"
    path.write_bytes(sealed_file.MAGIC + (12).to_bytes(4, "big") + b'{"format":2}')
    with pytest.raises(ConfigError, match="format 2"):
        survey(path)


def test_writing_keeps_no_more_than_a_piece(tmp_path: Path) -> None:
    with (tmp_path / "b").open("wb") as file:
        sealed = SealedWriter(file, PASSPHRASE, {}, CHEAP)
        for _ in range(40):
            sealed.write(bytes(100_000))
            assert len(sealed._waiting) <= PIECE_BYTES
        sealed.close()
    assert io.DEFAULT_BUFFER_SIZE < PIECE_BYTES
