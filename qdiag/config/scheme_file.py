"""From a preset's name, a TOML file and `--set` options to one checked scheme."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from qdiag.config.culprits import culprits
from qdiag.config.laid_over import laid_over
from qdiag.config.layer_keys import LAYERS, override_tables, split_layer_key, with_quoted_patterns
from qdiag.config.presets import preset_names, preset_path
from qdiag.config.scheme_keys import SECTIONS, refuse_unknown
from qdiag.config.scheme_text import scheme_toml
from qdiag.config.toml_table import (
    TomlTable,
    is_override,
    parse_toml,
    quoted,
    read_assignment,
    read_toml,
)
from qdiag.core.nearest import nearest
from qdiag.core.scheme import LayerOverride, QuantScheme, TensorScheme
from qdiag.errors import ConfigError, telling_hints

_Kind = TypeVar("_Kind", TensorScheme, LayerOverride, QuantScheme)

_ADAPTERS: dict[type[Any], TypeAdapter[Any]] = {
    kind: TypeAdapter(kind) for kind in (TensorScheme, LayerOverride, QuantScheme)
}


@telling_hints()
def load_scheme(ref: str, overrides: Sequence[str] = ()) -> QuantScheme:
    """A scheme by name or file, with single fields replaced.

    Args:
        ref: a preset (`int8`) or the path of a TOML file. A file may start from another scheme with `base = "int8"`.
        overrides: assignments such as `weights.bits=4`, the value in TOML; later ones win.

    Raises:
        ConfigError: unknown name, unreadable file, unknown key (the nearest known one is named), wrong type, or fields
            that contradict each other.
    """
    if not overrides and ref in preset_names():
        return _preset(preset_path(ref))
    return _changed(_read(ref, seen=()), ref, overrides)


@cache
def _preset(path: Path) -> QuantScheme:
    """Its file is part of the package, and a scheme cannot be changed: it is read once."""
    return _changed(_read(path.stem, seen=()), path.stem, ())


def change_scheme(scheme: QuantScheme, overrides: Sequence[str]) -> QuantScheme:
    """A scheme with single fields replaced, as `load_scheme` replaces them.

    Raises:
        ConfigError: see `load_scheme`.
    """
    return _changed(parse_toml(scheme_toml(scheme), scheme.name), scheme.name, overrides) if overrides else scheme


def _changed(table: TomlTable, ref: str, overrides: Sequence[str]) -> QuantScheme:
    changes = TomlTable()
    for text in overrides:
        change = with_quoted_patterns(read_assignment(text))
        refuse_unknown(change)
        if "base" in change.values:
            raise ConfigError("base belongs into a TOML file", at=f"`overrides={text}`", hint="choose it with `scheme`")
        changes = change.over(changes)
    scheme = _build(laid_over(changes, table), ref)
    if changes.values and "name" not in changes.values:
        listed = ", ".join(f"{key}={_toml(value)}" for key, value in changes.values.items())
        scheme = replace(scheme, name=f"{scheme.name} ({listed})")
        if "description" not in changes.values:  # it is that of the scheme without these changes
            scheme = replace(scheme, description="")
    return scheme


def load_preset(name: str) -> QuantScheme:
    """One of `preset_names()`.

    Raises:
        ConfigError: no preset has that name.
    """
    if name not in preset_names():
        raise _unknown_scheme(name)
    return load_scheme(name)


def _read(ref: str, seen: tuple[str, ...]) -> TomlTable:
    is_preset = ref in preset_names()
    if not is_preset and not (ref.endswith(".toml") or _is_file(ref)):
        raise _unknown_scheme(ref)
    path = preset_path(ref) if is_preset else Path(ref)
    identity = str(path.resolve())
    if identity in seen:
        raise ConfigError("base leads back to this file", at=str(path), hint="start from a preset instead")
    table = with_quoted_patterns(read_toml(path))
    refuse_unknown(table)
    base = table.values.get("base")
    if base is not None:
        if not isinstance(base, str):
            raise ConfigError(
                "base must be text, the name of a scheme", at=f"{path}: base", hint='for example base = "int8"'
            )
        inherited = _read(_base_of(path, base), (*seen, identity))
        table = laid_over(table.without("base"), inherited.without("name"))
    default_name = TomlTable({"name": ref if is_preset else path.stem}, {"name": str(path)})
    return table.over(default_name)


def _base_of(path: Path, base: str) -> str:
    """A preset, or a file: a relative path in a file is meant from that file, as in other configuration formats."""
    if base in preset_names():
        return base
    nearby, at = str(path.parent / base), f"{path}: base"
    if not _is_file(nearby):
        if base.endswith(".toml"):
            raise ConfigError(f"base = {base}: no such file", at=at, hint="a relative path is meant from this file")
        raise _unknown_scheme(base, at)
    return nearby


def _is_file(ref: str) -> bool:
    try:
        return Path(ref).is_file()
    except (OSError, ValueError):  # too long, or with a NUL: no name of a file
        return False


class _ContradictionError(ConfigError):
    """Fields that do not go together; `at` is their section."""


def _build(table: TomlTable, ref: str) -> QuantScheme:
    """The checked scheme; an error names the assignments to which it is due."""
    try:
        return _made(table, ref)
    except _ContradictionError as error:
        section = error.at or ""
        places = culprits(table, lambda other: _made(other, ref), error) or (f"{ref}: {section}" if section else ref,)
        hint = error.hint.replace("=weights.", f"={section}.") if error.hint and section else error.hint
        raise ConfigError(error.message, at=" and ".join(places), hint=hint) from None


def _made(table: TomlTable, ref: str) -> QuantScheme:
    overrides = override_tables(table)
    nested = TomlTable({key: value for key, value in table.values.items() if split_layer_key(key) is None}).nested()
    for override in overrides:
        _validate(LayerOverride, override, table, ref, f"{LAYERS}.{quoted(override['pattern'])}")
    nested[LAYERS] = overrides
    for section in SECTIONS:
        # What a file leaves open is as in a scheme of which nothing was said: symmetric weights, affine activations.
        values = nested.setdefault(section, {})
        values.setdefault("symmetric", section == "weights")
        values.setdefault("signed", values["symmetric"])
        _validate(TensorScheme, nested[section], table, ref, section)
    return _validate(QuantScheme, nested, table, ref, "")


def _validate(kind: type[_Kind], values: dict[str, Any], table: TomlTable, ref: str, section: str) -> _Kind:
    try:
        # Strict, and through JSON: a list may become a tuple there, but "8" never becomes 8, nor true 1.
        made: _Kind = _ADAPTERS[kind].validate_json(json.dumps(values, default=str), strict=True)
        return made
    except ValidationError as error:
        first: Any = error.errors()[0]
        key = ".".join(str(part) for part in (section, *first["loc"]) if part != "" and not isinstance(part, int))
        origin = table.origins.get(key, ref)
        at = origin if is_override(origin) else f"{origin}: {key}"
        raise ConfigError(
            f"{key} = {_toml(first['input'])}: {_expectation(first)}",
            at=at,
            hint=_did_you_mean(first) or _HINTS.get(first["type"], _EXAMPLES),
        ) from None
    except ConfigError as error:
        raise _ContradictionError(error.message, at=error.at or section, hint=error.hint) from None


_TYPE_WORDS = {
    "int_type": "a whole number is needed",
    "int_from_float": "a whole number is needed",
    "float_type": "a number is needed",
    "bool_type": "true or false is needed",
    "string_type": "text in quotes is needed",
    "tuple_type": "a list is needed",
    "missing": "two numbers are needed",
    "too_long": "two numbers are needed",
}

_HINTS = {
    "int_type": "write for example 8, without quotes or a point",
    "int_from_float": "write for example 8, without quotes or a point",
    "float_type": "write for example 99.99, without quotes",
    "bool_type": "write it without quotes",
    "string_type": "put it in quotes",
    "tuple_type": 'write it in brackets, for example [-4.0, 4.0] or ["head"]',
    "missing": "write for example [-4.0, 4.0]",
    "too_long": "write for example [-4.0, 4.0]",
}
_EXAMPLES = "`qdiag schemes` lists schemes with all their fields"


def _expectation(error: Any) -> str:
    if error["type"] == "literal_error":
        return f"one of {error['ctx']['expected'].replace(chr(39), '')} is needed"
    return _TYPE_WORDS.get(error["type"], str(error["msg"]))


def _did_you_mean(error: Any) -> str | None:
    """Of a fixed set of words, the nearest to the one that was given."""
    known = re.findall(r"'([^']*)'", error.get("ctx", {}).get("expected", ""))
    near = nearest(str(error["input"]), known)
    return f"did you mean {near[0]}?" if near else None


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return str(value)


def _unknown_scheme(name: str, at: str = "`scheme`") -> ConfigError:
    names = preset_names()
    near = nearest(name, names)
    question = f"did you mean {near[0]}? " if near else ""
    return ConfigError(
        f"no scheme is called {name}",
        at=at,
        hint=f"{question}known: {', '.join(names)}, or the path of a .toml",
    )
