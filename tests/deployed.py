"""A network of the tests as an integer file, run beside its simulation."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from qdiag.batches import Batch
from qdiag.core.graph import Layer
from qdiag.core.scheme import QuantScheme
from qdiag.exporters.onnx.write import QdqFile, write_qdq
from qdiag.runtimes.onnxruntime import OnnxruntimeNetwork
from qdiag.simulate.case import Case
from qdiag.simulate.passes.lanes import SIMULATED
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from tests.cases import open_test_case


@dataclass(frozen=True)
class Exported:
    """A case, its file, and the integers of both.

    Attributes:
        simulated: integers of every layer with a quantizer, as the simulation has them.
    """

    case: Case
    batch: Batch
    file: QdqFile
    simulated: dict[str, Any]

    def inputs(self) -> dict[str, Any]:
        values = self.case.network.program.flatten_inputs(self.batch.args, self.batch.kwargs)
        return {name: value.numpy() for name, value in values.items()}

    def integers(self, *, is_optimized: bool = True) -> dict[str, Any]:
        """Of every layer with a quantizer, as onnxruntime has them; constants are left out."""
        network = OnnxruntimeNetwork(self.file.content, is_optimized=is_optimized)
        names = {layer: name for layer, name in self.file.integers.items() if name in network.tensors}
        found = network.run(self.inputs(), list(names.values())).integers
        return {layer: found[name] for layer, name in names.items()}

    def differing(self, *, is_optimized: bool = True) -> tuple[float, int]:
        """Share of integers that differ from the simulation, and the largest difference in steps."""
        share, most, count = 0, 0, 0
        for layer, integers in self.integers(is_optimized=is_optimized).items():
            assert integers.shape == self.simulated[layer].shape, layer
            steps = np.abs(integers.astype(int) - self.simulated[layer].astype(int))
            share, most, count = share + int((steps > 0).sum()), max(most, int(steps.max())), count + steps.size
        return share / count, most


class _Integers(LayerObserver):
    def __init__(self, case: Case) -> None:
        self._case = case
        self.found: dict[str, Any] = {}

    def closed(self, layer: Layer, value: Any) -> None:
        quantizer: Any = self._case.plan.layers[layer.name].output
        if quantizer is not None:
            self.found[layer.name] = quantizer.quantize(value.tensors[SIMULATED]).numpy()


def export(model: nn.Module, inputs: Any, scheme: QuantScheme | str = "int8") -> Exported:
    """The network of the tests as a file, simulated on the inputs that it was calibrated on."""
    case = open_test_case(model, [Batch(*inputs)], scheme)
    batch = next(iter(case.measured))
    observer = _Integers(case)
    LaneRunner(paired_lanes(case.network, case.plan), [observer]).run_batch(batch)
    return Exported(case, batch, write_qdq(case.network, case.plan, batch), observer.found)
