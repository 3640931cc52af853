"""TOML text as nested tables, each key with the place where it was written."""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qdiag.config.toml_fault import toml_fault
from qdiag.errors import ConfigError
from qdiag.files.read import SETTINGS_BYTES_MAX, read_text
from qdiag.files.refusal import refusal

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib


_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PART = re.compile(r'("(?:[^"\\]|\\.)*")|([^."]+)')
_ASSIGNMENT = re.compile(r"""((?:"(?:[^"\\]|\\.)*"|'[^']*'|[^"'=])*)=(.*)""", re.DOTALL)
"""A key, in which parts in quotes may hold an equals sign, and a value."""
_TOML = "give the path of a text file in TOML; `qdiag schemes` shows where working examples lie"
_OVERRIDES = "`overrides="
"""How the place of an assignment begins, which is no file."""


@dataclass(frozen=True)
class TomlTable:
    """Leaves by dotted key, and where each was written.

    Attributes:
        values: `{"weights.bits": 4, 'layers."a.b".bias': "float", ...}`, in the order in which they were last set.
        origins: `{"weights.bits": "my.toml", ...}`.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    def over(self, base: "TomlTable") -> "TomlTable":
        """These keys, and those of `base` that are not set here."""
        kept = {key: value for key, value in base.values.items() if key not in self.values}
        return TomlTable({**kept, **self.values}, {**base.origins, **self.origins})

    def without(self, key: str) -> "TomlTable":
        return TomlTable({k: v for k, v in self.values.items() if k != key}, self.origins)

    def nested(self) -> dict[str, Any]:
        """The leaves as nested dictionaries again."""
        result: dict[str, Any] = {}
        for key, value in self.values.items():
            *parents, leaf = key_parts(key)
            table = result
            for parent in parents:
                table = table.setdefault(parent, {})
            table[leaf] = value
        return result


def dotted_key(parts: Sequence[str]) -> str:
    """`weights.bits`; parts that hold more than letters, digits, - and _ are quoted: `layers."a.b".bias`."""
    return ".".join(part if _BARE.fullmatch(part) else quoted(part) for part in parts)


def key_parts(key: str) -> list[str]:
    """What `dotted_key` joined."""
    return [json.loads(quote) if quote else bare for quote, bare in _PART.findall(key)]


def quoted(text: str) -> str:
    """A TOML string; JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False)


def toml_value(value: object) -> str:
    """A value as a TOML file writes it: `true`, `"text"`, `[1, 2]`, `{a = 1}`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{dotted_key([key])} = {toml_value(inner)}' for key, inner in value.items())}}}"
    return str(value)


def read_toml(path: Path) -> TomlTable:
    """A TOML file.

    Raises:
        ConfigError: no such file, not text, or not TOML.
    """
    try:
        text = read_text(path, SETTINGS_BYTES_MAX)
    except FileNotFoundError:
        raise ConfigError("there is no such file", at=str(path), hint=_TOML) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"it cannot be read: {refusal(error)}", at=str(path), hint=_TOML) from error
    return _table(text, str(path), hint="`qdiag schemes` shows where working examples lie")


def parse_toml(text: str, origin: str) -> TomlTable:
    """TOML that this program has written itself."""
    return _table(text, origin, hint="this is a fault of qdiag: please report it")


def is_override(origin: str) -> bool:
    """Whether a key was written in an assignment rather than in a file."""
    return origin.startswith(_OVERRIDES)


def read_assignment(text: str) -> TomlTable:
    """One `key=value` from the command line; a value that is not TOML is taken as a string (`bias=float`).

    Raises:
        ConfigError: there is no `=`, or no key before it.
    """
    origin, match = f"{_OVERRIDES}{text}`", _ASSIGNMENT.fullmatch(text)
    key, value = (part.strip() for part in match.groups()) if match else ("", "")
    if not key:
        raise ConfigError("this is not of the form key=value", at=origin, hint="for example `overrides=weights.bits=4`")
    try:
        tomllib.loads(f"value = {value}")
    except (ValueError, RecursionError):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return _table(f'{key} = "{escaped}"', origin, hint="for example `overrides=weights.bits=4`")
    return _table(f"{key} = {value}", origin, hint="for example `overrides=weights.bits=4`")


def _table(text: str, origin: str, hint: str) -> TomlTable:
    try:
        leaves = dict(_leaves(tomllib.loads(text)))
    except RecursionError:
        raise ConfigError("its tables or lists lie too deep in each other", at=origin, hint=hint) from None
    except ValueError as error:  # tomllib's own, and Python's for numbers of thousands of digits
        fact, place = toml_fault(error)
        raise ConfigError(f"this is not valid TOML: {fact}", at=f"{origin}{place}", hint=hint) from None
    return TomlTable(leaves, dict.fromkeys(leaves, origin))


def _leaves(table: Mapping[str, Any], parents: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*parents, key))
        else:
            yield dotted_key((*parents, key)), value
