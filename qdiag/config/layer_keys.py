"""Keys of what is different at some layers: `layers."PATTERN".weights.bits`, `layers."PATTERN".bias`."""

from dataclasses import fields
from typing import Any

from qdiag.config.toml_table import TomlTable, key_parts, quoted
from qdiag.core.scheme import TensorChange

LAYERS = "layers"
_SECTIONS = ("weights", "activations")
_FIELDS = (*(f"{section}.{field.name}" for section in _SECTIONS for field in fields(TensorChange)), "bias")


def layer_keys(pattern: str) -> tuple[str, ...]:
    """Every key that a pattern may have."""
    return tuple(f"{LAYERS}.{quoted(pattern)}.{field}" for field in _FIELDS)


def split_layer_key(key: str) -> tuple[str, str] | None:
    """The pattern and the field (`weights.bits`, `bias`); None for a key of the scheme itself.

    The pattern is whatever stands between: shells take quotes away, and layers.blocks.12.dw.bias is meant all the same.
    """
    first, *parts = key_parts(key)
    if first != LAYERS or len(parts) < 2:
        return None
    length = 2 if len(parts) > 2 and parts[-2] in _SECTIONS else 1
    return ".".join(parts[:-length]), ".".join(parts[-length:])


def with_quoted_patterns(table: TomlTable) -> TomlTable:
    """The table with every pattern as one quoted part of its key."""
    names = {}
    for key in table.values:
        layer = split_layer_key(key)
        names[key] = f"{LAYERS}.{quoted(layer[0])}.{layer[1]}" if layer else key
    return TomlTable(
        {names[key]: value for key, value in table.values.items()},
        {names.get(key, key): origin for key, origin in table.origins.items()},
    )


def override_tables(table: TomlTable) -> list[dict[str, Any]]:
    """One per pattern and turn, as `LayerOverride` has its fields: a pattern that is set again later comes again."""
    found: list[dict[str, Any]] = []
    for key, value in table.values.items():
        layer = split_layer_key(key)
        if layer is None:
            continue
        pattern, field = layer
        if not found or found[-1]["pattern"] != pattern:
            found.append({"pattern": pattern})
        section, _, name = field.rpartition(".")
        (found[-1].setdefault(section, {}) if section else found[-1])[name] = value
    return found
