"""Sums of two neighbouring products that saturate in int16, in kernels that make matrix products of convolutions.

Linear layers, and convolutions with and without groups, over one to three axes. Only pairs of weights that the largest
activations of their channels drive beyond int16 are looked at: few, in most networks.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from qdiag.capture.ops import operation_name
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.weight_pairs import INT16_MAX, INT16_MIN, WeightPairs
from qdiag.simulate.passes.integer_weights import IntegerWeights

_CACHED = 1 << 17
"""Sums that are worked on at once."""
_HELD = 1 << 20
"""Values of channels and of sums that are held beside the tensors themselves."""
_WIDTH = 1 << 13
"""So many values of channels are compared at once."""


@dataclass(frozen=True)
class Bytes:
    """Unsigned integers as a kernel reads them, and the largest one that there may be."""

    zero_point: float
    largest: float


def subtract_lost(total: Tensor, op: LayerOp, args: tuple[Any, ...], x: Tensor, source: Bytes) -> None:
    """Takes what int16 cuts off from the sums of a layer, in place.

    Args:
        total: (N, C, outputs...) or, of a linear layer, (..., C). args: of the operation.
        x: `q - zero_point` of its input, in float32. source: what `q` is.
    """
    weights = _weights(op)
    if not x.numel() or not weights.pairs.can_leave(source.largest):
        return
    if op.layer is not None and op.layer.kind == "linear":
        _subtract(total.view(-1, total.shape[-1]), x.reshape(-1, x.shape[-1]), source.zero_point, weights.pairs, None)
        return
    kernel = tuple(weights.weight.shape[2:])
    _subtract(total, x, source.zero_point, weights.pairs, _Geometry(op, args, kernel, weights.axis == 1))


def lost_sums(total: Tensor, op: LayerOp, args: tuple[Any, ...], x: Tensor, source: Bytes) -> Tensor | None:
    """What int16 cuts off the sums of a layer, in their shape; None where no input could drive a pair out.

    Args:
        total: the sums, which stay as they are. args, x, source: see `subtract_lost`.
    """
    if not _weights(op).pairs.can_leave(source.largest):
        return None
    lost = torch.zeros_like(total)
    subtract_lost(lost, op, args, x, source)
    return lost.neg_()


def lost_in_pairs(
    op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any], x: Tensor, source: Bytes
) -> Tensor | None:
    """The same where the sums are not at hand: their shape is found without computing any."""
    weights = _weights(op)
    if not weights.pairs.can_leave(source.largest):
        return None
    values, kernel = (torch.empty_like(one, device="meta") for one in (x, weights.weight))
    total: Tensor = op.node.target(values, kernel, None, *args[3:], **kwargs)  # type: ignore[operator]
    return lost_sums(torch.empty_like(total, device=x.device), op, args, x, source)


def _weights(op: LayerOp) -> IntegerWeights:
    assert op.weights is not None and op.weights.integers is not None
    return op.weights.integers


class _Geometry:
    """Where the windows of a convolution lie; a transposed one goes over its input with gaps between the values."""

    def __init__(self, op: LayerOp, args: tuple[Any, ...], kernel: tuple[int, ...], is_transposed: bool) -> None:
        axes = len(kernel)
        stride, padding, dilation = (
            _each(_argument(args, op, name, place, default), axes)
            for name, place, default in _places(op, is_transposed)
        )
        extra = _each(_argument(args, op, "output_padding", 7 if _is_general(op) else 5, 0), axes)
        spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        self._kernel, self._dilation = kernel, dilation
        self._stride = [1] * axes if is_transposed else stride
        self._gaps = stride if is_transposed else [1] * axes
        if is_transposed:
            self._pads = [(s - p, s - p + e) for s, p, e in zip(spans, padding, extra, strict=True)]
        elif padding == ["same"] * axes:
            self._pads = [(s // 2, s - s // 2) for s in spans]
        else:
            self._pads = [(0, 0) if p == "valid" else (p, p) for p in padding]
        self._is_transposed = is_transposed

    def padded(self, x: Tensor) -> Tensor:
        """The input with its gaps and its border, which are zeros of it."""
        for axis, gap in enumerate(self._gaps, 2):
            if gap > 1:
                spread = functional.pad(x.unsqueeze(axis + 1), [0, 0] * (x.ndim - axis - 1) + [0, gap - 1])
                spread = spread.flatten(axis, axis + 1)
                x = spread.narrow(axis, 0, spread.shape[axis] - gap + 1)
        pads = [p for pair in reversed(self._pads) for p in pair]
        return functional.pad(x, pads) if any(pads) else x

    def seen_at(self, x: Tensor, tap: int, outputs: tuple[int, ...]) -> Tensor:
        """A view of a padded input: what each output position reads at a place of the kernel."""
        for axis in reversed(range(len(self._kernel))):
            tap, place = divmod(tap, self._kernel[axis])
            place = self._kernel[axis] - 1 - place if self._is_transposed else place
            first, stride = place * self._dilation[axis], self._stride[axis]
            index = [slice(None)] * (2 + axis) + [slice(first, first + (outputs[axis] - 1) * stride + 1, stride)]
            x = x[tuple(index)]
        return x


def _subtract(total: Tensor, x: Tensor, zero_point: float, pairs: WeightPairs, geometry: _Geometry | None) -> None:
    """The same for (N, C, outputs...); without a geometry each output reads what lies at its own place of the input."""
    largest = _largest(x).clamp_(min=0.0).add_(zero_point)
    reach = (pairs.weights * largest[pairs.sources]).sum(0)
    kept = (reach > INT16_MAX).nonzero().flatten()
    if not len(kept):
        return
    needed, sources = torch.unique(pairs.sources[:, kept], return_inverse=True)
    changed, filters = torch.unique(pairs.filters[kept], return_inverse=True)
    weights = pairs.weights[:, kept]
    ends = torch.searchsorted(kept, torch.tensor([taps.end for taps in pairs.taps], device=kept.device)).tolist()
    outputs = tuple(total.shape[2:])
    size = len(needed) * math.prod(x.shape[2:]) + len(changed) * math.prod(outputs)
    for sums, values in zip(*(torch.split(one, max(1, _HELD // size)) for one in (total, x)), strict=True):
        planes = _planes(values, needed)
        planes = planes if geometry is None else geometry.padded(planes)
        lost = torch.zeros(len(changed), sums.shape[0], *outputs, device=x.device)
        step = max(1, _CACHED // max(1, lost[0].numel()))
        first = 0
        for taps, end in zip(pairs.taps, ends, strict=True):
            limit = -INT16_MIN if taps.is_negative else INT16_MAX
            for start in range(first, end, step):
                few = slice(start, min(start + step, end))
                left, right = (
                    found if geometry is None else geometry.seen_at(found, tap, outputs)
                    for found, tap in ((planes.index_select(0, sources[i, few]), taps.both[i]) for i in (0, 1))
                )
                factors = weights[:, few].view(2, -1, *[1] * (lost.ndim - 1))
                beyond = left.mul_(factors[0]).addcmul_(right, factors[1]).add_(zero_point * factors.sum(0) - limit)
                lost.index_add_(0, filters[few], beyond.clamp_(min=0.0), alpha=1 if taps.is_negative else -1)
            first = end
        _add(sums, changed, lost.to(sums.dtype))


def _largest(x: Tensor) -> Tensor:
    """Of each channel; several positions at once where channels lie last, of which there may be few."""
    if not _is_last(x):
        return x.flatten(2).amax(2).amax(0)
    rows = x.movedim(1, -1).reshape(-1, x.shape[1])
    at_once = max(1, min(_WIDTH // x.shape[1], rows.shape[0]))
    whole = rows.shape[0] // at_once * at_once
    largest = rows[:whole].view(-1, at_once * x.shape[1]).amax(0).view(at_once, -1).amax(0)
    return largest if whole == rows.shape[0] else torch.maximum(largest, rows[whole:].amax(0))


def _planes(x: Tensor, channels: Tensor) -> Tensor:
    """(C, N, ...): some channels of (N, C, ...)."""
    if not _is_last(x):
        return x.movedim(1, 0).index_select(0, channels)
    columns = x.movedim(1, -1).reshape(-1, x.shape[1]).index_select(1, channels).T.contiguous()
    return columns.view(len(channels), x.shape[0], *x.shape[2:])


def _add(total: Tensor, channels: Tensor, planes: Tensor) -> None:
    """Adds (C, N, ...) to some channels of (N, C, ...)."""
    if _is_last(total):
        total.movedim(1, -1).view(-1, total.shape[1]).index_add_(1, channels, planes.flatten(1).T)
    else:
        total.index_add_(1, channels, planes.movedim(0, 1))


def _is_last(x: Tensor) -> bool:
    """Channels lie next to each other, and all else as if they were moved last."""
    return x.movedim(1, -1).is_contiguous()


def _is_general(op: LayerOp) -> bool:
    return operation_name(op.node) == "convolution"


def _places(op: LayerOp, is_transposed: bool) -> tuple[tuple[str, int, int], ...]:
    """Name, place and default of stride, padding and dilation."""
    last = 7 if is_transposed and not _is_general(op) else 5
    return (("stride", 3, 1), ("padding", 4, 0), ("dilation", last, 1))


def _argument(args: tuple[Any, ...], op: LayerOp, name: str, place: int, default: Any) -> Any:
    return args[place] if place < len(args) else op.node.kwargs.get(name, default)


def _each(value: Any, axes: int) -> list[Any]:
    """One for each axis."""
    found = list(value) if isinstance(value, list | tuple) else [value]
    return found * axes if len(found) == 1 else found
