"""Whether two results hold the same values, of which many are NaN: what was not measured, or is not defined."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any


def is_same(one: Any, other: Any) -> bool:
    """Equal in type and in every value; NaN is the same as NaN."""
    if one is other:
        return True
    if type(one) is not type(other):
        return bool(one == other) and not is_dataclass(one)
    if is_dataclass(one):
        return all(is_same(getattr(one, field.name), getattr(other, field.name)) for field in fields(one))
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(is_same, one, other))
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(is_same(value, other[key]) for key, value in one.items())
    return bool(one == other) or (isinstance(one, float) and math.isnan(one) and math.isnan(other))
