"""Sigmoid, tanh, the error function and what is made of them, bit for bit as onnxruntime approximates them.

Rational functions and polynomials in float32, evaluated by Horner's rule with fused multiply-adds: those of MLAS, the
kernels of onnxruntime (`lib/logistic.cpp`, `tanh.cpp`, `erf.cpp`), whose coefficients for tanh and the logistic
function are those of Eigen. Libraries differ in the last bits, which decides where a result lies half-way between two
integers; a tanh that saturates on both sides lies there.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

Function = Callable[[Tensor], Tensor]
"""float32 to float32."""

_TANH_ABOVE = (
    *(-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08),
    *(1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03),
)
_TANH_BELOW = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
_LOGISTIC_ABOVE = (
    *(4.37031012579801e-11, 1.15627324159942e-07, 6.08574864600143e-05),
    *(8.51377133304701e-03, 2.48287947061529e-01),
)
_LOGISTIC_BELOW = (
    *(6.10247389755681e-13, 5.76102136993427e-09, 6.29106785017040e-06),
    *(1.70198817374094e-03, 1.16817656904453e-01, 9.93151921023180e-01),
)
_ERF_NEAR = (-5.99104969e-4, 4.99339588e-3, -2.67667342e-2, 1.12818025e-1, -3.76124859e-1, 1.28379151e-1)
_ERF_FAR = (
    *(1.72948930e-5, -3.83208680e-4, 3.88393435e-3, -2.42545605e-2),
    *(1.06777847e-1, 6.34846687e-1, 1.28717512e-1),
)
_ERF_NEAR_UP_TO, _ERF_UP_TO = 0.921875, 3.925
_EXP = (1.38319808e-3, 8.37550033e-3, 4.16689515e-2, 1.66664466e-1, 4.99999851e-1, 1.0, 1.0)
_LOG2_E, _LN2_HIGH, _LN2_LOW, _TO_INTEGER = 1.44269504088896341, -6.93145752e-1, -1.42860677e-6, 12582912.0


def sigmoid(x: Tensor) -> Tensor:
    """The logistic function."""
    x = x.clamp(-18.0, 18.0)
    square = x * x
    return (_polynomial(square, _LOGISTIC_ABOVE) * x / _polynomial(square, _LOGISTIC_BELOW) + 0.5).clamp(min=0.0)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    x = x.clamp(-9.0, 9.0)
    square = x * x
    return _polynomial(square, _TANH_ABOVE) * x / _polynomial(square, _TANH_BELOW)


def erf(x: Tensor) -> Tensor:
    """The error function."""
    size = x.abs().clamp(max=_ERF_UP_TO)
    near = _fused(_polynomial(size * size, _ERF_NEAR), size, size)
    far = 1.0 - _exp(-_fused(_polynomial(size, _ERF_FAR), size, size))
    return torch.copysign(torch.where(size > _ERF_NEAR_UP_TO, far, near), x)


def gelu(x: Tensor) -> Tensor:
    """`x (1 + erf(x / sqrt 2)) / 2`."""
    return 0.5 * x * (1.0 + erf(x * _number(math.sqrt(0.5))))


def tanh_gelu(x: Tensor) -> Tensor:
    """`x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2`."""
    first = math.sqrt(2.0 / math.pi)
    return 0.5 * x * (tanh(x * (_number(0.044715 * first) * x * x + _number(first))) + 1.0)


def silu(x: Tensor) -> Tensor:
    """`x sigmoid(x)`, in two operations."""
    return x * sigmoid(x)


def hard_sigmoid(x: Tensor) -> Tensor:
    """`clamp(x f32(1/6) + 0.5, 0, 1)`, where torch computes `clamp(x + 3, 0, 6) / 6`."""
    return (x * _number(1.0 / 6.0) + 0.5).clamp(0.0, 1.0)


def hard_swish(x: Tensor) -> Tensor:
    """`x hard_sigmoid(x)`, in two operations."""
    return x * hard_sigmoid(x)


FUNCTIONS: Mapping[str, Function] = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "erf": erf,
    "gelu": gelu,
    "silu": silu,
    "hardsigmoid": hard_sigmoid,
    "hardswish": hard_swish,
}
"""By operation; GELU by tanh is another function."""


def _exp(x: Tensor) -> Tensor:
    """The exponential, as the error function uses it: 2^n times a polynomial of the rest."""
    power = _fused(x, _number(_LOG2_E), _number(_TO_INTEGER)) - _TO_INTEGER
    rest = _fused(power, _number(_LN2_LOW), _fused(power, _number(_LN2_HIGH), x))
    return torch.ldexp(_polynomial(rest, _EXP), power)


def _polynomial(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    """The highest power first."""
    total = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = _fused(total, x, _number(coefficient))
    return total


def _fused(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """`a b + c` rounded to float32 once: the product of two float32 is exact in float64."""
    return (a.double() * b.double() + c.double()).float()


def _number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float32)
