"""Arguments of the factories: what is refused, and with which words."""

import math
from collections.abc import Sequence

from qdiag.core.nearest import nearest_hint
from qdiag.errors import ConfigError


def check_choice(argument: str, value: object, choices: Sequence[str]) -> None:
    """Raise `ConfigError`, naming the nearest choice, unless `value` is one of `choices`."""
    if value not in choices:
        raise ConfigError(
            f"{value!r} is none of {', '.join(choices)}", at=argument, hint=nearest_hint(str(value), choices)
        )


def check_count(argument: str, value: object) -> None:
    """Raise `ConfigError` unless `value` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigError(f"{value!r} is not a whole number of at least 1", at=argument)


def check_positive(argument: str, value: object) -> None:
    """Raise `ConfigError` unless `value` is a finite number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{value!r} is not a finite number above 0", at=argument)
