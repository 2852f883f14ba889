"""Logins of the attacks' people, as the shop's backend makes them."""

import time

import jwt

from gateway.domain.access import Role

SECRET = "a-secret-for-attacks-of-at-least-32-characters"


def mint(role: Role, sub: str = "bystander") -> str:
    claims = {"sub": sub, "name": sub, "role": role.word, "sessions": "*", "iat": int(time.time()),
              "exp": int(time.time() + 7200)}  # fmt: skip
    return jwt.encode(claims, SECRET, algorithm="HS256")
