"""The little of protobuf's wire format that decrypted messages need: bytes in, JSON as the engine writes it out.

A `Schema` names the fields of a message by number. What it does not name is passed over; what is malformed raises
`ValueError`. Time is linear in the bytes, and messages stand in one another at most `MAX_DEPTH` deep.
"""

import base64
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Union

MAX_DEPTH = 32

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT = 10
_WRAP = 1 << 64

Reader = Callable[[bytes | int], Any]
Schema = Mapping[int, "Field"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name in JSON, how its value is read, and whether there are several.

    `kind` is a reader, a schema for a message within the message, or a function that gives one, where a schema
    refers to itself.
    """

    name: str
    kind: Union[Reader, Schema, "LaterSchema"]
    is_repeated: bool = False


@dataclass(frozen=True, slots=True)
class LaterSchema:
    """A schema that is looked up when it is needed."""

    get: Callable[[], Schema]


def text(value: bytes | int) -> str:
    return _raw(value).decode("utf-8", "replace")


def base64_bytes(value: bytes | int) -> str:
    """Bytes as the JSON form of protobuf has them."""
    return base64.b64encode(_raw(value)).decode()


def unsigned(value: bytes | int) -> int:
    if not isinstance(value, int):
        raise ValueError("a number was expected")
    return value


def signed(value: bytes | int) -> int:
    """An int32, int64 or enum: a negative one is written as its 64-bit complement."""
    found = unsigned(value)
    return found - _WRAP if found >= _WRAP // 2 else found


def boolean(value: bytes | int) -> bool:
    return unsigned(value) != 0


def double(value: bytes | int) -> float:
    raw = value.to_bytes(8, "little") if isinstance(value, int) else value
    return float(struct.unpack("<d", raw)[0]) if len(raw) == 8 else 0.0


def decode(data: bytes, schema: Schema, depth: int = 0) -> dict[str, Any]:
    """The named fields of an encoded message; ValueError if it is malformed or nested too deeply."""
    if depth > MAX_DEPTH:
        raise ValueError("messages nested too deeply")
    found: dict[str, Any] = {}
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        value, place = _value(data, place, tag & 7)
        field = schema.get(tag >> 3)
        if field is not None:
            _keep(found, field, _read(field, value, depth))
    return found


def _keep(found: dict[str, Any], field: Field, value: Any) -> None:
    if field.is_repeated:
        found.setdefault(field.name, []).append(value)
    else:
        found[field.name] = value


def _read(field: Field, value: bytes | int, depth: int) -> Any:
    kind = field.kind.get() if isinstance(field.kind, LaterSchema) else field.kind
    return decode(_raw(value), kind, depth + 1) if isinstance(kind, Mapping) else kind(value)


def _raw(value: bytes | int) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("bytes were expected")
    return value


def _value(data: bytes, place: int, wire_type: int) -> tuple[bytes | int, int]:
    if wire_type == _VARINT:
        return _varint(data, place)
    if wire_type == _BYTES:
        size, place = _varint(data, place)
        return _piece(data, place, size), place + size
    if wire_type in (_FIXED64, _FIXED32):
        size = 8 if wire_type == _FIXED64 else 4
        return int.from_bytes(_piece(data, place, size), "little"), place + size
    raise ValueError(f"wire type {wire_type} does not exist")


def _piece(data: bytes, place: int, size: int) -> bytes:
    if size > len(data) - place:
        raise ValueError("the message ends early")
    return data[place : place + size]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(_MAX_VARINT):
        if place >= len(data):
            raise ValueError("the message ends early")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value % _WRAP, place
    raise ValueError("a number is too long")
