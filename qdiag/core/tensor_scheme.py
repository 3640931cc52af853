"""How one kind of tensor is quantized, and what may be different at a layer, as plain values."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Literal

from qdiag.errors import ConfigError

FormatName = Literal["affine", "power_of_two"]
Granularity = Literal["per_tensor", "per_channel", "per_group"]
CalibratorName = Literal["minmax", "moving_average", "percentile", "mse", "entropy"]

FLOAT_BITS = 32
"""`bits = 32` says: leave this kind of tensor in float (w8a32, w32a8)."""


@dataclass(frozen=True, slots=True)
class TensorScheme:
    """How one kind of tensor (weights, or activations) is quantized.

    Attributes:
        bits: 2 to 16, or 32 for float.
        symmetric: `zero_point = 0` and a range mirrored at zero; otherwise affine.
        signed: integers around zero (int8) or from zero (uint8).
        narrow_range: leave out the lowest signed integer: [-127, 127] rather than [-128, 127].
        granularity: one scale for the tensor, one per output channel, or one per `group_size` weights of a channel.
        group_size: consecutive weights of one output channel that share a scale; `per_group` only.
        calibrator: how statistics become a range.
        percentile: the share of values kept inside the range, in percent; `percentile` calibrator only.
        averaging_constant: weight of each new image in `moving_average`.
        range: lowest and highest value, in place of what the calibrator would choose; widened to hold 0.
        type: number format, of which there is a file each in `qdiag.numerics.quantizers`.
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
    type: FormatName = "affine"

    def __post_init__(self) -> None:
        if self.bits != FLOAT_BITS and not 2 <= self.bits <= 16:
            raise ConfigError(f"bits = {self.bits}", hint="use 2 to 16, or 32 to leave the tensors in float")
        if self.narrow_range and not self.signed:
            raise ConfigError(
                "narrow_range without signed", hint="only signed integers have a lowest value to leave out"
            )
        if (self.granularity == "per_group") != (self.group_size is not None):
            raise ConfigError(
                "granularity = per_group and group_size go together",
                hint="set both, such as --set weights.granularity=per_group --set weights.group_size=32",
            )
        if self.group_size is not None and self.group_size < 1:
            raise ConfigError(f"group_size = {self.group_size}", hint="use 1 or more weights per group")
        if not 50.0 < self.percentile <= 100.0:
            raise ConfigError(f"percentile = {self.percentile}", hint="use more than 50 and at most 100")
        if not 0.0 < self.averaging_constant <= 1.0:
            raise ConfigError(f"averaging_constant = {self.averaging_constant}", hint="use more than 0 and at most 1")
        if self.range is not None and not -math.inf < self.range[0] < self.range[1] < math.inf:
            raise ConfigError(
                f"range = {list(self.range)}", hint="give two finite numbers, the lower one first, such as [-4.0, 4.0]"
            )

    @property
    def is_float(self) -> bool:
        return self.bits == FLOAT_BITS

    @property
    def quant_min(self) -> int:
        return -(1 << (self.bits - 1)) + int(self.narrow_range) if self.signed else 0

    @property
    def quant_max(self) -> int:
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1


@dataclass(frozen=True, slots=True)
class TensorChange:
    """Fields of a `TensorScheme` in place of the scheme's own; None leaves a field as it is.

    A `granularity` other than `per_group` takes the `group_size` away.
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
    type: FormatName | None = None

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
        if values.get("granularity", "per_group") != "per_group" and "group_size" not in values:
            values["group_size"] = None
        return replace(base, **values) if values else base
