"""Sums of two neighbouring products that saturate in int16, in kernels that make matrix products of convolutions.

Linear layers, and convolutions with and without groups, over one to three axes. Only pairs of weights that the largest
activations of their channels drive beyond int16 are looked at: few, in most networks. The operation itself adds them
up, with a filter for each of them, whose other weights are 0, and which has few input channels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from qdiag.capture.ops import operation_name
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.weight_pairs import INT16_MAX, INT16_MIN, WeightPairs
from qdiag.simulate.passes.integer_weights import IntegerWeights

_HELD = 1 << 19
"""Sums of pairs that are held at once."""
_WEIGHTS = 1 << 8
"""Weights of a filter for one pair, where pairs of more channels are left for another run."""
_PAIRS = 16
"""Pairs of one run, at least."""
_WIDTH = 1 << 13
"""So many values of channels are compared at once."""

_Run = Callable[[Tensor, Tensor, Tensor], Tensor]
"""The operation of a layer without its groups, of inputs, a weight and a bias."""


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
    run, is_transposed = _operation(op, args), weights.axis == 1
    if op.layer is not None and op.layer.kind == "linear":
        total, x = total.view(-1, total.shape[-1]), x.reshape(-1, x.shape[-1])
    kernel = tuple(weights.weight.shape[2:])
    _subtract(total, x, source.zero_point, weights.pairs, _Filters(run, kernel, is_transposed))


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


def _operation(op: LayerOp, args: tuple[Any, ...]) -> _Run:
    """Groups are left out: filters for pairs say themselves which channels they read."""
    rest, named = list(args[3:]), dict(op.node.kwargs)
    named.pop("groups", None)
    place = 5 if operation_name(op.node) == "convolution" else 3
    if len(rest) > place:
        rest[place] = 1

    def run(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if x.device.type != "cpu":  # other devices may transform what they convolve, which rounds
            x, weight, bias = x.double(), weight.double(), bias.double()
        found: Tensor = op.node.target(x, weight, bias, *rest, **named)  # type: ignore[operator]
        return found if x.device.type == "cpu" else found.round_().float()

    return run


@dataclass(frozen=True)
class _Filters:
    """Makes filters of pairs, and runs them.

    Attributes:
        kernel: its shape, () of a linear layer.
    """

    run: _Run
    kernel: tuple[int, ...]
    is_transposed: bool

    @property
    def at_once(self) -> int:
        """Pairs of one run, which read twice as many channels at most."""
        return max(_PAIRS, _WEIGHTS // math.prod(self.kernel))

    def weight(self, sources: Tensor, pairs: WeightPairs, channel_count: int, factors: Tensor) -> Tensor:
        """One filter for each pair.

        Args:
            sources: (2, M) of the input channels that there are. factors: (M,) of the weights.
        """
        size, count = math.prod(self.kernel), len(pairs.filters)
        made = torch.zeros(count, channel_count * size, device=sources.device)
        made.scatter_(1, (sources * size + pairs.places).T, (pairs.weights * factors).T)
        filters = made.view(count, channel_count, *self.kernel)
        return filters.transpose(0, 1).contiguous() if self.is_transposed else filters


def _subtract(total: Tensor, x: Tensor, zero_point: float, pairs: WeightPairs, filters: _Filters) -> None:
    """The same for (N, C, outputs...); only the pairs and samples of which a sum may leave int16 are looked at."""
    kept = pairs.leaving(_largest(x).clamp_(min=0.0).add_(zero_point)).nonzero().flatten()
    if not len(kept):
        return
    pairs = pairs.some(kept)
    if total.ndim == 2:
        _subtract_from_all(total, x, zero_point, pairs, filters)
        return
    needed, sources = torch.unique(pairs.sources, return_inverse=True)
    x, pairs = x.index_select(1, needed).contiguous(), replace(pairs, sources=sources)
    leaving = pairs.leaving(x.flatten(2).amax(2).clamp_(min=0.0).add_(zero_point))
    pairs, samples = pairs.some(leaving.any(0).nonzero().flatten()), leaving.any(1).nonzero().flatten()
    if not len(samples):
        return
    if 2 * len(samples) > len(x):
        _subtract_from_all(total, x, zero_point, pairs, filters)
        return
    some = total.index_select(0, samples)
    _subtract_from_all(some, x.index_select(0, samples), zero_point, pairs, filters)
    total.index_copy_(0, samples, some)


def _subtract_from_all(total: Tensor, x: Tensor, zero_point: float, pairs: WeightPairs, filters: _Filters) -> None:
    count = len(pairs.filters)
    if count > filters.at_once:
        pairs = pairs.some(pairs.sources[0].argsort())  # those that read the same channels come together
    for start in range(0, count, filters.at_once):
        few = pairs.some(slice(start, start + filters.at_once))
        needed, sources = torch.unique(few.sources, return_inverse=True)
        changed, at = torch.unique(few.filters, return_inverse=True)
        both = few.weights.sum(0)
        signs = both.sign()
        weight = filters.weight(sources, few, len(needed), -signs)
        room = torch.where(both < 0, float(-INT16_MIN), float(INT16_MAX)) - zero_point * both.abs()
        added = torch.zeros(len(changed), len(at), device=x.device)
        added[at, torch.arange(len(at), device=x.device)] = signs
        held = max(1, _HELD // (len(at) * math.prod(total.shape[2:])))
        for sums, values in zip(torch.split(total, held), torch.split(x, held), strict=True):
            values = values if len(needed) == x.shape[1] else values.index_select(1, needed)
            beyond = filters.run(values, weight, room).clamp_(max=0.0)
            lost = added @ beyond.flatten(2) if beyond.ndim > 2 else beyond @ added.T
            _add(sums, changed, lost.view(len(sums), len(changed), *sums.shape[2:]).to(sums.dtype))


def _largest(x: Tensor) -> Tensor:
    """Of each channel; several positions at once where channels lie last, of which there may be few."""
    if not _is_last(x):
        return x.flatten(2).amax(2).amax(0)
    rows = x.movedim(1, -1).reshape(-1, x.shape[1])
    at_once = max(1, min(_WIDTH // x.shape[1], rows.shape[0]))
    whole = rows.shape[0] // at_once * at_once
    largest = rows[:whole].view(-1, at_once * x.shape[1]).amax(0).view(at_once, -1).amax(0)
    return largest if whole == rows.shape[0] else torch.maximum(largest, rows[whole:].amax(0))


def _add(total: Tensor, channels: Tensor, values: Tensor) -> None:
    """Adds (N, K, ...) to some channels of (N, C, ...)."""
    if _is_last(total):
        total.movedim(1, -1).view(-1, total.shape[1]).index_add_(1, channels, values.movedim(1, -1).flatten(0, -2))
    else:
        total.index_add_(1, channels, values)


def _is_last(x: Tensor) -> bool:
    """Channels lie next to each other, and all else as if they were moved last."""
    return x.movedim(1, -1).is_contiguous()
