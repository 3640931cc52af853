"""How one kind of tensor is quantized, and what may be different at a layer, as plain values."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal

from qdiag.core.formats.channel_ranges import check_channel_ranges
from qdiag.core.formats.float_format import FLOAT_FORMATS, USUAL_FORMATS, ElementName, FloatFormat
from qdiag.core.formats.low_bits import LOW_BITS, check_low_bits, steps_at_bits
from qdiag.core.formats.stale_fields import stale_fields
from qdiag.errors import ConfigError

FormatName = Literal["affine", "power_of_two", "binary", "ternary", "linear", "float", "block_float"]
Granularity = Literal["per_tensor", "per_channel", "per_group"]
CalibratorName = Literal["minmax", "moving_average", "percentile", "mse", "entropy"]
ScaleName = Literal["float32", "none", "e8m0", "e4m3"]

FLOAT_TYPES: tuple[FormatName, ...] = ("float", "block_float")
"""Formats whose values are floating-point numbers themselves, and so have an element and a kind of scale."""
FLOAT_BITS = 32
"""`bits = 32` says: leave this kind of tensor in float (w8a32, w32a8)."""


@dataclass(frozen=True, slots=True)
class TensorScheme:
    """How one kind of tensor (weights, or activations) is quantized.

    Attributes:
        bits: 1 of `binary`, 2 to 16 of the others, or 32 for float.
        symmetric: `zero_point = 0` and a range mirrored at zero; otherwise affine.
        signed: integers around zero (int8) or from zero (uint8).
        narrow_range: leave out the lowest signed integer: [-127, 127] rather than [-128, 127].
        granularity: one scale for the tensor, one per output channel, or one per `group_size` weights of a channel.
        group_size: consecutive weights of one output channel that share a scale; `per_group` only.
        calibrator: how statistics become a range.
        percentile: the share of values kept inside the range, in percent; `percentile` calibrator only.
        averaging_constant: weight of each new image in `moving_average`.
        range: lowest and highest value, in place of what the calibrator would choose; widened to hold 0.
        channel_ranges: the same for each output channel of a weight; `affine` and `per_channel` only.
        type: number format, of which there is a file each in `qdiag.numerics.quantizers`.
        element: floating-point format of one value, in `float` and `block_float`; None takes the usual one of `bits`.
        scale: number that the values of a tensor, channel, group or block are divided by, in `float`, `block_float`,
            `binary` and `ternary`; None takes the usual one of the type.
        saturate: values beyond the largest number become that number; `float` only.
        center: weights less their mean over the input channels, clamped to [-1, 1], before the sign; `binary` only.
        stochastic_seed: signs are drawn from this seed, +1 with the probability `clip((x + 1) / 2, 0, 1)`; `binary`.
        step: distance of two values, whose bounds are `range`; `linear` only.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}

    bits: int = 8
    symmetric: bool = True
    signed: bool = True
    narrow_range: bool = False
    granularity: Granularity = "per_tensor"
    group_size: int | None = None
    calibrator: CalibratorName = "minmax"
    percentile: float = 99.99
    averaging_constant: float = 0.01
    range: tuple[float, float] | None = None
    channel_ranges: tuple[tuple[float, float], ...] | None = None
    type: FormatName = "affine"
    element: ElementName | None = None
    scale: ScaleName | None = None
    saturate: bool = True
    center: bool = False
    stochastic_seed: int | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        if self.narrow_range and not self.signed:
            raise ConfigError(
                "narrow_range without signed", hint="only signed integers have a lowest value to leave out"
            )
        if self.group_size is not None and self.group_size < 1:
            raise ConfigError(f"group_size = {self.group_size} is out of range", hint="use 1 or more weights per group")
        if not 50.0 < self.percentile <= 100.0:
            raise ConfigError(
                f"percentile = {self.percentile} is out of range", hint="use more than 50 and at most 100"
            )
        if not 0.0 < self.averaging_constant <= 1.0:
            raise ConfigError(
                f"averaging_constant = {self.averaging_constant} is out of range", hint="use more than 0 and at most 1"
            )
        if self.range is not None and not -math.inf < self.range[0] < self.range[1] < math.inf:
            raise ConfigError(
                f"range = {list(self.range)} is no range",
                hint="give two finite numbers, the lower one first, such as [-4.0, 4.0]",
            )
        check_channel_ranges(self)
        check_low_bits(self)
        if (self.granularity == "per_group") != (self.group_size is not None):
            raise ConfigError(
                "granularity = per_group and group_size go together",
                hint="set both: `overrides=weights.granularity=per_group` `overrides=weights.group_size=32`",
            )
        _check_float_fields(self)

    @property
    def is_float(self) -> bool:
        return self.bits == FLOAT_BITS

    def change_to_bits(self, bits: int) -> "TensorChange":
        """To another width; numbers of a fixed width give way to integers, whose fields the scheme has too.

        A step that is given doubles with each bit less, and the bounds stay where they are, at multiples of it.
        """
        if self.type in LOW_BITS:
            return TensorChange(bits=bits, type="affine")
        if self.type == "linear":
            return TensorChange(bits=bits, **steps_at_bits(self, bits))
        return TensorChange(bits=bits)

    def at_bits(self, bits: int) -> "TensorScheme":
        """The same at another width; float stays float.

        Raises:
            ConfigError: the format does not come in that width.
        """
        return self if self.is_float or bits == self.bits else self.change_to_bits(bits).over(self)

    @property
    def is_block(self) -> bool:
        """Every block of values has a scale that is made of the values themselves, as they come."""
        return self.type == "block_float" and not self.is_float

    @property
    def float_format(self) -> FloatFormat:
        """Of one value, in `float` and `block_float`."""
        return FLOAT_FORMATS[self.element] if self.element is not None else USUAL_FORMATS[self.bits]

    @property
    def scale_name(self) -> ScaleName:
        """The type of scales: if none is set, float32, but a power of two for blocks, and none for signs."""
        usual: dict[FormatName, ScaleName] = {"block_float": "e8m0", "binary": "none"}
        return self.scale or usual.get(self.type, "float32")

    @property
    def quant_min(self) -> int:
        return -(1 << (self.bits - 1)) + int(self.narrow_range) if self.signed else 0

    @property
    def quant_max(self) -> int:
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1


@dataclass(frozen=True, slots=True)
class TensorChange:
    """Fields of a `TensorScheme` in place of the scheme's own; None leaves a field as it is.

    A `granularity` other than `per_group` takes the `group_size` away, other `bits` take the `element` away, and
    another `type` takes all away that only the former one has.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}

    bits: int | None = None
    symmetric: bool | None = None
    signed: bool | None = None
    narrow_range: bool | None = None
    granularity: Granularity | None = None
    group_size: int | None = None
    calibrator: CalibratorName | None = None
    percentile: float | None = None
    averaging_constant: float | None = None
    range: tuple[float, float] | None = None
    channel_ranges: tuple[tuple[float, float], ...] | None = None
    type: FormatName | None = None
    element: ElementName | None = None
    scale: ScaleName | None = None
    saturate: bool | None = None
    center: bool | None = None
    stochastic_seed: int | None = None
    step: float | None = None

    @property
    def values(self) -> dict[str, Any]:
        """The fields that are set."""
        return {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}

    def over(self, base: TensorScheme) -> TensorScheme:
        """The scheme with these fields replaced.

        Raises:
            ConfigError: fields that contradict each other.
        """
        values = self.values
        if not values:
            return base
        own = {field.name: getattr(base, field.name) for field in fields(base)}
        return replace(base, **stale_fields(own, values), **values)


def _impossible(what: str, hint: str) -> ConfigError:
    return ConfigError(f"{what} is not possible", hint=hint)


def _check_float_fields(scheme: TensorScheme) -> None:
    """Element, scale and saturation go together with each other and with the rest.

    Raises:
        ConfigError: they do not.
    """
    if scheme.type not in FLOAT_TYPES:
        for name, value in (("element", scheme.element), ("scale", scheme.scale)):
            if value is not None and not (name == "scale" and scheme.type in LOW_BITS):
                raise _impossible(f"{name} = {value} with type = {scheme.type}", "use type = float or block_float")
        if not scheme.saturate:
            raise _impossible(f"saturate = false with type = {scheme.type}", "use type = float")
    elif not scheme.is_float:
        _check_element(scheme)
        _check_scale(scheme)


def _check_element(scheme: TensorScheme) -> None:
    if scheme.element is None and scheme.bits not in USUAL_FORMATS:
        widths = ", ".join(map(str, USUAL_FORMATS))
        raise _impossible(f"bits = {scheme.bits} with type = {scheme.type}", f"floats here have {widths} bits")
    if scheme.float_format.bits != scheme.bits:
        element, bits = scheme.element, scheme.float_format.bits
        raise _impossible(f"bits = {scheme.bits} with element = {element}", f"{element} has {bits}: set both")
    if not scheme.saturate and (scheme.is_block or scheme.float_format.specials == "none"):
        what = "type = block_float" if scheme.is_block else f"element = {scheme.float_format.name}"
        raise _impossible(f"saturate = false with {what}", "it has no other way: leave saturate out")


def _check_scale(scheme: TensorScheme) -> None:
    allowed: dict[bool, tuple[ScaleName, ...]] = {True: ("e8m0", "e4m3", "float32"), False: ("float32", "none")}
    name = scheme.scale_name
    if name not in allowed[scheme.is_block]:
        known = ", ".join(allowed[scheme.is_block])
        raise _impossible(f"scale = {name} with type = {scheme.type}", f"use one of {known}")
    if scheme.is_block and scheme.granularity != "per_group":
        raise _impossible(
            f"granularity = {scheme.granularity} with type = block_float",
            "set granularity = per_group, and group_size to the values of a block: 32 in MX, 16 in NVFP4",
        )
    if name == "none" and scheme.granularity != "per_tensor":
        raise _impossible(f"scale = none with granularity = {scheme.granularity}", "use granularity = per_tensor")
    if scheme.is_block and scheme.calibrator in ("mse", "entropy"):
        hint = "scales of blocks are made of the values in them: use minmax"
        raise _impossible(f"calibrator = {scheme.calibrator} with type = block_float", hint)
    has_range = (name == "float32" and not scheme.is_block) or name == "e4m3"
    if not has_range and (scheme.calibrator != "minmax" or scheme.range is not None):
        what = f"range = {list(scheme.range)}" if scheme.range is not None else f"calibrator = {scheme.calibrator}"
        kind = "" if scheme.type == "float" else f" and type = {scheme.type}"
        raise _impossible(f"{what} with scale = {name}{kind}", "no range is needed there: leave it out")
