"""Frozen dataclasses as JSON that people can read: stored fields first, derived figures beside them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from json.encoder import encode_basestring_ascii
from typing import Any, get_type_hints

from qdiag.core.printable import is_printable, printable

Derived = Mapping[type, Sequence[str]]
"""Properties to be written beside the stored fields of a type, for readers' convenience."""


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
"""Made once: `json.dumps` makes an encoder for each value that it is given with these settings."""
_AS_IT_IS = frozenset((str, int, bool, type(None)))
"""Types of values that JSON has."""


def to_plain(value: Any, derived: Derived) -> Any:
    """Dictionaries, lists, strings and numbers; the values that JSON lacks become "Infinity", "-Infinity", "NaN"."""
    if type(value) in _AS_IT_IS:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        plain = {name: to_plain(_as_real(getattr(value, name), real), derived) for name, real in _fields(kind)}
        for name in derived.get(kind, ()):
            plain[name] = to_plain(getattr(value, name), derived)
        return plain
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, derived) for key, item in value.items()}
    if isinstance(value, list | tuple):
        # histograms have thousands of numbers, which are looked at together
        if _has_json(value):
            return list(value)
        return [to_plain(item, derived) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _has_json(values: Sequence[Any]) -> bool:
    """JSON has each of the values as it is: they are numbers and texts."""
    kinds = set(map(type, values))
    if kinds <= _AS_IT_IS:
        return True
    return kinds == {float} and all(map(math.isfinite, values))


@cache
def _fields(kind: Any) -> tuple[tuple[str, bool], ...]:
    """Names of the fields, and which of them hold real numbers."""
    real, hints = (float, float | None, tuple[float, ...]), get_type_hints(kind)
    return tuple((field.name, hints[field.name] in real) for field in fields(kind))


def _as_real(value: Any, is_real: bool) -> Any:
    """`3` where 3.0 is meant would come back as 3.0, and equal results would not have equal bytes."""
    if not is_real:
        return value
    if isinstance(value, tuple):
        return tuple(map(float, value))
    return float(value) if isinstance(value, int) else value


def dump(value: Any, indent: int = 0) -> str:
    """JSON text, indented by two; lists of numbers and of strings stay on one line, so that files stay short."""
    inner, outer = "  " * (indent + 1), "  " * indent
    if isinstance(value, dict) and value:
        rows = [f"{inner}{encode_basestring_ascii(key)}: {dump(item, indent + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(rows) + f"\n{outer}}}"
    if isinstance(value, list) and any(issubclass(kind, dict | list) for kind in set(map(type, value))):
        return "[\n" + ",\n".join(f"{inner}{dump(item, indent + 1)}" for item in value) + f"\n{outer}]"
    if (type(value) is float and math.isfinite(value)) or type(value) is int:
        return repr(value)
    return _escaped(_encode(value))


def shown(value: Any) -> Any:
    """The same with every text printable, for what is shown rather than read back."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable(key): shown(item) for key, item in value.items()}
    return [shown(item) for item in value] if isinstance(value, list) else value


def _escaped(text: str) -> str:
    """Escapes that JSON has for what a terminal would act on: the value that is read back is the same."""
    if is_printable(text):
        return text
    return "".join(c if is_printable(c) else json.dumps(c)[1:-1] for c in text)
