"""NaN is the same as NaN, and nothing else is the same as anything else."""

import math
from dataclasses import dataclass

import pytest

from qdiag.core.presentation.sameness import is_same


@dataclass
class Held:
    """A value with parts."""

    values: tuple[float, ...]
    by_name: dict[str, float]


NAN = float("nan")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (math.nan, NAN, True),
        (1.0, 1.0, True),
        (0.0, math.nan, False),
        ((1.0, math.nan), (1.0, NAN), True),
        ((1.0,), (1.0, NAN), False),
        ([math.nan], (NAN,), False),
        ({"a": math.nan}, {"a": NAN}, True),
        ({"a": math.nan}, {"b": NAN}, False),
        (Held((math.nan,), {"a": NAN}), Held((NAN,), {"a": math.nan}), True),
        (Held((math.nan,), {"a": 1.0}), Held((NAN,), {"a": 2.0}), False),
        ("nan", math.nan, False),
        (None, math.nan, False),
        (math.inf, -math.inf, False),
    ],
)
def test_sameness(one: object, other: object, same: bool) -> None:
    assert is_same(one, other) is same
    assert is_same(other, one) is same
