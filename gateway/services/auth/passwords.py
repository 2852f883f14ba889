"""Passwords: argon2id with 19 MiB, one at a time, in a thread, and the same work for names that do not exist."""

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from gateway.domain.errors import Invalid, RateLimited

MIN_LENGTH = 8
MAX_LENGTH = 1000
MEMORY_KIB = 19 * 1024
MAX_HASHING = 5
"""New passwords that are hashed or wait for that; they must not keep people from logging in."""


class Passwords:
    """Hashes passwords, and compares them."""

    def __init__(self, *, time_cost: int = 2, memory_kib: int = MEMORY_KIB) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        self._one_at_a_time = asyncio.Lock()
        self._hashing = 0
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """What to store. Raises Invalid for a password that is too short or too long; RateLimited for one too many."""
        check_password(password)
        if self._hashing >= MAX_HASHING:
            raise RateLimited("Too many passwords are being changed. Try again.", retry_after_s=2)
        self._hashing += 1
        try:
            async with self._one_at_a_time:
                return await asyncio.to_thread(self._hasher.hash, password)
        finally:
            self._hashing -= 1

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one of that hash; None, a person without one, takes as long and is False."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._matches, stored, password)

    def _matches(self, stored: str | None, password: str) -> bool:
        if self._nobodys is None:
            self._nobodys = self._hasher.hash(secrets.token_hex(16))
        try:
            # A password of a megabyte is no password: it costs what others cost, and is wrong.
            is_right = self._hasher.verify(stored or self._nobodys, password[:MAX_LENGTH])
        except (Argon2Error, InvalidHashError, UnicodeError):
            return False
        return is_right and stored is not None and len(password) <= MAX_LENGTH


def check_password(password: object) -> str:
    """Raises Invalid unless it can be a password."""
    if not isinstance(password, str) or not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise Invalid(f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters.")
    try:
        password.encode()
    except UnicodeEncodeError:
        raise Invalid("The password holds a character that no text may have.") from None
    return password
