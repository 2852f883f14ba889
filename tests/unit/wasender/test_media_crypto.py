"""Encrypted files are opened in pieces of any size, and nothing but the message's own file passes."""

import base64
import dataclasses
import hashlib
import random
from pathlib import Path
from typing import Any

import pytest

from gateway.domain.media import KINDS, MediaKind, MediaSource
from gateway.services.media.ports import Opening, WrongFile
from gateway.simulator import media_crypto
from gateway.wasender.media_crypto import Opener, PlainCheck, encrypted_size

WRONG = base64.b64encode(bytes(32)).decode()


def sealed(content: bytes, kind: MediaKind, path: Path) -> tuple[bytes, MediaSource]:
    made = media_crypto.seal([content], path, kind)
    source = MediaSource(
        "https://mmg.whatsapp.net/f", made.media_key, made.sha256, made.enc_sha256, len(content)
    )
    return path.read_bytes(), source


def run(opening: Opening, content: bytes, piece: int) -> bytes:
    out = b"".join(opening.open(content[start : start + piece]) for start in range(0, len(content), piece))
    return out + opening.finish()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 4096, 100_001])
@pytest.mark.parametrize("piece", [1_000_000, 64, 11])
def test_a_file_of_any_size_is_opened_in_pieces_of_any_size(
    kind: MediaKind, size: int, piece: int, tmp_path: Path
) -> None:
    content = random.Random(size).randbytes(size)
    encrypted, source = sealed(content, kind, tmp_path / "f")
    opening = Opener(source, kind)

    assert run(opening, encrypted, piece) == content
    assert (opening.size, opening.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert len(encrypted) == encrypted_size(size)


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"key": WRONG}, "MAC"),
        ({"sha256": WRONG}, "hash"),
        ({"enc_sha256": WRONG}, "hash"),
        ({"key": "??"}, "key"),
    ],
)
def test_a_file_that_is_not_the_messages_is_refused(
    changed: dict[str, Any], word: str, tmp_path: Path
) -> None:
    encrypted, source = sealed(b"x" * 1000, "image", tmp_path / "f")

    with pytest.raises(WrongFile, match=word):
        run(Opener(dataclasses.replace(source, **changed), "image"), encrypted, 64)


@pytest.mark.parametrize("damage", ["a byte", "cut", "cut to a block", "longer", "empty", "another kind"])
def test_a_damaged_file_is_refused_whether_its_message_has_hashes_or_not(damage: str, tmp_path: Path) -> None:
    encrypted, source = sealed(b"x" * 1000, "image", tmp_path / "f")
    damaged = {
        "a byte": encrypted[:500] + bytes([encrypted[500] ^ 1]) + encrypted[501:],
        "cut": encrypted[:-7],
        "cut to a block": encrypted[:-16],
        "longer": encrypted + b"\x00" * 16,
        "empty": b"",
        "another kind": encrypted,
    }[damage]
    kind: MediaKind = "video" if damage == "another kind" else "image"
    bare = MediaSource(source.url, source.key)

    for one in (source, bare):
        with pytest.raises(WrongFile):
            run(Opener(one, kind), damaged, 64)


def test_upstreams_copy_is_checked_by_the_hash_of_the_encrypted_file_where_there_is_no_other(
    tmp_path: Path,
) -> None:
    content = random.Random(3).randbytes(5000)
    _, source = sealed(content, "audio", tmp_path / "f")
    bare = MediaSource(source.url, source.key, None, source.enc_sha256)

    assert run(PlainCheck(source, "audio"), content, 700) == content
    assert run(PlainCheck(bare, "audio"), content, 700) == content
    for one in (source, bare):
        with pytest.raises(WrongFile, match="hash"):
            run(PlainCheck(one, "audio"), content[:-1], 700)
    with pytest.raises(WrongFile, match="no hash"):
        PlainCheck(MediaSource(source.url, source.key), "audio")
