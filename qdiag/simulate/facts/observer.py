"""The paired pass, seen by a second pair of eyes: what detectors need to know beside the errors, at no extra pass."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.core.graph import Layer
from qdiag.core.measures.ranges import TensorRange
from qdiag.distributed.collector import merge_by_name
from qdiag.numerics.channel_sums import channel_table, column_sums, table_chunks
from qdiag.numerics.layout import dense, flat_chunks, some_rows
from qdiag.numerics.observer import Ends, ObserverOptions, TensorObserver
from qdiag.numerics.waiting import checks_at_the_end
from qdiag.simulate.facts.inputs import InputMoments, WeightedInputs
from qdiag.simulate.passes.lanes import LOCAL, REFERENCE, Lanes, pick
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.sweeps.losses import VALUES_PER_IMAGE

_SAMPLES_PER_IMAGE = 4096
"""Values per image behind the percentiles of a measured range; minimum and maximum see every one."""


@dataclass(frozen=True)
class PassFacts:
    """What the pass over the measured data showed at one layer's output; see `LayerFacts`."""

    measured_range: TensorRange | None
    mean_shift_fraction: float
    saturated_at_bound_fraction: float
    channel_sqnr_db_median: float
    inputs: InputMoments | None


class FactObserver(LayerObserver):
    """Keeps `PassFacts` of every layer of a paired pass; no operation runs again.

    Args:
        is_full: errors by channel and values at the bound are those of whole images; otherwise of some rows of large
            ones.
    """

    carried = ("_observers", "_channels", "_at_bound", "_inputs")

    def __init__(self, *, is_full: bool = True) -> None:
        self._is_full = is_full
        self._observers: dict[str, TensorObserver] = {}
        self._channels: dict[str, _ChannelErrors] = {}
        self._at_bound: dict[str, _Share] = {}
        self._inputs = WeightedInputs()
        self._ends: list[Ends] = []

    def merge(self, later: "FactObserver") -> None:
        """See `Collector`."""
        merge_by_name(self._observers, later._observers)
        merge_by_name(self._channels, later._channels)
        merge_by_name(self._at_bound, later._at_bound)
        self._inputs.merge(later._inputs)

    def before(self, layer: Layer, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        del kwargs
        if layer.weight is not None:
            self._inputs.add(layer, node, pick(args, REFERENCE))

    def opened(self, layer: Layer, lanes: Lanes) -> None:
        """The figures that only values before the clamp and the quantizer can give."""
        reference = self._some(lanes.reference)
        axis = layer.channel_axis(reference.ndim)
        if layer.weight is not None and axis is not None:
            errors = self._channels.setdefault(layer.name, _ChannelErrors())
            errors.add(reference, self._some(lanes.tensors[LOCAL]), axis, layer.clamp)
        if layer.clamp is not None and math.isfinite(layer.clamp[1]):
            counts = [torch.count_nonzero(part >= layer.clamp[1]) for (part,) in flat_chunks(dense(reference))]
            self._at_bound.setdefault(layer.name, _Share()).add(torch.stack(counts).sum(), reference.numel())

    def _some(self, x: Tensor) -> Tensor:
        return x if self._is_full else some_rows(x, VALUES_PER_IMAGE)

    def chunk(self, layer: Layer, lanes: Sequence[Tensor]) -> None:
        """Minimum and maximum, while the values are in the cache."""
        if lanes[REFERENCE].numel():
            self._ends.append(torch.aminmax(lanes[REFERENCE]))

    def closed(self, layer: Layer, lanes: Lanes) -> None:
        ends, self._ends = self._ends, []
        if lanes.reference.numel():
            observer = self._observers.setdefault(layer.name, TensorObserver(ObserverOptions(_SAMPLES_PER_IMAGE)))
            observer.update(lanes.reference, image_count=self.sample_count, ends=ends)

    def facts(self) -> dict[str, PassFacts]:
        """Layer name to its facts, for every layer that the pass met."""
        return {name: self._facts(name) for name in self._observers}

    def _facts(self, name: str) -> PassFacts:
        channels, share = self._channels.get(name), self._at_bound.get(name)
        return PassFacts(
            measured_range=self._observers[name].range(),
            mean_shift_fraction=channels.mean_shift_fraction() if channels is not None else math.nan,
            saturated_at_bound_fraction=share.value() if share is not None else math.nan,
            channel_sqnr_db_median=channels.sqnr_db_median() if channels is not None else math.nan,
            inputs=self._inputs.moments(name),
        )


class _ChannelErrors:
    """Sums per channel of an error and of the signal."""

    def __init__(self) -> None:
        self._sums: Tensor | None = None
        self._per_channel = 0

    def add(self, reference: Tensor, local: Tensor, axis: int, clamp: tuple[float, float] | None) -> None:
        """Values before the clamp; NaN and Inf count as no error. The signal and its error are taken after the clamp,
        the shift of the mean before it, where a bias acts."""
        tables = channel_table(reference, axis), channel_table(local, axis)
        new, checks = None, checks_at_the_end(reference)
        if checks is not None:
            new = _unread_sums(reference, local, axis, clamp)
            checks.add(new)
        elif tables[0] is not None and tables[1] is not None:
            new = torch.stack([_table_sums(r, x, clamp) for r, x in table_chunks(tables[0], tables[1])]).sum(0)
        if new is None or (checks is None and not bool(new.isfinite().all())):
            new = _all_sums(reference, local, axis, clamp)
        self._sums = new if self._sums is None else self._sums + new
        self._per_channel += reference.numel() // reference.shape[axis]

    def merge(self, later: "_ChannelErrors") -> None:
        """Adds what another one of the same layer added up."""
        if later._sums is not None:
            self._sums = later._sums if self._sums is None else self._sums + later._sums
            self._per_channel += later._per_channel

    def mean_shift_fraction(self) -> float:
        """Share of the power of the error that a constant per channel explains, 0 to 1; 0 without noise."""
        self._sums = self._sums.cpu() if self._sums is not None else None
        if self._sums is None or not float(self._sums[1].sum()) > 0.0:
            return 0.0
        shift, power = self._sums[0].square().sum() / self._per_channel, self._sums[1].sum()
        return min(1.0, float(shift / power))

    def sqnr_db_median(self) -> float:
        """Over channels that are not all zero; NaN when all are."""
        if self._sums is None:
            return math.nan
        noise, signal = self._sums[2].cpu(), self._sums[3].cpu()
        values = (10.0 * torch.log10(signal / noise))[signal > 0].tolist()
        return statistics.median(values) if values else math.nan


def _table_sums(reference: Tensor, local: Tensor, clamp: tuple[float, float] | None) -> Tensor:
    """The four sums of a piece of a table (rows, C) of finite values, (4, C)."""
    error = local - reference
    shift, power = column_sums(error), column_sums(error.square_())
    signal, noise = reference, power
    if clamp is not None:
        signal = reference.clamp(*clamp)
        noise = column_sums(torch.clamp(local, *clamp, out=error).sub_(signal).square_())
    return torch.stack([shift, power, noise, column_sums(torch.mul(signal, signal, out=error))])


def _unread_sums(reference: Tensor, local: Tensor, axis: int, clamp: tuple[float, float] | None) -> Tensor:
    """The same of finite values in any layout, added up in float32; some sum is not finite where a value is not."""
    others = [i for i in range(reference.ndim) if i != axis]
    error = local - reference
    rows = [error.sum(others), error.square_().sum(others)]
    if clamp is not None:
        reference = reference.clamp(*clamp)
        error = torch.clamp(local, *clamp, out=error).sub_(reference).square_()
    rows.append(error.sum(others) if clamp is not None else rows[1])
    rows.append(torch.mul(reference, reference, out=error).sum(others))
    return torch.stack(rows).double()


def _all_sums(reference: Tensor, local: Tensor, axis: int, clamp: tuple[float, float] | None) -> Tensor:
    """The same of a tensor in any layout, where NaN and Inf count as no error."""
    others = [i for i in range(reference.ndim) if i != axis]
    error = (local - reference).nan_to_num_(0.0, 0.0, 0.0)
    rows = [error.sum(others, dtype=torch.float64)]
    rows.append(error.square_().sum(others, dtype=torch.float64))
    if clamp is not None:
        reference = reference.clamp(*clamp)
        error = (local.clamp(*clamp) - reference).nan_to_num_(0.0, 0.0, 0.0).square_()
    rows.append(error.sum(others, dtype=torch.float64))
    rows.append(reference.nan_to_num(0.0, 0.0, 0.0).square_().sum(others, dtype=torch.float64))
    return torch.stack(rows)


class _Share:
    """Hits among values."""

    def __init__(self) -> None:
        self._hits: Tensor | int = 0
        self._count = 0

    def add(self, hits: Tensor | int, count: int) -> None:
        self._hits, self._count = self._hits + hits, self._count + count

    def merge(self, later: "_Share") -> None:
        """Adds the hits of another one."""
        self.add(later._hits, later._count)

    def value(self) -> float:
        return float(self._hits) / self._count if self._count else math.nan
