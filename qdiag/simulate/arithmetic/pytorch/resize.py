"""Images resized linearly: `upsample_bilinear2d` on integers."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.pytorch.rule import Rule, stored, zero_point

_LANES = 16
"""Channels that are worked on at once, with other fused multiply-adds than what is left over."""


@dataclass(frozen=True, eq=False)
class LinearResize(Rule):
    """`q = fma(h1, fma(w1, q_11, f32(w0 q_10)), f32(h0 fma(w1, q_01, f32(w0 q_00))))`, rounded, 16 channels at once.

    In what is left over the two terms change places. Integers are as they are stored.
    """

    name: ClassVar[str] = "linear_resize"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source = self.quantizer(op, 0)
        if source is None or source.key != self.output.key or kwargs:
            return None
        q = stored(args[0], source)
        given = args[3] if len(args) == 4 else args[3:]  # a list of them, or one argument for each axis
        factors = list(given or (None, None))
        sizes = [int(s) for s in args[1]] if args[1] else [int(q.shape[2 + i] * float(factors[i])) for i in (0, 1)]
        rows, columns = (_Places.of(q.shape[2 + i], sizes[i], bool(args[2]), factors[i]) for i in (0, 1))
        own, whole = zero_point(source), q.shape[1] // _LANES * _LANES
        parts = [_resized(q[:, :whole], rows, columns, is_left_over=False)] if whole else []
        if whole < q.shape[1]:
            parts.append(_resized(q[:, whole:], rows, columns, is_left_over=True))
        return self.values(torch.cat(parts, 1).sub_(own).add_(own).round_().clamp_(0.0, 255.0).sub_(own))


@dataclass(frozen=True)
class _Places:
    """The two values on one axis between which each output lies, and their weights, float32."""

    first: Tensor
    second: Tensor
    to_first: Tensor
    to_second: Tensor

    @classmethod
    def of(cls, size: int, resized: int, corners: bool, factor: float | None) -> "_Places":
        at = torch.arange(resized, dtype=torch.float32)
        if corners:
            ratio = torch.tensor(float(size - 1)) / torch.tensor(float(max(1, resized - 1)))
            at = ratio * at if resized > 1 else torch.zeros_like(at)
        else:
            ratio = torch.tensor(1.0 / factor if factor else size / resized, dtype=torch.float32)
            at = (ratio.double() * (at + 0.5).double() - 0.5).float().clamp(min=0.0)
        first = at.long()
        second = (first + 1).clamp(max=size - 1)
        to_second = at - first
        return cls(first, second, 1.0 - to_second, to_second)


def _resized(q: Tensor, rows: _Places, columns: _Places, *, is_left_over: bool) -> Tensor:
    pairs = []
    for row in (rows.first, rows.second):
        line = q.index_select(2, row.to(q.device))
        ends = [line.index_select(3, one.to(q.device)) for one in (columns.first, columns.second)]
        pairs.append(_weighted(ends, (columns.to_first, columns.to_second), is_left_over=is_left_over))
    return _weighted(pairs, (rows.to_first.unsqueeze(1), rows.to_second.unsqueeze(1)), is_left_over=is_left_over)


def _weighted(values: list[Tensor], weights: tuple[Tensor, Tensor], *, is_left_over: bool) -> Tensor:
    """The sum of two products, of which one is rounded before."""
    rounded, fused = (1, 0) if is_left_over else (0, 1)
    one = values[rounded] * weights[rounded].to(values[rounded].device)
    return (values[fused].double() * weights[fused].to(one.device).double() + one.double()).float()
