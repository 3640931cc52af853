"""What is quantized and how: the words of a scheme, as plain values."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Literal

from qdiag.core.formats.stale_fields import OWN_FIELDS, stale_ranges
from qdiag.core.tensor_scheme import (
    FLOAT_BITS,
    CalibratorName,
    FormatName,
    Granularity,
    TensorChange,
    TensorScheme,
)
from qdiag.errors import ConfigError

__all__ = [
    "FLOAT_BITS",
    "RUNTIME_NAMES",
    "BiasType",
    "CalibratorName",
    "FormatName",
    "Granularity",
    "LayerOverride",
    "NormArithmetic",
    "QuantScheme",
    "RuntimeName",
    "TensorChange",
    "TensorScheme",
]

BiasType = Literal["int32", "int64", "float"]
NormArithmetic = Literal["exact", "shift"]
RuntimeName = Literal["float", "ort", "tflite-ref", "tflite", "xnnpack", "fbgemm", "qnnpack"]
RUNTIME_NAMES: Mapping[RuntimeName, str] = {
    "ort": "onnxruntime",
    "tflite-ref": "LiteRT's reference kernels",
    "tflite": "LiteRT's own kernels",
    "xnnpack": "LiteRT with XNNPACK",
    "fbgemm": "torch with fbgemm",
    "qnnpack": "torch with qnnpack",
}
"""What the runtimes are called, whose arithmetic a scheme may ask for."""


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
        arithmetic: whose rules sums, re-quantization and tables follow: `ort`, the integer kernels of onnxruntime;
            `tflite-ref`, `tflite` and `xnnpack`, LiteRT's reference kernels, its own, and those of its delegate;
            `fbgemm` and `qnnpack`, the two engines of torch; or `float`, what all integer backends have in common,
            computed in float32.
        fold_batchnorm: BatchNorm goes into the neighbouring convolution or linear layer before quantization.
        batchnorm: how a BatchNorm that stays multiplies: `exact`, or by shifts (arXiv 1602.02830, algorithm 2).
        float_layers: glob patterns of layers that stay in float.
        split_concats: glob patterns of concats at an output of the network that are left to whoever reads it: each
            branch comes out with the quantizer that it has.
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
    arithmetic: RuntimeName = "float"
    fold_batchnorm: bool = True
    batchnorm: NormArithmetic = "exact"
    float_layers: tuple[str, ...] = ()
    split_concats: tuple[str, ...] = ()
    layers: tuple[LayerOverride, ...] = ()

    def __post_init__(self) -> None:
        _check_weights(self.weights)
        _check_activations(self.activations)
        if not 8 <= self.accumulator_bits <= 64:
            raise ConfigError(f"accumulator_bits = {self.accumulator_bits} is out of range", hint="use 8 to 64")
        for pattern in dict.fromkeys(override.pattern for override in self.layers):
            at = f"layers.{json.dumps(pattern, ensure_ascii=False)}"
            same = [override for override in self.layers if override.pattern == pattern]
            weights, activations = f"{at}.weights", f"{at}.activations"
            _check_weights(_changed(self.weights, [o.weights for o in same], at=weights), at=weights)
            _check_activations(
                _changed(self.activations, [o.activations for o in same], at=activations), at=activations
            )

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

    def gives_range_of(self, layer: str) -> bool:
        """The range of its output is given, so that no calibration data chooses it."""
        return self.activations_of(layer).range is not None

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
    """All changes at once: `granularity` and `group_size` may come from two.

    Another type takes away what earlier changes gave to the former one alone, and another choice of the range the
    range that they gave.
    """
    values: dict[str, Any] = {}
    for change in changes:
        if change.type is not None and change.type != values.get("type", base.type):
            values = {key: value for key, value in values.items() if key not in OWN_FIELDS}
        stale = stale_ranges(change.values, values.get("type", base.type))
        values = {key: value for key, value in values.items() if key not in stale} | change.values
    try:
        return TensorChange(**values).over(base)
    except ConfigError as error:
        raise ConfigError(error.message, at=at, hint=error.hint) from None


def _check_weights(scheme: TensorScheme, *, at: str | None = None) -> None:
    if scheme.calibrator in ("moving_average", "entropy"):
        raise ConfigError(
            f"weights.calibrator = {scheme.calibrator} is not possible",
            at=at,
            hint="weights do not move and are few: use minmax, percentile or mse",
        )


def _check_activations(scheme: TensorScheme, *, at: str | None = None) -> None:
    if scheme.calibrator == "entropy" and scheme.type != "affine":
        raise ConfigError(
            f"activations.calibrator = entropy with type = {scheme.type} is not possible",
            at=at,
            hint="its threshold is made for even steps: use minmax, percentile or mse",
        )
    if scheme.type == "ternary" and not scheme.is_float:
        raise ConfigError(
            "activations.type = ternary is not possible",
            at=at,
            hint="its threshold and scale are means of the values: it is a format of weights; use affine with bits = 2",
        )
    if scheme.type == "binary" and (scheme.scale_name != "none" or scheme.center or scheme.stochastic_seed is not None):
        raise ConfigError(
            "activations.type = binary with scale, center or stochastic_seed is not possible",
            at=at,
            hint="these are means or draws of weights: leave them out, activations become +1 and -1",
        )
    if scheme.granularity != "per_tensor" and scheme.type != "block_float":
        raise ConfigError(
            f"activations.granularity = {scheme.granularity} is not possible",
            at=at,
            hint="backends keep one scale per activation tensor: use per_tensor, or type = block_float",
        )
