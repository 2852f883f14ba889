"""Files that strangers make: what is asked of them takes the memory of a piece, whatever they hold."""

import struct
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from gateway.services.media import kinds, pictures

MIB = 1024 * 1024
MOST = 24 * MIB


def archive_of_names(count: int) -> bytes:
    """A zip of no files and a list of very many names."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *([0] * 9), 1, *([0] * 6)) + b"x"
    names = entry * count
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(names), 4, 0)
    return b"PK\x03\x04" + names + end


def wide_picture(path: Path) -> None:
    """A PNG with a chunk of 48 MiB before its pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = chunk(b"IHDR", struct.pack(">2I5B", 1, 1, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"iCCP", b"\0" * (48 * MIB)))


def test_an_archive_of_a_million_names_is_an_archive_and_its_names_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "names.zip"
    path.write_bytes(archive_of_names(1_000_000))

    tracemalloc.start()
    mime = kinds.type_of_file(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert mime == "application/zip"
    assert most < MOST


def test_a_document_of_an_office_is_known_by_its_names(tmp_path: Path) -> None:
    path = tmp_path / "letter.docx"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("[Content_Types].xml", "word/document.xml"):
            archive.writestr(name, "x")

    assert kinds.type_of_file(path).endswith("wordprocessingml.document")


def test_a_picture_that_a_decoder_would_hold_whole_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "wide.png"
    wide_picture(path)

    tracemalloc.start()
    size = pictures.size_of(path)
    with pytest.raises(pictures.NoPicture, match="MiB"):
        pictures.small_picture(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size is None
    assert most < MOST
