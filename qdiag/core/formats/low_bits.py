"""Formats of one and two bits, and even steps of a given width: which fields of a scheme go together."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qdiag.errors import ConfigError

if TYPE_CHECKING:
    from qdiag.core.tensor_scheme import TensorScheme

LOW_BITS: Mapping[str, int] = {"binary": 1, "ternary": 2}
"""Formats that come in one width: two values, and three."""
_SCALES = ("float32", "none")
_MOST_BITS = 16
_SEEDS = 1 << 63
"""Seeds that a generator takes."""


def check_low_bits(scheme: "TensorScheme") -> None:
    """Refuses what a format of few bits, or of given steps, does not have.

    Raises:
        ConfigError: fields that contradict each other.
    """
    if scheme.step is not None and not 0.0 < scheme.step < math.inf:
        raise ConfigError(f"step = {scheme.step:g} is no distance of two values", hint="use a finite number above 0")
    if scheme.stochastic_seed is not None and not 0 <= scheme.stochastic_seed < _SEEDS:
        raise ConfigError(
            f"stochastic_seed = {scheme.stochastic_seed} is out of range", hint="use a whole number from 0 to 2^63 - 1"
        )
    if not scheme.is_float:
        _check_width(scheme)
    if scheme.type in LOW_BITS:
        _check_values(scheme)
    _check_owner(scheme)
    if scheme.type == "linear" and not scheme.is_float:
        _check_steps(scheme)


def _check_width(scheme: "TensorScheme") -> None:
    own = LOW_BITS.get(scheme.type)
    if own is not None and scheme.bits != own:
        what = "1 bit" if own == 1 else f"{own} bits"
        raise ConfigError(
            f"bits = {scheme.bits} with type = {scheme.type} is not possible",
            hint=f"{scheme.type} numbers have {what}: set both",
        )
    if own is None and not 2 <= scheme.bits <= _MOST_BITS:
        raise ConfigError(
            f"bits = {scheme.bits} is out of range",
            hint="use 2 to 16, 1 with type = binary, or 32 to leave the tensors in float",
        )


def _check_values(scheme: "TensorScheme") -> None:
    """Binary and ternary numbers are made of the values themselves, not of a range."""
    kind = scheme.type
    if scheme.granularity == "per_group" or scheme.group_size is not None:
        raise ConfigError(
            f"{_granularity(scheme)} with type = {kind} is not possible",
            hint="use granularity = per_tensor or per_channel",
        )
    if scheme.scale is not None and scheme.scale not in _SCALES:
        raise ConfigError(f"scale = {scheme.scale} with type = {kind} is not possible", hint="use float32 or none")
    if scheme.calibrator != "minmax" or scheme.range is not None:
        what = f"range = {list(scheme.range)}" if scheme.range is not None else f"calibrator = {scheme.calibrator}"
        raise ConfigError(
            f"{what} with type = {kind} is not possible", hint="its values are not made of a range: leave it out"
        )


def _granularity(scheme: "TensorScheme") -> str:
    if scheme.granularity == "per_tensor" and scheme.group_size is not None:
        return f"group_size = {scheme.group_size}"
    return f"granularity = {scheme.granularity}"


def _check_owner(scheme: "TensorScheme") -> None:
    """A field that one format has and this one lacks."""
    if scheme.center and scheme.type != "binary":
        raise ConfigError(f"center = true with type = {scheme.type} is not possible", hint="use type = binary")
    if scheme.stochastic_seed is not None and scheme.type != "binary":
        raise ConfigError(f"stochastic_seed with type = {scheme.type} is not possible", hint="use type = binary")
    if scheme.step is not None and scheme.type != "linear":
        raise ConfigError(f"step = {scheme.step} with type = {scheme.type} is not possible", hint="use type = linear")


def _check_steps(scheme: "TensorScheme") -> None:
    step, bounds = scheme.step, scheme.range
    if step is None or bounds is None:
        raise ConfigError(
            "type = linear needs step and range",
            hint="such as `overrides=weights.step=0.125` `overrides=weights.range=[-1.0,0.875]`, with one step for the "
            "tensor: `overrides=weights.granularity=per_tensor`; the bits have to be enough for all steps of the range",
        )
    if scheme.calibrator != "minmax":
        raise ConfigError(
            f"calibrator = {scheme.calibrator} with type = linear is not possible",
            hint="its range is given: leave it out",
        )
    if scheme.granularity != "per_tensor" or scheme.group_size is not None:
        raise ConfigError(
            f"{_granularity(scheme)} with type = linear is not possible",
            hint="use granularity = per_tensor: it has one step",
        )
    ends = [bound / step for bound in bounds]
    if not all(math.isfinite(end) and abs(end - round(end)) <= 1e-6 for end in ends):
        raise ConfigError(
            f"range = {list(bounds)} with step = {step} is not possible",
            hint="use multiples of the step: no integer stands for others",
        )
    if not round(ends[0]) <= 0 <= round(ends[1]):
        raise ConfigError(f"range = {list(bounds)} with type = linear is not possible", hint="use a range that holds 0")
    levels = round(ends[1]) - round(ends[0]) + 1
    if levels > 1 << scheme.bits:
        raise ConfigError(
            f"bits = {scheme.bits} with {levels} values from {bounds[0]} to {bounds[1]} in steps of {step} "
            "is not possible",
            hint=f"use {(levels - 1).bit_length()} bits, a wider step or a narrower range",
        )


def steps_at_bits(scheme: "TensorScheme", bits: int) -> dict[str, Any]:
    """Step and range of `linear` at another width: a step twice as wide for each bit less, in bounds no wider."""
    assert scheme.step is not None and scheme.range is not None, "checked by the scheme"
    step = math.ldexp(scheme.step, scheme.bits - bits)
    low, high = math.ceil(scheme.range[0] / step - 1e-6), math.floor(scheme.range[1] / step + 1e-6)
    if low == high:  # neither bound holds a whole step
        low, high = (-1, 0) if -scheme.range[0] > scheme.range[1] else (0, 1)
    return {"step": step, "range": (low * step, high * step)}
