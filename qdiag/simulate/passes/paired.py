"""The paired pass: the float network, every layer alone, and the quantized network, side by side, once."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.distributed.collector import add_by_name, merge_by_name
from qdiag.numerics.error_accumulator import ErrorAccumulator
from qdiag.numerics.quantizers.base import Clamp
from qdiag.numerics.waiting import waits
from qdiag.plan import QuantPlan
from qdiag.simulate.passes.lanes import LOCAL, REFERENCE, SIMULATED, Lane, Lanes
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.observer import LayerObserver

_ANY: Clamp = (-math.inf, math.inf)


def paired_lanes(network: Network, plan: QuantPlan, at: Collection[str] | None = None) -> list[Lane]:
    """`REFERENCE`, `LOCAL` and `SIMULATED` of one plan.

    Args:
        at: names of the layers that are computed by themselves; None computes all.
    """
    return [Lane(network), Lane(network, plan, is_local=True, at=at), Lane(network, plan)]


@dataclass(frozen=True)
class LayerErrors:
    """What the pass measured at one layer's output; `output_shape` without the batch axis."""

    local: ErrorSums
    propagated: ErrorSums
    clipped_count: int
    output_shape: tuple[int, ...]


class ErrorObserver(LayerObserver):
    """Adds up the errors of the paired pass at every layer's output, and what the plan's quantizers clip there."""

    carried = ("_errors", "_clipped", "_shapes")

    def __init__(self, plan: QuantPlan) -> None:
        self._quantizers = {name: layer.output for name, layer in plan.layers.items()}
        self._errors: dict[str, ErrorAccumulator] = {}
        self._clipped: dict[str, float | Tensor] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def chunk(self, layer: Layer, lanes: Sequence[Tensor]) -> None:
        reference = lanes[REFERENCE]
        errors = self._errors.setdefault(layer.name, ErrorAccumulator(2))
        # one after the other, while what was just closed is in the cache
        errors.add_chunk(reference=reference, simulated=(lanes[lane] for lane in (LOCAL, SIMULATED)))
        quantizer = self._quantizers[layer.name]
        if quantizer is not None and not _holds(quantizer.clip_bounds, layer.clamp):
            clipped = _clipped(reference, *quantizer.clip_bounds, layer.clamp or _ANY)
            self._clipped[layer.name] = self._clipped.get(layer.name, 0.0) + clipped

    def merge(self, later: "ErrorObserver") -> None:
        """See `Collector`."""
        merge_by_name(self._errors, later._errors)
        add_by_name(self._clipped, later._clipped)
        self._shapes |= later._shapes

    def closed(self, layer: Layer, lanes: Lanes) -> None:
        self._shapes[layer.name] = tuple(lanes.reference.shape[1:])

    def errors(self) -> dict[str, LayerErrors]:
        """Layer name to its errors; layers that never made a float value are absent."""
        found = {}
        for name, errors in self._errors.items():
            local, propagated = errors.sums()
            if local.count or local.reference_nonfinite_count or local.simulated_nonfinite_count:
                clipped = int(self._clipped.get(name, 0.0))
                found[name] = LayerErrors(local, propagated, clipped, self._shapes[name])
        return found


def _holds(bounds: Clamp, clamp: Clamp | None) -> bool:
    """What is clamped cannot leave the bounds of the quantizer."""
    return clamp is not None and bounds[0] <= clamp[0] and clamp[1] <= bounds[1]


def _clipped(reference: Tensor, low: float, high: float, clamp: Clamp) -> float | Tensor:
    """How many values a quantizer clips rather than rounds, of clamped ones; on a GPU the count stays there."""
    if not waits(reference):
        # the common case costs one read, of what the clamp leaves open; NaN compares false and is counted by the sums
        if low <= clamp[0]:
            is_held = not float(reference.amax()) > high
        else:
            smallest, largest = torch.aminmax(reference)
            is_held = not (float(smallest) < low or float(largest) > high)
        if is_held:
            return 0.0
        return float(((reference < low) | (reference > high)).sum())
    return ((reference < low) | (reference > high)).sum()
