"""Quantizers of a plan in the numbers of LiteRT: int8, whatever the plan calls its integers."""

from dataclasses import replace

import numpy as np
import torch

from qdiag.errors import ConfigError
from qdiag.litert.model import Array, LiteQuantization
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer

INT8 = np.int8
_LOW, _HIGH = -128, 127


def as_affine(quantizer: Quantizer, of: str) -> Affine:
    """The quantizer of an activation with integers from -128 to 127; those of uint8 lie 128 lower there.

    Raises:
        ConfigError: it has other integers.
    """
    if not isinstance(quantizer, Affine) or quantizer.channel_axis is not None:
        raise ConfigError(
            "its numbers are no integers at one scale, and a LiteRT file has no others for activations",
            at=of,
            hint="leave the layer in float, or choose a scheme of 8-bit integers",
        )
    shift = quantizer.quant_min - _LOW
    if quantizer.quant_max - shift != _HIGH:
        raise ConfigError(
            f"its integers go from {quantizer.quant_min} to {quantizer.quant_max}, and LiteRT's have 8 bits",
            at=of,
            hint="choose a scheme whose activations use all of 8 bits",
        )
    return replace(quantizer, zero_point=quantizer.zero_point - shift, quant_min=_LOW, quant_max=_HIGH)


def as_weight(quantizer: Quantizer, of: str) -> Affine:
    """The quantizer of a weight: int8 with zero points of 0.

    Raises:
        ConfigError: it has other integers, zero points, or scales of groups.
    """
    fits = isinstance(quantizer, Affine) and quantizer.group_size is None
    if not isinstance(quantizer, Affine) or not fits or bool(quantizer.zero_point.any()):
        raise ConfigError(
            "its weight has zero points, groups or no integers, and LiteRT's int8 kernels take one scale per channel",
            at=of,
            hint="choose a scheme with symmetric weights of 8 bits, per tensor or per channel",
        )
    if quantizer.quant_min < _LOW or quantizer.quant_max > _HIGH:
        raise ConfigError(f"its weight needs {quantizer.record().bits} bits, and int8 has 8", at=of)
    return quantizer


def lite_quantization(quantizer: Affine, axis: int = 0) -> LiteQuantization:
    """Scales and zero points as the file stores them.

    Args:
        axis: of the channels, in the order of the file.
    """
    scales = quantizer.scale.detach().cpu().reshape(-1).numpy().astype(np.float32)
    zeros = quantizer.zero_point.detach().cpu().reshape(-1).numpy().astype(np.int64)
    return LiteQuantization(scales, zeros, axis if scales.size > 1 else 0)


def stored_integers(quantizer: Affine, values: Array) -> Array:
    """int8, shape of values."""
    return quantizer.quantize(torch.from_numpy(np.ascontiguousarray(values, np.float32))).numpy().astype(INT8)
