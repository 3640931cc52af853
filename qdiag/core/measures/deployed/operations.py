"""What a runtime computes with after it has optimized a file."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FloatOperation:
    """An operation that the runtime computes in float: its operator, and its name in the file."""

    op: str
    name: str


@dataclass(frozen=True, slots=True)
class RuntimeOperations:
    """The operations of a file in its runtime.

    Attributes:
        runtime: name and version.
        integer: how many operations there are of each operator that computes with integers.
        moving: the same for operators that move integers and compute nothing.
        floating: every operation in float, apart from those that only quantize and dequantize.
    """

    runtime: str
    integer: Mapping[str, int]
    moving: Mapping[str, int]
    floating: tuple[FloatOperation, ...]

    @property
    def integer_count(self) -> int:
        return sum(self.integer.values())
