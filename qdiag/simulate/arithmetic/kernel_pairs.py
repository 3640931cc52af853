"""Sums of two neighbouring products that saturate in int16, in kernels that make matrix products of convolutions.

Linear layers, and convolutions with and without groups, over one to three axes. A row of the product holds what one
output position adds up, channels innermost, and each group has a product of its own.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from qdiag.capture.ops import operation_name
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.pair_sums import INT16_MAX, INT16_MIN, lost_in_pairs, paired, risky_pairs

_CHUNK = 1 << 24
"""Elements of the rows that are held at once."""


def lost_sums(op: LayerOp, args: tuple[Any, ...], stored: Tensor, zero_point: float, weight: Tensor) -> Tensor | None:
    """What int16 cuts off, in the shape of the layer's output; None where it can cut off nothing.

    Args:
        args: of the operation. stored: unsigned integers of its input, float32. zero_point: of these, with which a
            kernel pads. weight: integers as they are stored, in the shape of the weight.
    """
    assert op.layer is not None
    groups, is_transposed = op.layer.groups, op.layer.weight_axis == 1
    # a transposed convolution has the input channels first, so that both kinds are cut into groups along the first axis
    rows = torch.stack([_rows(one, is_transposed) for one in weight.chunk(groups, 0)])
    if not bool(risky_pairs(paired(rows.flatten(0, 1)), 255.0).any()):
        return None
    if op.layer.kind == "linear":
        return lost_in_pairs(stored.reshape(-1, stored.shape[-1]), rows[0]).view(*stored.shape[:-1], -1)
    kernel = tuple(weight.shape[2:])
    geometry = _Geometry(op, args, kernel, is_transposed)
    lost = []
    for part in _parts(stored, weight[0].numel() * groups):
        padded = geometry.padded(part, zero_point)
        if padded.shape[1] == groups:
            lost.append(_on_single_channels(geometry.windows(padded), rows))
            continue
        found = [
            _on_group(geometry.windows(one), group) for one, group in zip(padded.chunk(groups, 1), rows, strict=True)
        ]
        lost.append(torch.cat(found, 1))
    return torch.cat(lost)


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
        self._kernel, self._dilation, self._spans = kernel, dilation, spans
        self._stride = [1] * axes if is_transposed else stride
        self._gaps = stride if is_transposed else [1] * axes
        if is_transposed:
            self._pads = [(s - p, s - p + e) for s, p, e in zip(spans, padding, extra, strict=True)]
        elif padding == ["same"] * axes:
            self._pads = [(s // 2, s - s // 2) for s in spans]
        else:
            self._pads = [(0, 0) if p == "valid" else (p, p) for p in padding]
        self._is_transposed = is_transposed

    def padded(self, x: Tensor, zero_point: float) -> Tensor:
        """The input with its gaps and its border."""
        for axis, gap in enumerate(self._gaps, 2):
            if gap > 1:
                spread = x.unsqueeze(axis + 1)
                border = [0, 0] * (x.ndim - axis - 1) + [0, gap - 1]
                spread = functional.pad(spread, border, value=zero_point).flatten(axis, axis + 1)
                x = spread.narrow(axis, 0, spread.shape[axis] - gap + 1)
        return functional.pad(x, [p for pair in reversed(self._pads) for p in pair], value=zero_point)

    def windows(self, x: Tensor) -> Tensor:
        """(N, outputs..., taps..., C): what each output position adds up."""
        axes = len(self._kernel)
        for axis in range(axes):
            x = x.unfold(2 + axis, self._spans[axis] + 1, self._stride[axis])
            x = x[..., :: self._dilation[axis]]
        if self._is_transposed:
            x = x.flip(tuple(range(x.ndim - axes, x.ndim)))
        return x.movedim(1, -1)


def _on_group(windows: Tensor, rows: Tensor) -> Tensor:
    outputs = windows.shape[: (windows.ndim - 2) // 2 + 1]
    lost = lost_in_pairs(windows.reshape(-1, rows.shape[1]), rows)
    return lost.view(*outputs, -1).movedim(-1, 1)


def _on_single_channels(windows: Tensor, rows: Tensor) -> Tensor:
    """The same of all groups at once, where each reads one channel.

    Args:
        rows: (groups, filters, taps).
    """
    groups, filters, taps = rows.shape
    values = windows.flatten((windows.ndim - 2) // 2 + 1, -2)  # (N, outputs..., taps, groups)
    pairs = paired(rows.flatten(0, 1))
    risky = risky_pairs(pairs, float(values.amax()) if values.numel() else 0.0)
    lost = values.new_zeros(*values.shape[:-2], groups * filters)
    for at in torch.nonzero(risky.any(0)).flatten().tolist():
        chosen = torch.nonzero(risky[:, at]).flatten()
        sources = chosen // filters
        total = values[..., 2 * at, :].index_select(-1, sources) * pairs[chosen, at, 0]
        if 2 * at + 1 < taps:
            total += values[..., 2 * at + 1, :].index_select(-1, sources) * pairs[chosen, at, 1]
        lost[..., chosen] += total - total.clamp(INT16_MIN, INT16_MAX)
    return lost.movedim(-1, 1)


def _rows(weight: Tensor, is_transposed: bool) -> Tensor:
    """(C, K) of one group, input channels innermost."""
    weight = weight.transpose(0, 1) if is_transposed else weight
    return (weight.movedim(1, -1) if weight.ndim > 2 else weight).flatten(1)


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


def _parts(x: Tensor, fan_in: int) -> Iterator[Tensor]:
    """A few samples at a time, as their rows take memory."""
    per_sample = max(1, x[0].numel() * fan_in // max(1, x.shape[1])) if x.shape[0] else 1
    yield from torch.split(x, max(1, _CHUNK // per_sample)) if x.shape[0] else (x,)
