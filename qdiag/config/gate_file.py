"""Limits of a gate: `pyproject.toml` < `qdiag.toml` < environment < command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qdiag.config.gate_keys import (
    ALLOW,
    LEVELS,
    NAMES,
    Setting,
    Settings,
    codes,
    flag,
    is_percent,
    nearest_error,
    number,
)
from qdiag.config.toml_table import read_toml, toml_value
from qdiag.core.nearest import nearest, nearest_hint
from qdiag.core.thresholds import Allowance, Limit, Thresholds
from qdiag.errors import ConfigError

PREFIX = "QDIAG_"
OTHER_VARIABLES = ("QDIAG_CACHE_DIR", "QDIAG_CACHE_MB", "QDIAG_REAL_DATA")
"""Those that are none of a gate's business; any other one may be a limit that is misspelt."""
FILE_NAMES = ("pyproject.toml", "qdiag.toml")
"""Looked for in the working directory; keys of the second replace those of the first."""

_TABLE = "gate"
_PATH_HINT = 'for example baseline = "reports/main"'


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a gate is asked to do.

    Attributes:
        baseline: path of the file; None when none was named.
        sources: where the settings come from, the strongest last.
    """

    thresholds: Thresholds
    baseline: str | None
    sources: tuple[str, ...]


def gate_settings(
    options: Mapping[str, Any], *, environment: Mapping[str, str], folder: Path, config: Path | None = None
) -> GateSettings:
    """All sources together; a name that is set in a stronger one is not read from a weaker one.

    Args:
        options: of the command line, by name (`max_drop`, ...); None and empty lists are not set. `allow` is a list of
            `LAYER=DB`.
        environment: `QDIAG_MAX_DROP`, ...; lists with commas.
        folder: where to look for files. config: this file alone, which then has to have a table.

    Raises:
        ConfigError: an unknown key, code or value; says where it was written, and names the nearest known one.
    """
    settings: dict[str, Setting] = {}
    if config is not None:
        settings.update(read_gate_file(config, must_have_table=True))
    else:
        for name in FILE_NAMES:
            if (folder / name).is_file():
                settings.update(read_gate_file(folder / name))
    settings.update(_from_environment(environment))
    settings.update(_from_options(options))
    sources = tuple(dict.fromkeys(setting.origin for setting in settings.values()))
    baseline = settings.get("baseline")
    return GateSettings(_thresholds(settings), str(baseline.value) if baseline else None, sources)


def thresholds_of(parameters: Mapping[str, Any], origin: str) -> Thresholds:
    """What a caller in Python asks for: parameters by the keys of a gate file; None is not set.

    Args:
        parameters: `allow` is a mapping from patterns of layers to dB. origin: who asks.

    Raises:
        ConfigError: an unknown key, code or value.
    """
    settings: dict[str, Setting] = {}
    for name, value in parameters.items():
        if value is not None:
            settings.update(_from_key(name, value, origin))
    return _thresholds(settings)


def read_gate_file(path: Path, *, must_have_table: bool = False) -> Settings:
    """The table `[gate]` of a file, or `[tool.qdiag.gate]` of `pyproject.toml`; empty where there is none.

    Raises:
        ConfigError: not TOML, an unknown key, or no table where there has to be one.
    """
    top = read_toml(path).nested()
    is_project = path.name == "pyproject.toml"
    own = _own_table(top, path) if is_project else top
    header = f"[tool.qdiag.{_TABLE}]" if is_project else f"[{_TABLE}]"
    for key in own:
        if key != _TABLE and (not is_project or nearest(key, [_TABLE])):
            raise ConfigError(f"there is an unknown table or key {key}", at=str(path), hint=f"limits stand in {header}")
    table = own.get(_TABLE)
    if table is None:
        if must_have_table:
            raise ConfigError(f"there is no table {header}", at=str(path), hint=f"write {header} and max_drop = 1.0")
        return {}
    if not isinstance(table, Mapping):
        raise ConfigError(f"{_TABLE} = {toml_value(table)} is not a table", at=str(path), hint=f"write {header}")
    settings: dict[str, Setting] = {}
    for key, value in table.items():
        settings.update(_from_key(key.replace("-", "_"), value, f"{path}: {key}"))
    baseline = settings.get("baseline")
    if baseline is not None:  # meant from the file, as every relative path in a configuration file
        if not isinstance(baseline.value, str):
            raise ConfigError("baseline is not a text: a path is needed", at=baseline.origin, hint=_PATH_HINT)
        settings["baseline"] = Setting(str(path.parent / baseline.value), baseline.origin)
    return settings


def _own_table(top: Mapping[str, Any], path: Path) -> Mapping[str, Any]:
    """`[tool.qdiag]` of `pyproject.toml`; empty without one."""
    table: Mapping[str, Any] = top
    for name, header in (("tool", "[tool]"), ("qdiag", "[tool.qdiag]")):
        inner = table.get(name, {})
        if not isinstance(inner, Mapping):
            raise ConfigError(f"{name} = {toml_value(inner)} is not a table", at=str(path), hint=f"write {header}")
        table = inner
    return table


def _from_key(key: str, value: Any, origin: str) -> Settings:
    if key not in NAMES:
        raise nearest_error(key, origin)
    if not isinstance(value, Mapping):
        return {key: Setting(value, origin)}
    if key == "allow":
        return {f"{ALLOW}{pattern}": Setting(db, f"{origin}.{pattern}") for pattern, db in value.items()}
    if key not in LEVELS:
        raise ConfigError(f"{key} has no levels", at=origin, hint=f"write {key} = and its value")
    names = {"fail": key, "warn": LEVELS[key]}
    for level in value:
        if level not in names:
            raise nearest_error(level, origin, tuple(names))
    return {names[level]: Setting(item, f"{origin}.{level}") for level, item in value.items()}


def _from_environment(environment: Mapping[str, str]) -> Settings:
    settings: dict[str, Setting] = {}
    known = {f"{PREFIX}{name.upper()}": name for name in NAMES}
    for variable, text in sorted(environment.items()):
        if not variable.startswith(PREFIX) or variable in OTHER_VARIABLES:
            continue
        if variable not in known:
            hint = nearest_hint(variable, tuple(known), f"known: {', '.join(sorted(known))}")
            raise ConfigError(f"there is an unknown variable {variable}", at="environment", hint=hint)
        if not text.strip():
            raise ConfigError(f"{variable} is empty", at="environment", hint="set it, or take it away")
        if known[variable] == "allow":
            settings.update(_allowances(text.split(","), variable))
        else:
            settings[known[variable]] = Setting(text, variable)
    return settings


def _from_options(options: Mapping[str, Any]) -> Settings:
    settings: dict[str, Setting] = {}
    for name, value in options.items():
        if name not in NAMES:
            raise nearest_error(name, "options")
        if value is None or value is False or value in ([], ()):
            continue
        option = f"--{name.replace('_', '-')}"
        if name == "allow":
            settings.update(_allowances(value, option))
        else:
            settings[name] = Setting(value, option)
    return settings


def _allowances(texts: Sequence[str], origin: str) -> Settings:
    found = {}
    for text in texts:
        pattern, equals, db = (part.strip() for part in text.rpartition("="))
        if not equals or not pattern:
            raise ConfigError(f"{text!r} is not of the form LAYER=DB", at=origin, hint="for example `allow='head.*=5'`")
        found[f"{ALLOW}{pattern}"] = Setting(db, origin)
    return found


def _thresholds(settings: Settings) -> Thresholds:
    allow = tuple(
        Allowance(name.removeprefix(ALLOW), number(setting, name))
        for name, setting in sorted(settings.items())
        if name.startswith(ALLOW)
    )
    if "allow" in settings:
        raise ConfigError(
            "allow is not a table", at=settings["allow"].origin, hint='write "LAYER" = DB in [gate.allow]'
        )
    return Thresholds(
        max_drop_pp=_limit(settings, "max_drop"),
        max_relative_drop_percent=_limit(settings, "max_relative_drop"),
        min_accuracy_percent=_limit(settings, "min_accuracy"),
        max_flips_percent=_limit(settings, "max_flips"),
        min_sqnr_db=_limit(settings, "min_sqnr"),
        min_layer_sqnr_db=_limit(settings, "min_layer_sqnr"),
        allow=allow,
        tolerance_pp=_limit(settings, "tolerance"),
        tolerance_db=_limit(settings, "tolerance_db"),
        max_metric_drop=_limit(settings, "max_metric_drop"),
        min_metric=_limit(settings, "min_metric"),
        max_metric=_limit(settings, "max_metric"),
        tolerance_metric=_limit(settings, "tolerance_metric"),
        no_new_causes=_new_causes(settings),
        forbid=codes(settings["forbid"], "forbid") if "forbid" in settings else (),
        warn_codes=codes(settings["warn_code"], "warn_code") if "warn_code" in settings else (),
        strict=_is_set(settings, "strict"),
        allow_few_samples=_is_set(settings, "allow_few_samples"),
    )


def _is_set(settings: Settings, name: str) -> bool:
    return flag(settings[name], name) if name in settings else False


def _limit(settings: Settings, name: str) -> Limit:
    levels = [number(settings[key], key) if key in settings else None for key in (name, LEVELS[name])]
    fail, warn = levels
    if fail is not None and warn is not None:
        is_hidden = warn < fail if name.startswith("min") else warn > fail
        if is_hidden:
            raise ConfigError(
                f"{LEVELS[name]} = {warn:g} lies beyond {name} = {fail:g}, so nobody would ever be warned",
                at=settings[LEVELS[name]].origin,
            )
    written = any(is_percent(settings[key]) for key in (name, LEVELS[name]) if key in settings)
    return Limit(fail, warn, written)


def _new_causes(settings: Settings) -> Literal["off", "warn", "fail"]:
    setting = settings.get("no_new_causes")
    if setting is None:
        return "off"
    if setting.value in ("warn", "fail"):
        return "warn" if setting.value == "warn" else "fail"
    return "fail" if flag(setting, "no_new_causes") else "off"
