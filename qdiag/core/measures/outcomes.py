"""What became of each sample, one bit each: with these, two runs on the same samples can be paired."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class SampleOutcomes:
    """One bit per measured sample, in the order in which they were measured, as `pack_bits` writes them.

    Attributes:
        count: samples.
        agree: both networks have the same top-1.
        reference_right, simulated_right: top-1 is the label; empty without labels.
    """

    count: int
    agree: str
    reference_right: str = ""
    simulated_right: str = ""
