"""What became of each sample, one bit each: with these, two runs on the same samples can be paired."""

import base64
import binascii
import math
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_LARGEST = 3.4028234663852886e38
"""Of float32."""


def pack_bits(values: Iterable[bool]) -> str:
    """Base64 of one bit per value: value i is bit i % 8 (lowest first) of byte i // 8."""
    bits = "".join("1" if value else "0" for value in values)
    if not bits:
        return ""
    packed = int(bits[::-1], 2).to_bytes((len(bits) + 7) // 8, "little")
    return base64.b64encode(packed).decode("ascii")


def unpack_bits(text: str, count: int) -> int | None:
    """The bits as one integer, value i at bit i; None where the text does not hold `count` of them."""
    try:
        packed = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        return None
    bits = int.from_bytes(packed, "little")
    return bits if len(packed) == (count + 7) // 8 and not bits >> count else None


def pack_numbers(values: Iterable[float]) -> str:
    """Base64 of float32 values, lowest byte first; what lies beyond float32 is infinite."""
    numbers = [x if not abs(x) > _LARGEST else math.copysign(math.inf, x) for x in values]
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode("ascii")


def unpack_numbers(text: str, count: int) -> tuple[float, ...] | None:
    """The values; None where the text does not hold `count` of them."""
    try:
        packed = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        return None
    return struct.unpack(f"<{count}f", packed) if len(packed) == 4 * count else None


@dataclass(frozen=True, slots=True)
class SampleOutcomes:
    """What became of each measured sample, in the order in which they were measured.

    Attributes:
        count: samples.
        reference, simulated: one value per sample of the float and of the quantized network, as `pack_bits` or
            `pack_numbers` write them. `reference` is empty where its samples are successes by definition.
        are_bits: successes rather than numbers.
    """

    count: int
    reference: str
    simulated: str
    are_bits: bool = True
