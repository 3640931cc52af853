"""Sizes that depend on the number of samples: known for two numbers of samples at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qdiag.errors import CaptureError


@dataclass(frozen=True, eq=False)
class Samples:
    """A size for each of two numbers of samples; arithmetic goes side by side.

    What is asked of it and has two answers, such as whether it is 4, is a `CaptureError`.
    """

    first: int
    second: int

    def _with(self, other: Any, function: Callable[[int, int], int]) -> "int | Samples":
        a, b = (other.first, other.second) if isinstance(other, Samples) else (int(other), int(other))
        first, second = function(self.first, a), function(self.second, b)
        return first if first == second else Samples(first, second)

    def __add__(self, other: Any) -> "int | Samples":
        return self._with(other, lambda a, b: a + b)

    def __sub__(self, other: Any) -> "int | Samples":
        return self._with(other, lambda a, b: a - b)

    def __rsub__(self, other: Any) -> "int | Samples":
        return self._with(other, lambda a, b: b - a)

    def __mul__(self, other: Any) -> "int | Samples":
        return self._with(other, lambda a, b: a * b)

    def __floordiv__(self, other: Any) -> "int | Samples":
        return self._with(other, lambda a, b: a // b)

    def __rfloordiv__(self, other: Any) -> "int | Samples":
        return self._with(other, lambda a, b: b // a)

    __radd__, __rmul__ = __add__, __mul__

    def _agreed(self, other: Any, function: Callable[[int, int], bool]) -> bool:
        a, b = (other.first, other.second) if isinstance(other, Samples) else (other, other)
        first, second = bool(function(self.first, a)), bool(function(self.second, b))
        if first != second:
            raise CaptureError("what is computed depends on the number of samples")
        return first

    def __eq__(self, other: object) -> bool:
        """-1, 0 and 1 are no number of samples; elsewhere the two have to agree."""
        return self._agreed(other, lambda a, b: a == b)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        return self._agreed(other, lambda a, b: a < b)

    def __le__(self, other: Any) -> bool:
        return self._agreed(other, lambda a, b: a <= b)

    def __gt__(self, other: Any) -> bool:
        return self._agreed(other, lambda a, b: a > b)

    def __ge__(self, other: Any) -> bool:
        return self._agreed(other, lambda a, b: a >= b)

    def __hash__(self) -> int:
        return hash((self.first, self.second))

    def __int__(self) -> int:
        raise CaptureError("a number is needed that depends on the number of samples")

    __index__ = __int__
