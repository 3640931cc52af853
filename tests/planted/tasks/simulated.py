"""What a planted network gives in float and under its scheme, without any of the program's own judgement."""

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from qdiag.batches import Batch
from qdiag.config import load_preset
from qdiag.core.progress import NoProgress
from qdiag.core.scheme import LayerOverride, TensorChange
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.lanes import SIMULATED
from qdiag.simulate.passes.paired import paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.surroundings import engine_arithmetic
from tests.cases import open_test_case
from tests.planted.tasks.metrics import Floats
from tests.planted.tasks.registry import TASK_NETWORKS


@dataclass
class _Kept:
    reference: list[tuple[Tensor, ...]] = field(default_factory=list)
    simulated: list[tuple[Tensor, ...]] = field(default_factory=list)

    def add(self, batch: Batch, *, reference: tuple[Any, ...], simulated: tuple[Any, ...]) -> None:
        del batch
        self.reference.append(tuple(x.clone() for x in reference))
        self.simulated.append(tuple(x.clone() for x in simulated))


@dataclass(frozen=True)
class Simulated:
    """The outputs on all measured samples, each (N, ...), and their scores by the metric of the task, (N,)."""

    reference: tuple[Tensor, ...]
    simulated: tuple[Tensor, ...]
    reference_scores: Floats
    simulated_scores: Floats

    @property
    def drop(self) -> float:
        return float(self.reference_scores.mean() - self.simulated_scores.mean())

    def sqnr_db(self, index: int = 0) -> float:
        """Of one output as a whole."""
        reference, simulated = self.reference[index].double(), self.simulated[index].double()
        ratio = reference.square().sum() / (simulated - reference).square().sum()
        return float(10.0 * ratio.log10())


@cache
def simulate(name: str, wide_layers: tuple[str, ...] = ()) -> Simulated:
    """A planted network under its scheme, with 16 bits for the activations of some layers, given as patterns."""
    network = TASK_NETWORKS[name]
    data = network.data()
    wide = tuple(LayerOverride(pattern, activations=TensorChange(bits=16)) for pattern in wide_layers)
    scheme = replace(load_preset(network.scheme), layers=wide)
    calibration, measured = (part.batches(labelled=False) for part in (data.calibration, data.measured))
    case = open_test_case(network.build(), calibration, scheme, measured=measured)
    kept = _Kept()
    with engine_arithmetic():
        runner = LaneRunner(paired_lanes(case.network, case.plan))
        run_batches(runner, case.measured, NoProgress(), stage="simulate", sinks={SIMULATED: [kept]})
    reference, simulated = (
        tuple(torch.cat(column) for column in zip(*parts, strict=True)) for parts in (kept.reference, kept.simulated)
    )
    scores = [
        network.metric(outputs[0] if len(outputs) == 1 else outputs, data.measured.targets)
        for outputs in (reference, simulated)
    ]
    return Simulated(reference, simulated, *scores)
