"""Stored values are of the very types that were written: `"5"`, `true` and `5.0` are no count."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_PLAIN_KINDS = (int, float, str, bool)
"""Fields of these need no walk: most of a result is made of them."""
_BITS_MAX = 64
_REAL_WORDS = ("Infinity", "-Infinity", "NaN")


def wrong_types(value: Any, plain: Any, hint: Any = None, at: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Where the text holds another type than the value that was read from it, and what it holds.

    Args:
        value: what was read. plain: the parsed JSON that it was read from.
        hint: the declared type; of a dataclass, its own.
    """
    if is_dataclass(value) and not isinstance(value, type) and isinstance(plain, Mapping):
        for name, kind in _hints(type(value)).items():
            if name in plain and not (kind in _PLAIN_KINDS and _is_of(plain[name], kind)):
                yield from wrong_types(getattr(value, name), plain[name], kind, (*at, name))
    elif isinstance(value, tuple) and isinstance(plain, list):
        kinds = get_args(_arm(hint, tuple))
        same = kinds[0] if len(kinds) == 2 and kinds[1] is Ellipsis else None
        if same in (int, float, str) and all(_is_of(item, same) for item in plain):
            return
        for i, (item, raw) in enumerate(zip(value, plain, strict=False)):
            kind = same if same is not None else kinds[i] if i < len(kinds) else None
            yield from wrong_types(item, raw, kind, (*at, str(i)))
    elif isinstance(value, Mapping) and isinstance(plain, Mapping):
        kinds = get_args(_arm(hint, dict))
        for key, raw in plain.items():
            yield from wrong_types(value.get(key), raw, kinds[1] if kinds else None, (*at, str(key)))
    elif not any(_is_of(plain, kind) for kind in _arms(hint)):
        yield ".".join(at), _words(plain)


def _is_of(plain: Any, kind: Any) -> bool:
    if kind in (None, Any):
        return True
    if get_origin(kind) is Literal:
        return any(plain == word and type(plain) is type(word) for word in get_args(kind))
    if kind is float:
        return (isinstance(plain, int | float) and not isinstance(plain, bool)) or plain in _REAL_WORDS
    if kind is NoneType:
        return plain is None
    if kind in (int, str, bool):
        return type(plain) is kind and not _is_beyond(plain)
    return True  # another kind of container, which the adapter has checked


def _arms(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _arm(hint: Any, origin: type) -> Any:
    return next((kind for kind in _arms(hint) if get_origin(kind) is origin), None)


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _is_beyond(plain: Any) -> bool:
    """No count is as large, and no real number can stand for it."""
    return type(plain) is int and plain.bit_length() > _BITS_MAX


def _words(plain: Any) -> str:
    if _is_beyond(plain):
        return f"a number of more than {_BITS_MAX} bits"
    if isinstance(plain, str):
        return "text"
    if isinstance(plain, bool):
        return "true or false"
    if isinstance(plain, float):
        return "a fraction" if math.isfinite(plain) else "an infinite number"
    return "nothing" if plain is None else type(plain).__name__
