"""The settings of a gate: one flat name each, the same in files, in the environment and on the command line."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qdiag.config.toml_table import toml_value
from qdiag.core.causes.codes import CODES
from qdiag.core.causes.near_codes import codes_hint
from qdiag.core.nearest import nearest_hint
from qdiag.errors import ConfigError

LEVELS = {
    "max_drop": "warn_drop",
    "max_relative_drop": "warn_relative_drop",
    "min_accuracy": "warn_accuracy",
    "max_flips": "warn_flips",
    "max_metric_drop": "warn_metric_drop",
    "min_metric": "warn_min_metric",
    "max_metric": "warn_max_metric",
    "min_sqnr": "warn_sqnr",
    "min_layer_sqnr": "warn_layer_sqnr",
    "tolerance": "warn_tolerance",
    "tolerance_db": "warn_tolerance_db",
    "tolerance_metric": "warn_tolerance_metric",
    "forbid": "warn_code",
}
"""Settings with two levels: the name of the one that fails, and of the one that warns."""

CODE_LISTS = ("forbid", "warn_code")
NUMBERS = tuple(name for pair in LEVELS.items() for name in pair if name not in CODE_LISTS)
NAMES = (*NUMBERS, *CODE_LISTS, "allow", "no_new_causes", "strict", "allow_few_samples", "baseline")

ALLOW = "allow."
"""What settings of single layers begin with."""
PERCENT_OF_ALL = ("min_accuracy", "warn_accuracy")
PERCENT_SIGNS = ("%", "pp")
_NEVER_PERCENT = ("min_sqnr", "warn_sqnr", "min_layer_sqnr", "warn_layer_sqnr", "tolerance_db", "warn_tolerance_db")


@dataclass(frozen=True, slots=True)
class Setting:
    """A value, and where it was written."""

    value: Any
    origin: str


Settings = Mapping[str, Setting]
"""By name; allowances as `allow.PATTERN`."""


_NUMBER_HINT = "write for example 1.0, without quotes in a file"


def nearest_error(name: str, origin: str, known: tuple[str, ...] = NAMES) -> ConfigError:
    """For a key that does not exist."""
    hint = nearest_hint(name, known, f"known keys: {', '.join(known)}")
    return ConfigError(f"there is an unknown key {name}", at=origin, hint=hint)


def number(setting: Setting, name: str) -> float:
    """A limit.

    Raises:
        ConfigError: not a number, or one that no figure could be held against.
    """
    value = setting.value
    if isinstance(value, str):
        try:
            value = float(_without_sign(value) if is_percent(setting) and _may_be_percent(name) else value)
        except ValueError:
            raise ConfigError(
                f"{name} = {setting.value}: a number is needed", at=setting.origin, hint=_NUMBER_HINT
            ) from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"{name} = {toml_value(value)}: a number is needed", at=setting.origin, hint=_NUMBER_HINT)
    exempts = name.startswith(ALLOW) and value == -math.inf
    if exempts and not name.removeprefix(ALLOW).strip("*?"):
        raise ConfigError(
            f"{name.removeprefix(ALLOW)} = -inf exempts every layer", at=setting.origin, hint="leave the limit away"
        )
    if math.isnan(value) or (math.isinf(value) and not exempts):
        raise ConfigError(f"{name} = {value}: a finite number is needed", at=setting.origin, hint=_NUMBER_HINT)
    least = 0.0 if is_percent(setting) else 1.0
    if name in PERCENT_OF_ALL and not (value == 0.0 or least <= value <= 100.0):
        hint = "write 70 for 70 %" + (f", or '{value:g}%' if that is meant" if 0.0 < value < 1.0 else "")
        raise ConfigError(f"{name} = {value:g}: percent are needed", at=setting.origin, hint=hint)
    if name.removeprefix("warn_").startswith("tolerance") and value < 0.0:
        raise ConfigError(f"{name} = {value:g}: a tolerance is not negative", at=setting.origin, hint="use 0 or more")
    return float(value)


def is_percent(setting: Setting) -> bool:
    """A sign of percent, or of percentage points, stands beside the number: `0.4%`, `0.4 pp`."""
    return isinstance(setting.value, str) and setting.value.rstrip().endswith(PERCENT_SIGNS)


def _without_sign(text: str) -> str:
    return text.rstrip().removesuffix("%").removesuffix("pp")


def _may_be_percent(name: str) -> bool:
    return not name.startswith(ALLOW) and name not in _NEVER_PERCENT


def codes(setting: Setting, name: str) -> tuple[str, ...]:
    """Codes of findings, each once, in upper case.

    Raises:
        ConfigError: there is no such code.
    """
    value = setting.value
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise ConfigError(
            f"{name} = {toml_value(value)}: a list of codes is needed", at=setting.origin, hint='for example ["QD301"]'
        )
    known = tuple(code.code for code in CODES)
    found = [word.strip().upper() for word in words if word.strip()]
    for code in found:
        if code not in known:
            raise ConfigError(f"no finding has the code {code}", at=setting.origin, hint=codes_hint(code))
    return tuple(dict.fromkeys(found))


def flag(setting: Setting, name: str) -> bool:
    """True or false, also as the environment writes them.

    Raises:
        ConfigError: neither.
    """
    value = setting.value.strip().lower() if isinstance(setting.value, str) else setting.value
    if value in (True, "1", "true", "yes", "on"):
        return True
    if value in (False, "0", "false", "no", "off", ""):
        return False
    raise ConfigError(
        f"{name} = {toml_value(setting.value)}: true or false is needed",
        at=setting.origin,
        hint="write true or false, without quotes in a file",
    )
