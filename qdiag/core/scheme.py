"""What is quantized and how: the words of a scheme, as plain values."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from qdiag.errors import ConfigError

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
class QuantScheme:
    """What a backend does to a network.

    Attributes:
        name: as listed by `qdiag schemes`, or of the TOML file.
        description: one line on who computes like this.
        weights, activations: how the two kinds of tensors are quantized.
        bias: integer type of the bias at scale `scale_in * scale_w`, or float.
        accumulator_bits: width of the sum of products, for the saturation loss.
        pair_saturation: products of two neighbours are first added in int16 and saturate there (x86 without VNNI).
        fold_batchnorm: BatchNorm goes into the neighbouring convolution or linear layer before quantization.
        float_layers: glob patterns of layers that stay in float.
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

    def __post_init__(self) -> None:
        if self.activations.granularity != "per_tensor":
            raise ConfigError(
                f"activations.granularity = {self.activations.granularity}",
                hint="integer backends keep one scale per activation tensor: use per_tensor",
            )
        if self.weights.calibrator in ("moving_average", "entropy"):
            raise ConfigError(
                f"weights.calibrator = {self.weights.calibrator}",
                hint="weights do not move and are few: use minmax, percentile or mse",
            )
        if not 8 <= self.accumulator_bits <= 64:
            raise ConfigError(f"accumulator_bits = {self.accumulator_bits}", hint="use 8 to 64")
