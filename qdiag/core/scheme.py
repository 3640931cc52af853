"""What is quantized and how: the words of a scheme, as plain values."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal

from qdiag.errors import ConfigError

FormatName = Literal["affine", "power_of_two"]
Granularity = Literal["per_tensor", "per_channel", "per_group"]
CalibratorName = Literal["minmax", "moving_average", "percentile", "mse", "entropy"]
BiasType = Literal["int32", "int64", "float"]

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


@dataclass(frozen=True, slots=True)
class LayerOverride:
    """What is different at some layers.

    Attributes:
        pattern: glob pattern of layer names.
        bias: None leaves it as it is.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}

    pattern: str
    weights: TensorChange = field(default_factory=TensorChange)
    activations: TensorChange = field(default_factory=TensorChange)
    bias: BiasType | None = None

    def matches(self, layer: str) -> bool:
        return self.pattern == layer or fnmatchcase(layer, self.pattern)


@dataclass(frozen=True, slots=True)
class QuantScheme:
    """What a backend does to a network.

    Attributes:
        name: as listed by `qdiag schemes`, or of the TOML file.
        description: one line on who computes like this.
        weights, activations: how the two kinds of tensors are quantized.
        bias: integer type of the bias at scale `scale_in * scale_w`, or float.
        accumulator_bits: width of the sum of products, which saturates there.
        pair_saturation: products of two neighbours are first added in int16 and saturate there (x86 without VNNI).
        fold_batchnorm: BatchNorm goes into the neighbouring convolution or linear layer before quantization.
        float_layers: glob patterns of layers that stay in float.
        layers: what is different at some layers; where several match, the later ones win, field by field.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid"}

    name: str = "custom"
    description: str = ""
    weights: TensorScheme = field(default_factory=TensorScheme)
    activations: TensorScheme = field(default_factory=lambda: TensorScheme(symmetric=False, signed=False))
    bias: BiasType = "int32"
    accumulator_bits: int = 32
    pair_saturation: bool = False
    fold_batchnorm: bool = True
    float_layers: tuple[str, ...] = ()
    layers: tuple[LayerOverride, ...] = ()

    def __post_init__(self) -> None:
        _check_weights(self.weights)
        _check_activations(self.activations)
        if not 8 <= self.accumulator_bits <= 64:
            raise ConfigError(f"accumulator_bits = {self.accumulator_bits}", hint="use 8 to 64")
        for pattern in dict.fromkeys(override.pattern for override in self.layers):
            at, same = (
                f"layers.{json.dumps(pattern, ensure_ascii=False)}",
                [o for o in self.layers if o.pattern == pattern],
            )
            _check_weights(_changed(self.weights, [o.weights for o in same], at=at), at=at)
            _check_activations(_changed(self.activations, [o.activations for o in same], at=at), at=at)

    def weights_of(self, layer: str) -> TensorScheme:
        """How the weight of one layer is quantized.

        Raises:
            ConfigError: overrides that match this layer contradict each other.
        """
        return _changed(self.weights, [o.weights for o in self.layers if o.matches(layer)], at=layer)

    def activations_of(self, layer: str) -> TensorScheme:
        """How the output of one layer is quantized.

        Raises:
            ConfigError: overrides that match this layer contradict each other.
        """
        return _changed(self.activations, [o.activations for o in self.layers if o.matches(layer)], at=layer)

    def only(self, kind: Literal["weights", "activations"]) -> "QuantScheme":
        """This kind quantized and the other one in float, at every layer.

        The bias goes with the other one: its scale is the product of both.
        """
        changes: dict[str, Any] = {}
        if kind == "weights":
            changes["activations"] = replace(self.activations, bits=FLOAT_BITS)
            changes["layers"] = tuple(replace(o, activations=TensorChange(), bias=None) for o in self.layers)
        else:
            changes["weights"] = replace(self.weights, bits=FLOAT_BITS)
            changes["layers"] = tuple(replace(o, weights=TensorChange(), bias=None) for o in self.layers)
        return replace(self, name=f"{self.name}, {kind} only", bias="float", **changes)

    def bias_of(self, layer: str) -> BiasType:
        """Integer type of the bias of one layer."""
        own = [override.bias for override in self.layers if override.bias is not None and override.matches(layer)]
        return own[-1] if own else self.bias


def _changed(base: TensorScheme, changes: Sequence[TensorChange], *, at: str) -> TensorScheme:
    """All changes at once: `granularity` and `group_size` may come from two."""
    values: dict[str, Any] = {}
    for change in changes:
        values |= change.values
    try:
        return TensorChange(**values).over(base)
    except ConfigError as error:
        raise ConfigError(error.message, at=at, hint=error.hint) from None


def _check_weights(scheme: TensorScheme, *, at: str | None = None) -> None:
    if scheme.calibrator in ("moving_average", "entropy"):
        raise ConfigError(
            f"weights.calibrator = {scheme.calibrator}",
            at=at,
            hint="weights do not move and are few: use minmax, percentile or mse",
        )


def _check_activations(scheme: TensorScheme, *, at: str | None = None) -> None:
    if scheme.calibrator == "entropy" and scheme.type != "affine":
        raise ConfigError(
            f"activations.calibrator = entropy with type = {scheme.type}",
            at=at,
            hint="its threshold is made for even steps: use minmax, percentile or mse",
        )
    if scheme.granularity != "per_tensor":
        raise ConfigError(
            f"activations.granularity = {scheme.granularity}",
            at=at,
            hint="integer backends keep one scale per activation tensor: use per_tensor",
        )
