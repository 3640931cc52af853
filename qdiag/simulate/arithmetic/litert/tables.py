"""Functions of one value: what kernels give for each byte."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from qdiag.capture.ops import operation_name
from qdiag.numerics.quantizers.affine import Affine
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.litert import int16_functions
from qdiag.simulate.arithmetic.litert.fixed_point import Multiplier, twice_rounded
from qdiag.simulate.arithmetic.litert.hard_swish import hard_swish
from qdiag.simulate.arithmetic.litert.requantized import levels, looked_up
from qdiag.simulate.arithmetic.litert.rule import LOWEST, Rule, away, limited, number, requantized

FIXED: Mapping[str, tuple[float, int]] = {"sigmoid": (1.0 / 256.0, -128), "tanh": (1.0 / 128.0, 0)}
"""Scale and zero point of what kernels give, whatever the output has."""
_FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "elu": functional.elu,
    "gelu": functional.gelu,
    "exp": torch.exp,
}
OF_BYTES = ("hardswish", "elu", "gelu", "exp")
"""Without a kernel of int16."""
TABLES = (*_FUNCTIONS, "silu", "hardswish", "leaky_relu")
_WIDE_OUTPUT = Affine(torch.tensor(int16_functions.OUTPUT_SCALE), torch.tensor(0.0), -32768, 32767)
_BITS = 8


@dataclass(frozen=True, eq=False)
class Table(Rule):
    """LOGISTIC, TANH, ELU, GELU, EXP, HARD_SWISH and LEAKY_RELU; SiLU as LOGISTIC and MUL.

    Of real functions, `q_y = round(f32(f(s_x (q_x - z_x)) f32(1 / s_y))) + z_y`, halves away from 0, at the fixed scale
    of the first two, which is quantized anew. LEAKY_RELU: `M(s_x / s_y)` and `M(s_x a / s_y)`, twice rounded; XNNPACK:
    `((q_x - z_x) m + 128) >> 8`, `m = round(256 f32(s_x / s_y))` or that times a.
    """

    name: ClassVar[str] = "table"

    def on_integers(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        source = self.quantizer(op, 0)
        x: Tensor = args[0]
        if source is None or not bool(torch.isfinite(x).all()):
            return None
        steps = self._steps(operation_name(op.node), source, args[1:], kwargs)
        return None if steps is None else looked_up(x, source, steps.float() * float(self.output.scale))

    def _steps(self, name: str, source: Affine, others: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
        steps = levels(source)
        if name == "hardswish":
            return hard_swish(steps, source, self.output)
        if name == "leaky_relu":
            slope = others[0] if others else kwargs.get("negative_slope", 0.01)
            return self._leaky(steps, source, float(slope))
        if name == "silu":
            return self._gated(steps, source)
        if name == "elu" and (any(other != 1 for other in others) or kwargs):
            return None
        if name not in FIXED:
            tanh = "tanh" in (*others, kwargs.get("approximate"))
            how = (lambda x: functional.gelu(x, approximate="tanh")) if tanh else _FUNCTIONS[name]
            return _rounded(how, steps, source, self.output)
        if self.is_wide:
            own = _WIDE_OUTPUT
            made = int16_functions.sigmoid if name == "sigmoid" else int16_functions.tanh
            return requantized(limited(made(steps, number(source.scale)), own), own, self.output, self.kernels)
        own = _fixed(name)
        return requantized(_rounded(_FUNCTIONS[name], steps, source, own), own, self.output, self.kernels)

    def _gated(self, steps: Tensor, source: Affine) -> Tensor:
        """MUL with the LOGISTIC of the same value."""
        own = _WIDE_OUTPUT if self.is_wide else _fixed("sigmoid")
        wide = limited(int16_functions.sigmoid(steps, number(source.scale)), own) if self.is_wide else None
        total = steps * (_rounded(torch.sigmoid, steps, source, own) if wide is None else wide)
        if self.kernels == "xnnpack" and not self.is_wide:
            multiplier = number(source.scale) * number(own.scale) / number(self.output.scale)
            return torch.round(total.float() * multiplier).to(torch.int64)
        real = number(source.scale) * number(own.scale) / number(self.output.scale)
        return twice_rounded(total, Multiplier.of(real.double()))

    def _leaky(self, steps: Tensor, source: Affine, slope: float) -> Tensor | None:
        ratio = number(source.scale) / number(self.output.scale)
        if slope < 0.0:
            return None
        fits = float(ratio) * slope >= 2.0**-_BITS and float(ratio) <= 2.0 ** (_BITS - 1)
        if self.kernels == "xnnpack" and not self.is_wide and fits:
            above, below = (int(torch.round(one * float(1 << _BITS))) for one in (ratio, ratio * number(slope)))
            return (torch.where(steps >= 0, steps * above, steps * below) + (1 << (_BITS - 1))) >> _BITS
        below_ratio = number(source.scale) * number(slope) / number(self.output.scale)
        above_, below_ = (Multiplier.of(one.double()) for one in (ratio, below_ratio))
        return torch.where(steps >= 0, twice_rounded(steps, above_), twice_rounded(steps, below_))


def _fixed(name: str) -> Affine:
    scale, zero = FIXED[name]
    return Affine(torch.tensor(scale), torch.tensor(float(zero)), LOWEST, LOWEST + 255)


def _rounded(how: Callable[[Tensor], Tensor], steps: Tensor, source: Affine, output: Affine) -> Tensor:
    """Values of a function as integers less the zero point, limited; int64."""
    x = number(source.scale) * steps.float()
    y = how(x.double()).float() * (1.0 / number(output.scale))
    return limited(away(y).to(torch.int64), output)
