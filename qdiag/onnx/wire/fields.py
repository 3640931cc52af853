"""The wire format of protocol buffers: a message is a row of fields, a field a number with a kind and a value.

Source: protobuf.dev, "Encoding".
"""

from collections.abc import Iterator
from dataclasses import dataclass

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Attributes:
        number: which field of the message it is.
        first: where it begins, with its number and its length.
        start, end: where its value begins and ends.
    """

    number: int
    first: int
    start: int
    end: int


def fields(content: bytes, start: int, end: int) -> Iterator[Field]:
    """The fields of the message between two places. Raises `ValueError` where a value reaches beyond the message."""
    at = start
    while at < end:
        first = at
        key, at = varint(content, at)
        kind = key & 7
        if kind == _VARINT:
            _, stop = varint(content, at)
        elif kind == _BYTES:
            length, at = varint(content, at)
            stop = at + length
        elif kind in (_FIXED64, _FIXED32):
            stop = at + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError(f"a field of the kind {kind}")
        if stop > end:
            raise ValueError("a field that reaches beyond its message")
        yield Field(key >> 3, first, at, stop)
        at = stop


def varint(content: bytes, at: int) -> tuple[int, int]:
    """The number, seven bits a byte, and where it ends."""
    number = 0
    for shift in range(0, 70, 7):
        if at >= len(content):
            break
        byte = content[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
    raise ValueError("a number without an end")


def entry(number: int, value: bytes) -> bytes:
    """A field of bytes: a text or a message."""
    return _number(number << 3 | _BYTES) + _number(len(value)) + value


def number(of: int, value: int) -> bytes:
    """A field of a number."""
    return _number(of << 3 | _VARINT) + _number(value)


def _number(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])
