"""Stored values are of the very types that were written: `"5"`, `true` and `5.0` are no count."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_BITS_MAX = 64
_REAL_WORDS = ("Infinity", "-Infinity", "NaN")
_WITHOUT_PARTS = (int, float, str, bool, NoneType)

_Test = Callable[[Any], bool]


def wrong_types(value: Any, plain: Any, hint: Any = None, at: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Where the text holds another type than the value that was read from it, and what it holds.

    Args:
        value: what was read. plain: the parsed JSON that it was read from.
        hint: the declared type; of a dataclass, its own.
    """
    if is_dataclass(value) and not isinstance(value, type) and isinstance(plain, Mapping):
        for name, (kind, test) in _declared(type(value)).items():
            if name in plain and not (test is not None and test(plain[name])):
                yield from wrong_types(getattr(value, name), plain[name], kind, (*at, name))
    elif isinstance(value, tuple) and isinstance(plain, list):
        kinds = _parts(hint, tuple)
        same = kinds[0] if len(kinds) == 2 and kinds[1] is Ellipsis else None
        if same in (int, float, str) and all(map(_test(same), plain)):
            return
        for i, (item, raw) in enumerate(zip(value, plain, strict=False)):
            kind = same if same is not None else kinds[i] if i < len(kinds) else None
            yield from wrong_types(item, raw, kind, (*at, str(i)))
    elif isinstance(value, Mapping) and isinstance(plain, Mapping):
        kinds = _parts(hint, dict)
        for key, raw in plain.items():
            yield from wrong_types(value.get(key), raw, kinds[1] if kinds else None, (*at, str(key)))
    elif not any(_test(kind)(plain) for kind in _arms(hint)):
        yield ".".join(at), _words(plain)


@cache
def _test(kind: Any) -> _Test:
    """Whether what the text holds is of a type that has no parts; of every other type the adapter has made sure."""
    if get_origin(kind) is Literal:
        words = get_args(kind)
        return lambda plain: any(plain == word and type(plain) is type(word) for word in words)
    if kind is float:
        return lambda plain: type(plain) in (float, int) or plain in _REAL_WORDS
    if kind is NoneType:
        return lambda plain: plain is None
    if kind in (int, str, bool):
        return lambda plain: type(plain) is kind and not _is_beyond(plain)
    return lambda _: True


@cache
def _arms(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


@cache
def _parts(hint: Any, origin: type) -> tuple[Any, ...]:
    """The types of what a container holds."""
    return get_args(next((kind for kind in _arms(hint) if get_origin(kind) is origin), None))


@cache
def _declared(kind: type) -> dict[str, tuple[Any, _Test | None]]:
    """Type of every field, and a test for those without parts: most of a result is made of them, and needs no walk."""
    hints = get_type_hints(kind)
    return {field.name: (hints[field.name], _whole_test(hints[field.name])) for field in fields(kind)}


def _whole_test(hint: Any) -> _Test | None:
    arms = _arms(hint)
    if not all(arm in _WITHOUT_PARTS or get_origin(arm) is Literal for arm in arms):
        return None
    tests = tuple(map(_test, arms))
    return tests[0] if len(tests) == 1 else lambda plain: any(test(plain) for test in tests)


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
