"""The library names its parameters, in backticks; here they become the options that give them."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qdiag.core.gate import GateResult

_OTHER_NAMES = {"repairs": "--with", "overrides": "--set", "assumed_eps": "--eps", "min_change_db": "--min-change"}
_SAME_NAMES = (
    "accept", "allow", "allow_few_samples", "arch", "baseline", "batch_size", "bits", "crop", "data",
    "float_bound", "force", "in_place", "input_shape", "key", "layers", "learning_rate", "loss", "max_drop",
    "max_flips", "max_metric", "max_metric_drop", "max_relative_drop", "min_accuracy", "min_layer_sqnr",
    "min_metric", "min_sqnr", "no_new_causes", "part", "refit_blocks", "refit_separable", "resize", "scheme",
    "strict", "submodule", "tolerance", "tolerance_db", "tolerance_metric", "train_batch", "trust",
    "update_baseline",
    "quantized", "max_differing", "max_sqnr_gap",
)  # fmt: skip
OPTIONS = {name: f"--{name.replace('_', '-')}" for name in _SAME_NAMES} | _OTHER_NAMES
"""Options by the names of parameters."""

_PARAMETER = re.compile(r"`([a-z][a-z_]*)(?:=([^`]*))?`")


def as_options(text: str) -> str:
    """`arch=zoo:resnet18` in backticks becomes --arch zoo:resnet18; other words in backticks stay as they are."""
    return _PARAMETER.sub(_option, text)


def _option(found: re.Match[str]) -> str:
    name, value = found.groups()
    if name not in OPTIONS:
        return found.group()
    return OPTIONS[name] if value is None else f"{OPTIONS[name]} {value}"


def gate_with_options(result: "GateResult") -> "GateResult":
    """The same result, whose reasons and notes name options."""
    checks = tuple(replace(check, reason=as_options(check.reason)) for check in result.checks)
    return replace(result, checks=checks, notes=tuple(map(as_options, result.notes)))
