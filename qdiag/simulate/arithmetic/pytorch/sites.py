"""Quantizers of activations as torch has them: how they round, and which ones are given."""

from collections.abc import Mapping
from dataclasses import replace

import torch

from qdiag.core.graph import Layer
from qdiag.core.scheme import RuntimeName, TensorScheme
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.simulate.arithmetic.integers import is_byte

ENGINES: tuple[RuntimeName, ...] = ("fbgemm", "qnnpack")
_GIVEN: Mapping[str, tuple[float, int]] = {
    **dict.fromkeys(("sigmoid", "hardsigmoid", "softmax", "_softmax"), (1.0 / 256.0, 0)),
    "tanh": (1.0 / 128.0, 128),
}
"""Operations whose results torch stores at one scale and zero point, that of an unsigned integer, whatever was seen."""


def as_torch_has_it(arithmetic: RuntimeName, layer: Layer, scheme: TensorScheme, chosen: Quantizer) -> Quantizer:
    """The quantizer of an activation, given the one that its calibration chose."""
    if arithmetic not in ENGINES or not isinstance(chosen, Affine) or not is_byte(chosen):
        return chosen
    given = _GIVEN.get(layer.ops[0]) if layer.ops else None
    if given is None or scheme.range is not None:
        return replace(chosen, by_reciprocal=True)
    lowest = -128 if chosen.quant_min < 0 else 0
    scale, zero_point = torch.tensor(given[0]), torch.tensor(float(given[1] + lowest))
    return Affine(scale, zero_point, lowest, lowest + 255, by_reciprocal=True)
