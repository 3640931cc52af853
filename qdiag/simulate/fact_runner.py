"""The paired pass, seen by a second pair of eyes: what detectors need to know beside the errors, at no extra pass."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.core.graph import Layer
from qdiag.core.ranges import TensorRange
from qdiag.numerics.observer import ObserverOptions, TensorObserver
from qdiag.plan import QuantPlan
from qdiag.simulate.calibrate import channel_axis
from qdiag.simulate.macs import mac_count
from qdiag.simulate.network import Network
from qdiag.simulate.paired import LayerProbe, PairedRunner
from qdiag.simulate.streams import Streams, first_float, pick

_SAMPLES_PER_IMAGE = 4096
"""Values per image behind the percentiles of a measured range; minimum and maximum see every one."""


@dataclass(frozen=True)
class PassFacts:
    """What the pass over the measured data showed at one layer's output; see `LayerFacts`."""

    measured_range: TensorRange | None
    mean_shift_fraction: float
    saturated_at_bound_fraction: float
    mac_count: int


class FactRunner(PairedRunner):
    """A `PairedRunner` that also keeps `PassFacts` of every layer.

    It looks at the streams on their way into a layer's site and out of it, so no operation runs again.
    """

    def __init__(self, network: Network, plans: Sequence[QuantPlan], probe: LayerProbe | None = None) -> None:
        super().__init__(network, plans, probe)
        self._observers: dict[str, TensorObserver] = {}
        self._shifts: dict[str, _MeanShift] = {}
        self._at_bound: dict[str, _Share] = {}
        self._macs: dict[str, int] = {}

    def compute(self, node: fx.Node, layer: Layer | None, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value = super().compute(node, layer, args, kwargs)
        if layer is not None and layer.policy == "compute" and layer.name not in self._macs:
            streams = first_float(value)
            output = streams.reference if streams is not None else value
            operands = [a for a in pick(args, lambda s: s.reference) if isinstance(a, Tensor)]
            if isinstance(output, Tensor):
                self._macs[layer.name] = mac_count(node, operands, output) // max(self.sample_count, 1)
        return value

    def close(self, layer: Layer, value: Any) -> Any:
        streams = first_float(value)
        if streams is not None:
            self._before(layer, streams)
        closed = super().close(layer, value)
        after = first_float(closed)
        if after is not None and after.reference.numel():
            observer = self._observers.setdefault(layer.name, TensorObserver(ObserverOptions(_SAMPLES_PER_IMAGE)))
            observer.update(after.reference, image_count=self.sample_count)
        return closed

    def _before(self, layer: Layer, streams: Streams) -> None:
        """The sums that only values before the clamp and the quantizer can give."""
        axis = channel_axis(layer, streams.reference)
        if layer.weight is not None and axis is not None:
            axis = streams.reference.ndim - 1 if layer.kind == "linear" else axis
            error = streams.local - streams.reference
            self._shifts.setdefault(layer.name, _MeanShift()).add(error, axis)
        if layer.clamp is not None and math.isfinite(layer.clamp[1]):
            at_bound = (streams.reference >= layer.clamp[1]).sum()
            self._at_bound.setdefault(layer.name, _Share()).add(at_bound, streams.reference.numel())

    def pass_facts(self) -> dict[str, PassFacts]:
        """Layer name to its facts, for the layers that `errors` names."""
        return {name: self._facts(name) for name in self.errors()}

    def _facts(self, name: str) -> PassFacts:
        observer, shift, share = self._observers.get(name), self._shifts.get(name), self._at_bound.get(name)
        return PassFacts(
            measured_range=observer.range() if observer is not None else None,
            mean_shift_fraction=shift.fraction() if shift is not None else math.nan,
            saturated_at_bound_fraction=share.value() if share is not None else math.nan,
            mac_count=self._macs.get(name, 0),
        )


class _MeanShift:
    """Share of the power of an error that a constant per channel explains."""

    def __init__(self) -> None:
        self._sums: Tensor | None = None
        self._power: Tensor | None = None
        self._per_channel = 0

    def add(self, error: Tensor, axis: int) -> None:
        """`error` is written to: NaN and Inf count as no error."""
        error = error.nan_to_num_(0.0, 0.0, 0.0)
        others = [i for i in range(error.ndim) if i != axis]
        sums = error.sum(others, dtype=torch.float64)
        power = error.square_().sum(dtype=torch.float64)
        self._sums = sums if self._sums is None else self._sums + sums
        self._power = power if self._power is None else self._power + power
        self._per_channel += error.numel() // error.shape[axis]

    def fraction(self) -> float:
        """0 to 1; 0 without noise."""
        if self._sums is None or self._power is None or not float(self._power) > 0.0:
            return 0.0
        return min(1.0, float(self._sums.square().sum()) / self._per_channel / float(self._power))


class _Share:
    """Hits among values."""

    def __init__(self) -> None:
        self._hits: Tensor | int = 0
        self._count = 0

    def add(self, hits: Tensor, count: int) -> None:
        self._hits, self._count = self._hits + hits, self._count + count

    def value(self) -> float:
        return float(self._hits) / self._count if self._count else math.nan
