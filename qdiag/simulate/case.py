"""A network under treatment: weights, scheme and quantizers that belong together."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from qdiag.batches import Batches
from qdiag.capture.program import Program
from qdiag.core.scheme import QuantScheme
from qdiag.plan import QuantPlan, StoredLayer
from qdiag.simulate.calibrate import Observation
from qdiag.simulate.passes.network import Network
from qdiag.simulate.passes.spread import some_of
from qdiag.simulate.task.tasks import Tasks

Clamp = tuple[float, float]
SHOWN_SAMPLES = 64
"""Samples behind other widths, which no verdict depends on."""


@dataclass(frozen=True)
class Case:
    """One network under one plan, with all that is needed to change either.

    Attributes:
        program: as captured, BatchNorm not folded, the weights of this case; on the CPU.
        network: folded as the scheme says, grouped into layers, on the device, the weights of this case.
        origin: the untreated float network with the same graph: what this case is measured against.
        plan: the quantizers, `plan_edits` included.
        observations: what was seen on the calibration data, as closely as the scheme's calibrators need.
        calibration: the data it was seen on. measured: the data that is measured on.
        tasks: what the network is judged by.
        clamps: bounds in place of those that the network has, by layer.
        plan_edits: fields of `LayerPlan` that override what the scheme gives, by layer.
        stored: what a quantized file has for each layer, where the case is that of such a file.
    """

    program: Program
    network: Network
    origin: Network
    scheme: QuantScheme
    plan: QuantPlan
    observations: Mapping[str, Observation]
    calibration: Batches
    measured: Batches
    tasks: Tasks = field(default_factory=Tasks)
    clamps: Mapping[str, Clamp] = field(default_factory=dict)
    plan_edits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stored: Mapping[str, StoredLayer] = field(default_factory=dict)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers of the captured program by their names in the original model; not to be written to."""
        names = self.program.parameter_names
        return {names[key]: value for key, value in self.program.constants.items() if key in names}


def on_some(case: Case, samples: int) -> Case:
    """The case to be measured on as few batches as hold so many samples; as it is where these are all."""
    some = some_of(case.measured, samples)
    return case if some is case.measured else replace(case, measured=some)
