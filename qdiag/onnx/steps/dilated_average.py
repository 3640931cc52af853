"""Means over windows between whose elements others are left out, which torch's average pooling does not know.

One operation, as those of torch are; onnxruntime has no kernel of integers for it.

Source: the operator AveragePool of ONNX from opset 19 on (onnx/defs/nn).
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

_torch_library: Any = torch.library  # untyped
_LIBRARY = _torch_library.Library("qdiag", "FRAGMENT")
_LIBRARY.define(
    "dilated_average(Tensor input, int[] kernel, int[] stride, int[] dilation, int[] before, int[] after, "
    "bool ceil_mode, bool count_include_pad) -> Tensor"
)


def _computed(
    input: Tensor,
    kernel: list[int],
    stride: list[int],
    dilation: list[int],
    before: list[int],
    after: list[int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> Tensor:
    """(N, C, ...) with a border of zeros, which counts or does not; sizes are rounded down or up."""
    counted = torch.ones_like(input[:1, :1])
    x = pad(input, _pairs(before, after))
    counted = pad(counted, _pairs(before, after), value=1.0 if count_include_pad else 0.0)
    for axis, (size, step, apart) in enumerate(zip(kernel, stride, dilation, strict=True), 2):
        length = apart * (size - 1) + 1
        end = input.shape[axis] + before[axis - 2]
        more = _beyond(x.shape[axis], end, length, step) if ceil_mode else 0
        x, counted = (
            pad(one, [0, 0] * (input.ndim - 1 - axis) + [0, more]).unfold(axis, length, step)[..., ::apart].mean(-1)
            for one in (x, counted)
        )
    return x / counted


def _beyond(size: int, end: int, length: int, step: int) -> int:
    """What the last window needs behind the border where sizes are rounded up; it begins before the image ends."""
    count = -(-(size - length) // step) + 1
    count -= (count - 1) * step >= end
    return max((count - 1) * step + length - size, 0)


def _pairs(before: list[int], after: list[int]) -> list[int]:
    return [p for pair in zip(reversed(before), reversed(after), strict=True) for p in pair]


_LIBRARY.impl("dilated_average", _computed, "CompositeImplicitAutograd")
DILATED_AVERAGE: Any = torch.ops.qdiag.dilated_average.default
