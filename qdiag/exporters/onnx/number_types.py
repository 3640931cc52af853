"""Which type of ONNX holds the integers of a quantizer."""

import numpy as np

from qdiag.errors import ConfigError
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer

_TYPES = (np.uint8, np.int8, np.uint16, np.int16)
NEEDED_OPSET, OPSET_OF_16_BITS = 20, 21


def as_affine(quantizer: Quantizer, of: str) -> Affine:
    """The quantizer as integers at one scale per tensor or channel.

    Raises:
        ConfigError: it is of another format, or has groups.
    """
    if not isinstance(quantizer, Affine):
        raise ConfigError(
            "its numbers are no integers at one scale, and QuantizeLinear has no others",
            at=of,
            hint="leave the layer in float, or choose a scheme of 8-bit integers",
        )
    if quantizer.group_size is not None:
        raise ConfigError(
            "its weight has a scale for every group, and a convolution or Gemm of integers has one for every channel",
            at=of,
            hint="choose a scheme with weights per channel or per tensor",
        )
    return quantizer


def storage(quantizer: Affine) -> type[np.uint8] | type[np.int8] | type[np.uint16] | type[np.int16]:
    """The smallest type that holds all integers of the quantizer.

    Raises:
        ConfigError: none does.
    """
    for kind in _TYPES:
        limits = np.iinfo(kind)
        if limits.min <= quantizer.quant_min and quantizer.quant_max <= limits.max:
            return kind
    raise ConfigError(f"integers from {quantizer.quant_min} to {quantizer.quant_max} have no type in ONNX")


def fills_storage(quantizer: Affine) -> bool:
    """QuantizeLinear saturates where the quantizer does."""
    limits = np.iinfo(storage(quantizer))
    return limits.min == quantizer.quant_min and limits.max == quantizer.quant_max
