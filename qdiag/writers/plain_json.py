"""Frozen dataclasses as JSON that people can read: stored fields first, derived figures beside them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

Derived = Mapping[type, Sequence[str]]
"""Properties to be written beside the stored fields of a type, for readers' convenience."""


def to_plain(value: Any, derived: Derived) -> Any:
    """Dictionaries, lists, strings and numbers; the values that JSON lacks become "Infinity", "-Infinity", "NaN"."""
    if is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in fields(value)] + list(derived.get(type(value), ()))
        return {name: to_plain(getattr(value, name), derived) for name in names}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, derived) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item, derived) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def dump(value: Any, indent: int = 0) -> str:
    """JSON text, indented by two; lists of numbers and of strings stay on one line, so that files stay short."""
    inner, outer = "  " * (indent + 1), "  " * indent
    if isinstance(value, dict) and value:
        rows = (f"{inner}{json.dumps(key)}: {dump(item, indent + 1)}" for key, item in value.items())
        return "{\n" + ",\n".join(rows) + f"\n{outer}}}"
    if isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        return "[\n" + ",\n".join(f"{inner}{dump(item, indent + 1)}" for item in value) + f"\n{outer}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
