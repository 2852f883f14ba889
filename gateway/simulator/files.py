"""The simulator's files on disk: what lies encrypted at WhatsApp, what a client has uploaded, what was decrypted.

They stand in a folder beside the state file (a temporary one without it), which is made with the first file.
The world knows of each by its name. Everything that reads or writes a file runs in a thread.
"""

import asyncio
import base64
import hashlib
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from gateway.simulator import media_crypto
from gateway.simulator.clock import Clock
from gateway.simulator.state import HostedFile, PlainFile, World

T = TypeVar("T", HostedFile, PlainFile)

MAX_FILES = 3_000
"""Of each sort; then the oldest go."""
UPLOAD_LIFE_S = 24 * 3600.0
DECRYPTED_LIFE_S = 3600.0
FILE_TROUBLES = frozenset(
    {"wrong_key", "wrong_hash", "wrong_enc_hash", "no_hashes", "changed", "slow", "endless", "cut", "redirect", "lost"}
)  # fmt: skip
"""What can be odd about one hosted file: in its message, in its bytes, in how it is served."""


class FileTooLarge(ValueError):
    """More than the limit came."""


def made_up(size: int) -> Iterator[bytes]:
    """A file of that many bytes, always the same: for sizes that are too much for JSON."""
    block = hashlib.shake_256(str(size).encode()).digest(media_crypto.PIECE_BYTES)
    for start in range(0, size, len(block)):
        yield block[: size - start]


class Files:
    """Keeps the simulator's files, and what the world knows of them."""

    def __init__(self, state_path: Path | None, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._folder = state_path.with_suffix(".files") if state_path else None
        self._is_temporary = state_path is None

    # ------------------------------------------------------------------ at WhatsApp

    async def host(
        self, kind: str, pieces: Iterable[bytes], *, troubles: Iterable[str] = (), status: int | None = None
    ) -> HostedFile:
        """Encrypts a file and lays it where its message says."""
        name = f"{secrets.token_hex(16)}.enc"
        path = self._path(name)
        sealed = await asyncio.to_thread(media_crypto.seal, pieces, path, kind)
        hosted = HostedFile(
            name=name,
            kind=kind,
            media_key=sealed.media_key,
            sha256=sealed.sha256,
            enc_sha256=sealed.enc_sha256,
            bytes=sealed.plain_bytes,
            created_at=self._clock.now(),
            troubles=sorted(troubles),
            status=status,
        )
        if "changed" in hosted.troubles:
            await asyncio.to_thread(_flip_a_byte, path)
            hosted.enc_sha256 = await asyncio.to_thread(_hash_of, path)
        self._keep(self._world.hosted, name, hosted)
        return hosted

    async def host_upload(self, kind: str, upload: PlainFile) -> HostedFile:
        """What a client has uploaded, as WhatsApp gets it."""
        return await self.host(kind, _read_pieces(self._path(upload.name)))

    def hosted_path(self, name: str) -> Path | None:
        """Where an encrypted file stands; None if there is none of that name."""
        return self._path(name) if name in self._world.hosted else None

    # ------------------------------------------------------------------ plain ones

    async def take_upload(
        self, chunks: AsyncIterator[bytes], extension: str, mime: str, limit_bytes: int
    ) -> PlainFile:
        """Raises FileTooLarge, and then nothing is left of it."""
        name = f"{secrets.token_hex(16)}.{extension}"
        path, size, digest = self._path(name), 0, hashlib.sha256()
        try:
            with path.open("wb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > limit_bytes:
                        raise FileTooLarge(limit_bytes)
                    digest.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        upload = PlainFile(name, mime, digest.hexdigest(), size, self._clock.now())
        self._keep(self._world.uploads, name, upload)
        return upload

    def upload(self, name: str) -> PlainFile | None:
        """None also when its 24 hours are over."""
        return self._alive(self._world.uploads, name, UPLOAD_LIFE_S)

    def head_of(self, upload: PlainFile) -> bytes:
        """Its first bytes, which tell what it is."""
        with self._path(upload.name).open("rb") as file:
            return file.read(64)

    def drop_upload(self, upload: PlainFile) -> None:
        """Removes an upload that was refused after all."""
        del self._world.uploads[upload.name]
        self._path(upload.name).unlink(missing_ok=True)

    async def decrypt(self, key_id: str, url: str, media_key: str, kind: str, mime: str) -> PlainFile | None:
        """The plain file of a message, for an hour; None where WhatsApp has it no more.

        Raises media_crypto.NotThisKey.
        """
        hosted = self._world.hosted.get(name_in(url))
        if hosted is None or "lost" in hosted.troubles:
            return None
        target = self._path(f"{hashlib.sha256(key_id.encode()).hexdigest()[:32]}.plain")
        digest, size = await asyncio.to_thread(_write_plain, self._path(hosted.name), target, media_key, kind)
        plain = PlainFile(target.name, mime, digest, size, self._clock.now())
        self._world.decrypted.pop(key_id, None)
        self._keep(self._world.decrypted, key_id, plain)
        return plain

    def decrypted(self, key_id: str) -> PlainFile | None:
        """The decrypted file of a message; None when its hour is over."""
        return self._alive(self._world.decrypted, key_id, DECRYPTED_LIFE_S)

    def plain_path(self, file: PlainFile) -> Path:
        """Where an upload or a decrypted file stands."""
        return self._path(file.name)

    async def read(self, hosted: HostedFile) -> bytes:
        """The plain content of a hosted file, for the phone page."""
        return await asyncio.to_thread(
            lambda: b"".join(media_crypto.unseal(self._path(hosted.name), hosted.media_key, hosted.kind))
        )

    # ------------------------------------------------------------------ the folder

    def clear(self) -> None:
        """Removes all files."""
        for shelf in (self._world.hosted, self._world.uploads, self._world.decrypted):
            shelf.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Removes a temporary folder."""
        if self._is_temporary and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _path(self, name: str) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="simulator-files-"))
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder / name

    def _keep(self, shelf: dict[str, T], name: str, file: T) -> None:
        shelf[name] = file
        while len(shelf) > MAX_FILES:
            oldest = shelf.pop(next(iter(shelf)))
            self._path(oldest.name).unlink(missing_ok=True)

    def _alive(self, shelf: dict[str, PlainFile], name: str, life_s: float) -> PlainFile | None:
        found = shelf.get(name)
        if found is None or self._clock.now() > found.created_at + life_s:
            return None
        return found


def name_in(url: str) -> str:
    """The name of a file in its address."""
    return url.partition("?")[0].rpartition("/")[2]


def hex_of(sha256: str) -> str:
    """A hash as WhatsApp writes it, in hexadecimal."""
    return base64.b64decode(sha256).hex()


def _read_pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(media_crypto.PIECE_BYTES):
            yield piece


def _hash_of(path: Path) -> str:
    digest = hashlib.sha256()
    for piece in _read_pieces(path):
        digest.update(piece)
    return base64.b64encode(digest.digest()).decode()


def _flip_a_byte(path: Path) -> None:
    with path.open("r+b") as file:
        first = file.read(1)
        file.seek(0)
        file.write(bytes([first[0] ^ 1]))


def _write_plain(source: Path, target: Path, media_key: str, kind: str) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    pieces = media_crypto.unseal(source, media_key, kind)
    with target.open("wb") as file:
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            file.write(piece)
    return digest.hexdigest(), size
