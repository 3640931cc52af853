"""Settings over those of a scheme, which lose what no longer has a meaning beside them."""

from typing import Any

from qdiag.config.scheme_keys import SECTIONS
from qdiag.config.toml_table import TomlTable, dotted_key, key_parts
from qdiag.core.formats.stale_fields import stale_fields


def laid_over(table: TomlTable, base: TomlTable) -> TomlTable:
    """These keys, and those of `base` that keep their meaning beside them."""
    for section in (*SECTIONS, *_layer_sections(table)):
        kind = key_parts(section)[-1]
        # what a layer's own table leaves open is as in the table for all layers
        old = _fields(base, kind) | _fields(base, section)
        for name in stale_fields(old, _fields(table, section)):
            base = base.without(f"{section}.{name}")
    return table.over(base)


def _layer_sections(table: TomlTable) -> list[str]:
    """`layers."conv1".weights` and the like, in which something is set."""
    found = [parts[:-1] for parts in map(key_parts, table.values) if parts[0] == "layers" and parts[-2] in SECTIONS]
    return list(dict.fromkeys(dotted_key(parts) for parts in found))


def _fields(table: TomlTable, section: str) -> dict[str, Any]:
    first = f"{section}."
    return {key.removeprefix(first): value for key, value in table.values.items() if key.startswith(first)}
