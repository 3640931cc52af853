"""TOML text as nested tables, each key with the place where it was written."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qdiag.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib


@dataclass(frozen=True)
class TomlTable:
    """Leaves by dotted key, and where each was written.

    Attributes:
        values: `{"weights.bits": 4, ...}`.
        origins: `{"weights.bits": "my.toml", ...}`.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)

    def over(self, base: "TomlTable") -> "TomlTable":
        """These keys, and those of `base` that are not set here."""
        return TomlTable({**base.values, **self.values}, {**base.origins, **self.origins})

    def without(self, key: str) -> "TomlTable":
        return TomlTable({k: v for k, v in self.values.items() if k != key}, self.origins)

    def nested(self) -> dict[str, Any]:
        """The leaves as nested dictionaries again."""
        result: dict[str, Any] = {}
        for key, value in self.values.items():
            *parents, leaf = key.split(".")
            table = result
            for parent in parents:
                table = table.setdefault(parent, {})
            table[leaf] = value
        return result


def read_toml(path: Path) -> TomlTable:
    """A TOML file.

    Raises:
        ConfigError: no such file, not text, or not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError("no such file", at=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", at=str(path)) from error
    return _table(text, str(path), hint="`qdiag schemes` shows where working examples lie")


def read_assignment(text: str) -> TomlTable:
    """One `key=value` from the command line; a value that is not TOML is taken as a string (`bias=float`).

    Raises:
        ConfigError: there is no `=`, or no key before it.
    """
    key, equals, value = (part.strip() for part in text.partition("="))
    origin = f"--set {text}"
    if not equals or not key:
        raise ConfigError("not of the form key=value", at=origin, hint="for example --set weights.bits=4")
    try:
        tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return _table(f'{key} = "{escaped}"', origin, hint="for example --set weights.bits=4")
    return _table(f"{key} = {value}", origin, hint="for example --set weights.bits=4")


def _table(text: str, origin: str, hint: str) -> TomlTable:
    try:
        leaves = dict(_leaves(tomllib.loads(text)))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not valid TOML: {error}", at=origin, hint=hint) from None
    return TomlTable(leaves, dict.fromkeys(leaves, origin))


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
