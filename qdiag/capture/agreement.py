"""Whether two sets of outputs are those of one network: shapes, numbers, NaN and infinity, integers."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qdiag.core.listed import count_noun

TOLERANCE = 1e-3
"""Largest difference over the largest value of an output: rounding, with room for reordering."""
_ROUNDING = 2e-7
"""The same over the largest value of all outputs, below which an output is noise around zero."""
_INTEGER_SHARE = 0.01
"""Integers that may differ: class numbers of near ties, which rounding decides."""


@dataclass(frozen=True)
class Difference:
    """The first output that differs: its position, and in what, in words."""

    output: int
    what: str


def first_difference(expected: Sequence[Tensor], actual: Sequence[Tensor]) -> Difference | None:
    """None where the outputs agree up to rounding.

    Args:
        expected: flat outputs of the network. actual: those of its graph, in the same order.
    """
    if len(expected) != len(actual):
        return Difference(0, f"{count_noun(len(actual), 'tensor')} in place of {len(expected)}")
    level = max((_largest(a) for a in expected if a.is_floating_point() or a.is_complex()), default=0.0)
    for index, (a, b) in enumerate(zip(expected, actual, strict=True)):
        what = _difference(a, b, level)
        if what is not None:
            return Difference(index, what)
    return None


def same_sample(x: Tensor, count: int, index: int, other: Tensor, other_count: int, other_index: int) -> bool | None:
    """Whether two batches of different sizes give the same for the sample that both hold.

    Args:
        x: an output for `count` samples, of which `index` is meant; `other` the same output of the other batch.

    Returns:
        None where the shapes do not tell which part of an output is one sample's.
    """
    parts = sample_parts(x, count, index, other, other_count, other_index)
    return None if parts is None else first_difference(*([part] for part in parts)) is None


def sample_parts(
    x: Tensor, count: int, index: int, other: Tensor, other_count: int, other_index: int
) -> tuple[Tensor, Tensor] | None:
    """One sample's part of an output in two batches of different sizes, see `same_sample`.

    The axis of the samples is the one whose sizes are as those of the batches; without one, the output is the same for
    the whole batch, and comes whole.
    """
    if x.ndim != other.ndim:
        return None
    axes = [axis for axis in range(x.ndim) if x.shape[axis] != other.shape[axis]]
    if not axes:
        return x, other
    axis, each = axes[0], x.shape[axes[0]] // count
    if len(axes) > 1 or x.shape[axis] != each * count or other.shape[axis] != each * other_count:
        return None
    return x.narrow(axis, index * each, each), other.narrow(axis, other_index * each, each)


def _difference(a: Tensor, b: Tensor, level: float) -> str | None:
    if a.shape != b.shape and not (a.numel() == b.numel() and a.squeeze().shape == b.squeeze().shape):
        return f"shape {tuple(b.shape)} instead of {tuple(a.shape)}"
    a, b = a.detach().reshape(-1), b.detach().reshape(-1).to(a.device)
    if a.dtype.is_floating_point != b.dtype.is_floating_point or a.is_complex() != b.is_complex():
        return f"{_dtype(b)} instead of {_dtype(a)}"
    if not a.numel():
        return None
    if not (a.is_floating_point() or a.is_complex()):
        share = float((a != b).double().mean())
        return f"{100.0 * share:.3g} % of the integers differ" if share > _INTEGER_SHARE else None
    if a.is_complex():
        a, b = torch.view_as_real(a).reshape(-1), torch.view_as_real(b).reshape(-1)
    a, b = a.double(), b.double()
    finite = a.isfinite()
    if not torch.equal(finite, b.isfinite()) or not torch.equal(a[~finite].nan_to_num(0.5), b[~finite].nan_to_num(0.5)):
        return "NaN or infinity at other places"
    if not bool(finite.any()):
        return None
    delta, scale = float((a - b)[finite].abs().max()), float(a[finite].abs().max())
    if delta <= max(TOLERANCE * scale, _ROUNDING * level):
        return None
    return f"a difference of {delta:.3g} where the largest value is {scale:.3g}"


def _largest(x: Tensor) -> float:
    values = x.detach().abs()[x.isfinite()]
    return float(values.max()) if values.numel() else 0.0


def _dtype(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")
