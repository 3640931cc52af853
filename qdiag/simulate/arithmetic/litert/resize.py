"""RESIZE_BILINEAR: weights of 10 bits, or of 11 with XNNPACK."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.integers import integers
from qdiag.simulate.arithmetic.litert.rule import Rule, requantized

_BITS, _XNNPACK_BITS = 10, 11
_OF_IMAGES, _OF_SIGNALS = "upsample_bilinear2d", "upsample_linear1d"


@dataclass(frozen=True, eq=False)
class LinearResize(Rule):
    """Places are `i round(2^10 size / resized)` and so on, in integers of 10 bits, and sums of products with the
    stored integers are rounded, halves away from 0; with uint8 both are float32. XNNPACK: float32 places,
    `round(2^11 distance)`, halves up. What comes out has the scale of the input, and is quantized anew for an output
    at another one.
    """

    name: ClassVar[str] = "linear_resize"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source, is_signal = self.quantizer(op, 0), operation_name(op.node) == _OF_SIGNALS
        if source is None or kwargs or not (is_signal or operation_name(op.node) == _OF_IMAGES):
            return None
        x, corners = args[0], bool(args[2])
        factors = args[3] if len(args) == 4 and isinstance(args[3], list | tuple) else args[3:]
        sizes = args[1] or [int(size * factor) for size, factor in zip(x.shape[2:], factors, strict=True)]
        if is_signal:  # an image of one row
            x, sizes = x.unsqueeze(2), (1, *sizes)
        is_real = not self.lowest and not self.is_wide and self.kernels != "xnnpack"
        resized = self._in_float if is_real else self._resized
        steps = resized(x, source, [int(size) for size in sizes], corners=corners)
        found = requantized(steps, source, self.output, self.kernels).float() * float(self.output.scale)
        return found.squeeze(2) if is_signal else found

    def _resized(self, x: Tensor, source: Affine, sizes: list[int], *, corners: bool) -> Tensor:
        zero = self.zero(source)
        stored = integers(x, source).to(torch.int64) + zero
        is_delegated = self.kernels == "xnnpack" and not self.is_wide
        find, bits = (_float_places, _XNNPACK_BITS) if is_delegated else (_places, _BITS)
        rows, columns = (find(x.shape[2 + axis], sizes[axis], corners) for axis in range(2))
        (first, second, down), (left, right, across) = (
            tuple(one.to(x.device) for one in places) for places in (rows, columns)
        )
        upper, lower = stored.index_select(2, first), stored.index_select(2, second)
        one = 1 << bits
        above, below = (
            part.index_select(3, left) * (one - across) + part.index_select(3, right) * across
            for part in (upper, lower)
        )
        down = down.unsqueeze(1)
        total, half = above * (one - down) + below * down, 1 << (2 * bits - 1)
        if is_delegated:
            return ((total + half) >> (2 * bits)) - zero
        away = torch.where(total > 0, half, -half)
        return torch.div(total + away, 1 << (2 * bits), rounding_mode="trunc") - zero

    def _in_float(self, x: Tensor, source: Affine, sizes: list[int], *, corners: bool) -> Tensor:
        """The reference multiplies with one distance after the other; the runtime's own kernel with their products."""
        zero = self.zero(source)
        stored = integers(x, source) + float(zero)
        rows, columns = (_real_places(x.shape[2 + axis], sizes[axis], corners) for axis in range(2))
        (first, second, down), (left, right, across) = (
            tuple(one.to(x.device) for one in places) for places in (rows, columns)
        )
        down = down.unsqueeze(1)
        corner = {
            (row, column): stored.index_select(2, (first, second)[row]).index_select(3, (left, right)[column])
            for row in range(2)
            for column in range(2)
        }
        shares = ((1.0 - down, down), (1.0 - across, across))
        if self.kernels == "tflite":
            parts = [corner[at] * (shares[0][at[0]] * shares[1][at[1]]) for at in ((0, 0), (0, 1), (1, 0), (1, 1))]
        else:
            parts = [corner[at] * shares[0][at[0]] * shares[1][at[1]] for at in ((0, 0), (1, 0), (0, 1), (1, 1))]
        total = parts[0] + parts[1] + parts[2] + parts[3]
        return torch.floor(total + 0.5).to(torch.int64) - zero


def _real_places(size: int, resized: int, corners: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The two values between which each output lies, and how far it is from the first, in float32."""
    at = torch.arange(resized).float()
    if corners and resized > 1:
        at = at * (torch.tensor(float(size - 1)) / float(resized - 1))
    else:
        step = torch.tensor(float(size)) / float(resized)
        at = at * step if corners else (at + 0.5) * step - 0.5
    first = at.floor().clamp(min=0.0).long()
    second = at.ceil().long().clamp(0, size - 1)
    return first, second, at - first.float()


def _places(size: int, resized: int, corners: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The two values between which each output lies, and how far it is from the first, in 10 bits."""
    one, at = 1 << _BITS, torch.arange(resized)
    if corners and resized > 1:
        at = at * ((one * (size - 1) + (resized - 1) // 2) // (resized - 1))
    else:
        step = (one * size + resized // 2) // resized
        at = at * step if corners else at * step + step // 2 - one // 2
    first = torch.div(at, one, rounding_mode="trunc").clamp(min=0)
    second = torch.div(at + one - 1, one, rounding_mode="trunc").clamp(0, size - 1)
    return first, second, at - one * first


def _float_places(size: int, resized: int, corners: bool) -> tuple[Tensor, Tensor, Tensor]:
    """The same in 11 bits, of places in float32."""
    at = torch.arange(resized).float()
    if corners and resized > 1:
        at = at * (torch.tensor(float(size - 1)) / float(resized - 1))
    else:
        step = torch.tensor(float(size)) / float(resized)
        at = at * step if corners else at * step + (0.5 * step - 0.5)
    at = at.clamp(0.0, float(size - 1))
    first = at.long()
    distance = torch.round((at - first.float()) * float(1 << _XNNPACK_BITS)).long()
    return first, (first + 1).clamp(max=size - 1), distance
