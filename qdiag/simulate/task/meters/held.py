"""What an object holds in memory."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

_DEPTH_MAX = 6


def held_bytes(objects: Iterable[Any]) -> int:
    """Bytes of the tensors, arrays and texts that objects hold in attributes, lists, tuples, sets and dictionaries.

    What several of them share counts once.
    """
    seen: set[int] = set()
    return sum(_bytes(one, seen, 0) for one in objects)


def _bytes(value: Any, seen: set[int], depth: int) -> int:
    if depth > _DEPTH_MAX or value is None or isinstance(value, (bool, int, float)) or id(value) in seen:
        return 0
    seen.add(id(value))
    if isinstance(value, Tensor):
        storage = value.untyped_storage()
        if storage.data_ptr() in seen:  # a view of what was counted
            return 0
        seen.add(storage.data_ptr())
        return storage.nbytes()
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_bytes(inner, seen, depth + 1) for inner in value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return sum(_bytes(inner, seen, depth + 1) for inner in value)
    return _bytes(getattr(value, "__dict__", None), seen, depth + 1)
