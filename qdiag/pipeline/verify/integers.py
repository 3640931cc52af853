"""The integers of every layer, simulated and deployed, compared batch by batch."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qdiag.core.graph import Layer
from qdiag.core.measures.deployed.verification import LayerAgreement, UncomparedLayer
from qdiag.numerics.quantizers.affine import Affine
from qdiag.pipeline.verify.deployed_run import joined
from qdiag.runtimes.base import Array, DeployedNetwork, IntegerTensor
from qdiag.simulate.case import Case
from qdiag.simulate.passes.lanes import Lanes
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.runtime_differences import runtime_differences

_UINT8_SHIFT = 128
NO_INTEGERS = "its numbers are no integers at one scale"
NOT_IN_FILE = "the file holds no integers of it"
OTHER_NUMBERS = "the file has another scale or zero point there"
READS_OTHERWISE = "it gets its input in float or through another quantizer, which is not simulated:"
QUANTIZED_BY_RUNTIME = "the runtime quantizes its float weight itself, per tensor"
OTHER_SHAPE = "the file has another number of integers there"


@dataclass
class _Counts:
    count: int = 0
    differing: int = 0
    largest: int = 0


class IntegerComparison(LayerObserver):
    """Keeps the integers of one batch, and adds up how they differ from those of the runtime.

    Args:
        names: by layer, the integer tensor of the file.
        lane: of the simulated network.
        uneven: layers whose output the file gives to its readers in different ways.
        floating: by layer, the operator with which the runtime computes it in float.
        quantized_by_runtime: layers in float in the file, and with integers in the runtime.
    """

    def __init__(
        self,
        case: Case,
        names: Mapping[str, str],
        deployed: DeployedNetwork,
        lane: int,
        uneven: Collection[str] = (),
        floating: Mapping[str, str] | None = None,
        quantized_by_runtime: Collection[str] = (),
    ) -> None:
        self._case, self._lane, self._uneven = case, lane, frozenset(uneven)
        self._reasons, self._floating = dict(runtime_differences(case)), floating or {}
        self._reasons.update(dict.fromkeys(quantized_by_runtime, QUANTIZED_BY_RUNTIME))
        self._seen: dict[str, Array] = {}
        self._counts: dict[str, _Counts] = {}
        self._uncompared: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self._shifts: dict[str, int] = {}
        for layer in case.network.graph.layers:
            quantizer = case.plan.layers[layer.name].output
            if quantizer is None:
                continue
            tensor = deployed.tensors.get(names.get(layer.name, ""))
            if not isinstance(quantizer, Affine):
                self._uncompared[layer.name] = NO_INTEGERS
            elif tensor is None:
                self._uncompared[layer.name] = NOT_IN_FILE
            elif (shift := _shift(tensor, quantizer)) is None:
                self._uncompared[layer.name] = OTHER_NUMBERS
            else:
                self.names[layer.name], self._shifts[layer.name] = tensor.name, shift

    def closed(self, layer: Layer, lanes: Lanes) -> None:
        """Keeps the integers of the simulated network."""
        quantizer = self._case.plan.layers[layer.name].output
        if layer.name in self.names and isinstance(quantizer, Affine):
            self._seen[layer.name] = quantizer.quantize(lanes.tensors[self._lane]).cpu().numpy()

    def compare(self, integers: Mapping[str, Sequence[Array]]) -> None:
        """Adds one batch: the integers of the runtime, by their names in the file, of each of its runs."""
        for layer, simulated in self._seen.items():
            parts = integers[self.names[layer]]
            deployed = joined(parts, simulated.shape)
            if deployed.size != simulated.size:
                simulated = _first_of_each_axis(simulated, deployed.shape)
            if deployed.size != simulated.size:
                self._uncompared[layer] = OTHER_SHAPE
                continue
            shift = self._shifts[layer]
            steps = _steps_between(deployed, simulated, shift)
            if steps.any() and len(parts) > 1 and parts[0].shape[0] > 1:
                # rows of a sample may be next to each other, or those of all samples: shapes do not tell
                between = _steps_between(np.stack(parts, 1), simulated, shift)
                steps = min(steps, between, key=np.count_nonzero)
            counts = self._counts.setdefault(layer, _Counts())
            counts.count += int(steps.size)
            counts.differing += int(np.count_nonzero(steps))
            counts.largest = max(counts.largest, int(steps.max(initial=0)))
        self._seen.clear()

    def agreements(self) -> tuple[LayerAgreement, ...]:
        """In graph order."""
        found, differ = [], set[str]()
        for layer in self._case.network.graph.layers:
            counts = self._counts.get(layer.name)
            is_compared = counts is not None and layer.name not in self._uncompared
            is_inherited = any(name in differ for name in layer.inputs)
            if (counts is not None and counts.differing) or (not is_compared and is_inherited):
                differ.add(layer.name)
            if counts is not None and is_compared:
                numbers = (counts.count, counts.differing, counts.largest)
                reason = self._reason(layer)
                if reason is None and counts.differing and not is_inherited:
                    reason = self._of_runtime(layer)
                found.append(LayerAgreement(layer.name, self.names[layer.name], *numbers, reason, is_inherited))
        return tuple(found)

    def _reason(self, layer: Layer) -> str | None:
        """Why its integers may differ, even where those that it reads are the same."""
        uneven = [name for name in layer.inputs if name in self._uneven]
        if uneven:
            return f"{READS_OTHERWISE} {uneven[0]}"
        return self._reasons.get(layer.name)

    def _of_runtime(self, layer: Layer) -> str | None:
        """That the runtime has it in float, though there is a kernel of integers whose rule is simulated."""
        operator = self._floating.get(layer.name)
        if operator is None:
            return None
        return f"the runtime computes {operator} in float, and the simulation follows a kernel of integers"

    def uncompared(self) -> tuple[UncomparedLayer, ...]:
        """The others that have a quantizer."""
        return tuple(UncomparedLayer(layer, reason) for layer, reason in self._uncompared.items())


def _steps_between(deployed: Array, simulated: Array, shift: int) -> Array:
    found: Array = np.abs(deployed.astype(np.int32).reshape(simulated.shape) + shift - simulated)
    return found


def _first_of_each_axis(values: Array, shape: tuple[int, ...]) -> Array:
    """What of a layer goes on where the last values of an axis are left out; as it is where the shape is no part of it.

    So are images resized whose coordinates begin at the edges: with one more row and column, which are cut off.
    """
    is_part = len(shape) == values.ndim and all(one <= own for one, own in zip(shape, values.shape, strict=True))
    return values[tuple(map(slice, shape))] if is_part else values


def _shift(tensor: IntegerTensor, quantizer: Affine) -> int | None:
    """What makes integers of the file those of the plan: 0, or 128 where uint8 is stored as int8.

    None where the file has other numbers.
    """
    scale, zero_point = quantizer.scale.cpu().numpy(), quantizer.zero_point.cpu().numpy()
    if not _equal(tensor.scale, scale):
        return None
    shifts = (0, _UINT8_SHIFT) if tensor.dtype == np.int8 and quantizer.quant_min >= 0 else (0,)
    return next((shift for shift in shifts if _equal(tensor.zero_point + shift, zero_point)), None)


def _equal(one: Any, other: Any) -> bool:
    return one.size == other.size and bool(np.array_equal(one.reshape(-1), other.reshape(-1)))
