"""Sums of all values up to each place of an axis, added one by one in the type of the values, as onnxruntime adds them.

torch adds float32 values up in float64, from the first to the last alone, and gives int64 for int32.

Source: the operator CumSum of ONNX (onnx/defs/math).
"""

from typing import Any

import torch
from torch import Tensor

_torch_library: Any = torch.library  # untyped
_LIBRARY = _torch_library.Library("qdiag", "FRAGMENT")
_LIBRARY.define("running_sum(Tensor input, int dim, bool exclusive, bool reverse) -> Tensor")


def _computed(input: Tensor, dim: int, exclusive: bool, reverse: bool) -> Tensor:
    """The same shape as `input`; `exclusive` leaves the value at each place itself out."""
    parts = list(input.unbind(dim))
    if not parts:
        return input.clone()
    if reverse:
        parts.reverse()
    sums = [torch.zeros_like(parts[0])] if exclusive else [parts[0]]
    for part in parts[: len(parts) - 1] if exclusive else parts[1:]:
        sums.append(sums[-1] + part)
    if reverse:
        sums.reverse()
    return torch.stack(sums, dim)


_LIBRARY.impl("running_sum", _computed, "CompositeImplicitAutograd")
RUNNING_SUM: Any = torch.ops.qdiag.running_sum.default
