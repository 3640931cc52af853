"""A convolution that clamps its own sums, so that they are written to memory once and not read again for it.

On a CPU, torch convolves by oneDNN, which clamps at no cost what it is about to write. torch itself asks for that in
models that it compiles, by `mkldnn::_convolution_pointwise`, which is no part of its public interface: a build without
it, and all that oneDNN does not compute, convolves first and clamps then, which gives the same.
"""

import math
from typing import Any

import torch
from torch import Tensor

from qdiag.numerics.quantizers.base import Clamp

CONVOLUTION = torch.ops.aten.conv2d.default
_DEFAULTS: tuple[Any, ...] = (None, (1, 1), (0, 0), (1, 1), 1)
"""Of its arguments behind the weight: bias, stride, padding, dilation, groups."""


def can_clamp(clamp: Clamp | None) -> bool:
    """oneDNN has ReLU, and clamps between two finite bounds."""
    return clamp is not None and (clamp == (0.0, math.inf) or all(map(math.isfinite, clamp)))


def clamped_convolution(args: tuple[Any, ...], clamp: Clamp) -> Tensor:
    """`conv2d(*args).clamp(*clamp)` of sums that are no NaN, which oneDNN would make the lower bound.

    Args:
        args: of `aten::conv2d`.
    """
    x, weight = args[:2]
    bias, *numbers = (*args[2:], *_DEFAULTS[len(args) - 2 :])
    stride, padding, dilation, groups = [_pair(n) for n in numbers[:3]] + [numbers[3]]
    if _is_for_onednn(x, weight, bias, stride, padding, dilation, groups):
        name, bounds = ("relu", []) if clamp[1] == math.inf else ("hardtanh", list(clamp))
        run = torch.ops.mkldnn._convolution_pointwise.default
        found: Tensor = run(x, weight, bias, padding, stride, dilation, groups, name, bounds, "")
        return found
    result: Tensor = CONVOLUTION(*args)
    return result.clamp_(*clamp)


def _pair(numbers: Any) -> list[int]:
    return [*numbers] * (2 // len(numbers))


def _is_for_onednn(x: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> bool:
    """torch would convolve by oneDNN, with the values laid as they are."""
    operands = [t for t in (x, weight, bias) if t is not None]
    if not _has_operation() or not all(t.dtype == torch.float32 and t.device.type == "cpu" for t in operands):
        return False
    if x.ndim != 4 or not x.numel() or (torch.is_grad_enabled() and any(t.requires_grad for t in operands)):
        return False
    stride, padding, dilation, groups = how
    chosen = torch._C._select_conv_backend(x, weight, bias, stride, padding, dilation, False, [0, 0], groups, None)
    return bool(chosen.name == "Mkldnn")


def _has_operation() -> bool:
    return hasattr(torch.ops.mkldnn, "_convolution_pointwise") and hasattr(torch._C, "_select_conv_backend")
