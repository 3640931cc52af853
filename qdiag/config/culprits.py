"""Which assignments contradict each other, or the rest of a scheme.

Those without which there is no error, and those that the error names and without which it is another one.
"""

import re
from collections.abc import Callable

from qdiag.config.toml_table import TomlTable, is_override
from qdiag.errors import ConfigError


def culprits(table: TomlTable, build: Callable[[TomlTable], object], error: ConfigError) -> tuple[str, ...]:
    """Places of the assignments to which an error is due, those of the command line if there are any; may be empty.

    Args:
        build: raises the error for this table.
    """
    cured, changed, named = list[str](), list[str](), re.findall(r"\w+", error.message)
    for key in table.values:
        try:
            build(table.without(key))
        except ConfigError as other:
            if (other.message, other.at) != (error.message, error.at) and key.rpartition(".")[2] in named:
                changed.append(key)
        else:
            cured.append(key)
    places = {key: _place(table.origins[key], key) for key in table.values if key in table.origins}
    found = {key: place for key, place in places.items() if key in cured or key in changed}
    given = [place for place in found.values() if is_override(place)]
    return tuple(dict.fromkeys(given or _of_last_file(table, found)))


def _place(origin: str, key: str) -> str:
    return origin if is_override(origin) else f"{origin}: {key}"


def _of_last_file(table: TomlTable, places: dict[str, str]) -> list[str]:
    """Of files that start from each other, those of the one that was read first: what it starts from is right."""
    origins = [table.origins[key] for key in places]
    last = next((origin for origin in reversed([table.origins[key] for key in table.values]) if origin in origins), "")
    return [place for key, place in places.items() if table.origins[key] == last]
