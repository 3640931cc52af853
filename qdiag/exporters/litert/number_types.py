"""Quantizers of a plan in the numbers of LiteRT, whatever the plan calls its integers."""

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch

from qdiag.errors import ConfigError
from qdiag.litert.model import Array, LiteQuantization
from qdiag.numerics.quantizers.affine import Affine
from qdiag.numerics.quantizers.base import Quantizer
from qdiag.plan import QuantPlan

ActivationType = Literal["int8", "uint8"]
"""What bytes are in a file; wider tensors are int16."""
_LOW, _HIGH = -128, 127
_WIDE = 32767


def as_affine(quantizer: Quantizer, of: str, kind: ActivationType = "int8") -> Affine:
    """The quantizer of an activation in the numbers of the file: bytes from -128 or 0 on, or int16 around 0.

    Bytes of the other type lie 128 higher or lower there. Integers of 16 bits with a zero point have their range.

    Raises:
        ConfigError: it has other integers.
    """
    if not isinstance(quantizer, Affine) or quantizer.channel_axis is not None:
        raise ConfigError(
            "its numbers are no integers at one scale, and a LiteRT file has no others for activations",
            at=of,
            hint="leave the layer in float, or choose a scheme of 8-bit integers",
        )
    low = _LOW if kind == "int8" else 0
    shift = quantizer.quant_min - low
    if quantizer.quant_max - shift == low + 255:
        return replace(quantizer, zero_point=quantizer.zero_point - shift, quant_min=low, quant_max=low + 255)
    if _HIGH < quantizer.quant_max - quantizer.quant_min <= 2 * _WIDE + 1 and is_wide(quantizer):
        return _wide(quantizer)
    raise ConfigError(
        f"its integers go from {quantizer.quant_min} to {quantizer.quant_max}, and LiteRT's have 8 bits or 16",
        at=of,
        hint="choose a scheme whose activations use all of 8 bits, or 16",
    )


def is_wide(quantizer: Quantizer | None) -> bool:
    """It has more than 15 bits."""
    return isinstance(quantizer, Affine) and quantizer.quant_max - quantizer.quant_min >= 2 * _WIDE - 1


def _wide(quantizer: Affine) -> Affine:
    """int16 with a zero point of 0, at the scale that its range needs."""
    zero = float(quantizer.zero_point)
    reach = max(quantizer.quant_max - zero, zero - quantizer.quant_min - 1.0)
    scale = quantizer.scale if zero == 0.0 and reach <= _WIDE else quantizer.scale * (reach / _WIDE)
    return replace(
        quantizer,
        scale=scale,
        zero_point=torch.zeros_like(scale),
        quant_min=-_WIDE - 1,
        quant_max=_WIDE,
        is_symmetric=True,
    )


def dtype_of(quantizer: Affine) -> type[np.integer[Any]]:
    """Of tensors in a file."""
    if is_wide(quantizer):
        return np.int16
    return np.int8 if quantizer.quant_min < 0 else np.uint8


def as_weight(quantizer: Quantizer, of: str, kind: ActivationType = "int8") -> Affine:
    """The quantizer of a weight: int8 with zero points of 0, or uint8 with one scale and any zero point.

    Raises:
        ConfigError: it has other integers, zero points, or scales of groups.
    """
    fits = isinstance(quantizer, Affine) and quantizer.group_size is None
    if not isinstance(quantizer, Affine) or not fits:
        raise ConfigError(
            "its weight has groups or no integers, and LiteRT's kernels take one scale per channel",
            at=of,
            hint="choose a scheme with weights of 8 bits, per tensor or per channel",
        )
    if kind == "uint8":
        if quantizer.channel_axis is not None or quantizer.quant_max - quantizer.quant_min > 255:
            raise ConfigError(
                "its weight has a scale for each channel, beside others with zero points, which need files of uint8",
                at=of,
                hint="choose symmetric weights, or one scale for each weight",
            )
        shift = min(quantizer.quant_min, 0)
        zero = quantizer.zero_point - shift
        return replace(
            quantizer, zero_point=zero, quant_min=quantizer.quant_min - shift, quant_max=quantizer.quant_max - shift
        )
    if bool(quantizer.zero_point.any()) or quantizer.quant_min < _LOW or quantizer.quant_max > _HIGH:
        raise ConfigError(f"its weight needs {quantizer.record().bits} bits, and int8 has 8", at=of)
    return quantizer


def kind_of(plan: QuantPlan) -> ActivationType:
    """uint8 where a weight has a zero point, which int8 kernels do not know."""
    weights = [layer.weight for layer in plan.layers.values() if isinstance(layer.weight, Affine)]
    return (
        "uint8"
        if any(bool(one.zero_point.any()) or one.quant_max > _HIGH for one in weights if not is_wide(one))
        else "int8"
    )


def lite_quantization(quantizer: Affine, axis: int = 0) -> LiteQuantization:
    """Scales and zero points as the file stores them.

    Args:
        axis: of the channels, in the order of the file.
    """
    scales = quantizer.scale.detach().cpu().reshape(-1).numpy().astype(np.float32)
    zeros = quantizer.zero_point.detach().cpu().reshape(-1).numpy().astype(np.int64)
    return LiteQuantization(scales, zeros, axis if scales.size > 1 else 0)


def stored_integers(quantizer: Affine, values: Array) -> Array:
    """In the type of the file, shape of values."""
    found = quantizer.quantize(torch.from_numpy(np.ascontiguousarray(values, np.float32)))
    made: Array = found.numpy().astype(dtype_of(quantizer))
    return made
