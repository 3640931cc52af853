"""Keys that the file of a scheme may have, and which one was meant where there is no such key."""

from collections.abc import Sequence
from dataclasses import fields

from qdiag.config.layer_keys import LAYERS, layer_keys, split_layer_key
from qdiag.config.toml_table import TomlTable, is_override, toml_value
from qdiag.core.nearest import nearest
from qdiag.core.scheme import QuantScheme, TensorScheme
from qdiag.errors import ConfigError

SECTIONS = ("weights", "activations")
_KEYS = (
    *(field.name for field in fields(QuantScheme) if field.name not in (*SECTIONS, LAYERS)),
    *(f"{section}.{field.name}" for section in SECTIONS for field in fields(TensorScheme)),
)


def refuse_unknown(table: TomlTable) -> None:
    """Keys of which no scheme knows.

    Raises:
        ConfigError: there is one; names the nearest that is known.
    """
    for key, value in table.values.items():
        layer = split_layer_key(key)
        known = layer_keys(layer[0]) if layer else (*_KEYS, "base")
        if key in known:
            continue
        origin = table.origins[key]
        at = origin if is_override(origin) else f"{origin}: {key}"
        if key in (*SECTIONS, LAYERS):
            section = key if key != LAYERS else f'{LAYERS}."NAME".weights'
            raise ConfigError(
                f"{key} = {toml_value(value)} is not a table",
                at=at,
                hint=f"write a section [{section}], or {section}.bits = 8",
            )
        near = _nearest(key, known)
        hint = f"did you mean {near}?" if near else f"known keys: {', '.join(known)}"
        raise ConfigError(f"there is an unknown key {key}", at=at, hint=hint)


def _nearest(key: str, known: Sequence[str]) -> str | None:
    near = nearest(key, known)
    if near:
        return near[0]
    leaf = key.rpartition(".")[2]
    by_leaf = {k.rpartition(".")[2]: k for k in reversed(known)}
    near = nearest(leaf, by_leaf)
    return by_leaf[near[0]] if near else None
