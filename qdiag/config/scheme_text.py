"""A scheme as the text of a TOML file, which `load_scheme` reads as the same scheme again."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from qdiag.config.toml_table import quoted, toml_value
from qdiag.core.scheme import QuantScheme, TensorScheme

_SECTIONS = ("weights", "activations")


def scheme_toml(scheme: QuantScheme, comment: str = "") -> str:
    """Every field that is set, a description where there is one, and what is different at some layers.

    What several entries say of one pattern comes as one, where the first of them stands; later ones win.

    Args:
        comment: first lines of the file.
    """
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    own_names = [field.name for field in fields(QuantScheme) if field.name not in (*_SECTIONS, "layers")]
    said = [name for name in own_names if name != "description" or scheme.description]
    lines += [f"{name} = {toml_value(getattr(scheme, name))}" for name in said]
    for section in _SECTIONS:
        own = getattr(scheme, section)
        lines += _table(section, {field.name: getattr(own, field.name) for field in fields(TensorScheme)})
    merged: dict[str, dict[str, dict[str, Any]]] = {}
    for override in scheme.layers:
        parts = merged.setdefault(override.pattern, {})
        for section in _SECTIONS:
            parts.setdefault(section, {}).update(getattr(override, section).values)
        if override.bias is not None:
            parts.setdefault("", {})["bias"] = override.bias
    for pattern, parts in merged.items():
        for section in ("", *_SECTIONS):
            if parts.get(section):
                lines += _table(f"layers.{quoted(pattern)}{'.' if section else ''}{section}", parts[section])
    return "\n".join(lines) + "\n"


def _table(name: str, values: Mapping[str, Any]) -> list[str]:
    return ["", f"[{name}]", *(f"{key} = {toml_value(value)}" for key, value in values.items() if value is not None)]
