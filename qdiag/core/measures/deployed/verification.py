"""The result of `qdiag verify`: a network in float, simulated, and deployed in its runtime, on the same samples."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from qdiag.core.measures.deployed.file import DeployedFile
from qdiag.core.measures.deployed.operations import RuntimeOperations
from qdiag.core.measures.measurement import (
    SCHEMA_VERSION,
    CaptureInfo,
    DataInfo,
    ModelInfo,
    OutputRecord,
    StageTime,
    lowest_sqnr_db,
)
from qdiag.core.measures.size import NetworkSize
from qdiag.core.measures.task import TaskResult
from qdiag.core.scheme import QuantScheme

BreachCode = Literal["differing", "sqnr_gap", "drop", "fallback"]


@dataclass(frozen=True, slots=True)
class LayerAgreement:
    """The integers of one layer, simulated and deployed.

    Attributes:
        layer: by its name in the network. tensor: by its name in the file.
        count: integers that were compared. differing_count: those that differ.
        largest_steps: largest difference. reason: why they may differ; None where they are the same by the rules.
        is_inherited: integers of a layer that it reads differ already.
    """

    layer: str
    tensor: str
    count: int
    differing_count: int
    largest_steps: int
    reason: str | None = None
    is_inherited: bool = False

    @property
    def differing_percent(self) -> float:
        return 100.0 * self.differing_count / self.count if self.count else math.nan


@dataclass(frozen=True, slots=True)
class UncomparedLayer:
    """A layer with integers in the plan whose integers were not compared, and why."""

    layer: str
    reason: str


@dataclass(frozen=True, slots=True)
class VerifyLimits:
    """What breaks the build.

    Attributes:
        differing_percent: share of all compared integers that may differ.
        sqnr_gap_db: by how much the output SQNR of the deployed network may lie below that of the simulated one.
        drop: loss of the deployed network against the float one, in the unit of change of what judges; None: any.
    """

    differing_percent: float = 1.0
    sqnr_gap_db: float = 1.0
    drop: float | None = None


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that is broken, or that cannot be judged, with NaN; for layers in float, how many there are, and 0."""

    code: BreachCode
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class Verification:
    """Everything that `qdiag verify` prints.

    Attributes:
        source: the file that was run; None for one that was exported for this run alone.
        operations: of the runtime. fallen_back: see `ExportReport`.
        layers: in graph order, whose integers were compared. uncompared: the others that the plan quantizes.
        simulated, deployed: errors at the outputs, against the float network.
        simulated_task, deployed_task: figures of both, each beside the float network's.
        sample_count: samples that were run. equal_count: those whose outputs are the same in both, but for the
            last digits of float32 (2^-20 of a value).
        size: of the network in float and under the plan.
        file: what was read from the file of `source`; None where a diagnosis holds it beside this.
        adds_pairs: the runtime adds products in pairs of int16 on this processor, see `QuantScheme.pair_saturation`.
    """

    model: ModelInfo
    data: DataInfo
    scheme: QuantScheme
    capture: CaptureInfo
    source: str | None
    limits: VerifyLimits
    operations: RuntimeOperations
    fallen_back: tuple[str, ...]
    layers: tuple[LayerAgreement, ...]
    uncompared: tuple[UncomparedLayer, ...]
    simulated: tuple[OutputRecord, ...]
    deployed: tuple[OutputRecord, ...]
    simulated_task: TaskResult
    deployed_task: TaskResult
    sample_count: int
    equal_count: int
    size: NetworkSize | None = None
    file: DeployedFile | None = None
    adds_pairs: bool = False
    stages: tuple[StageTime, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def count(self) -> int:
        """Integers that were compared."""
        return sum(layer.count for layer in self.layers)

    @property
    def differing_count(self) -> int:
        return sum(layer.differing_count for layer in self.layers)

    @property
    def differing_percent(self) -> float:
        """Of all compared integers; NaN where none were."""
        return 100.0 * self.differing_count / self.count if self.count else math.nan

    @property
    def sqnr_gap_db(self) -> float:
        """How far the output SQNR of the deployed network lies below that of the simulated one; of the worst output."""
        simulated, deployed = self.simulated_sqnr_db, self.deployed_sqnr_db
        is_same = simulated == deployed or (math.isnan(simulated) and math.isnan(deployed))
        return 0.0 if is_same else simulated - deployed

    @property
    def simulated_sqnr_db(self) -> float:
        """At the output that lost most."""
        return lowest_sqnr_db(self.simulated, self.simulated_task)

    @property
    def deployed_sqnr_db(self) -> float:
        """At the output that lost most."""
        return lowest_sqnr_db(self.deployed, self.deployed_task)

    @property
    def breaches(self) -> tuple[Breach, ...]:
        """The limits that are broken."""
        found = []
        if not self.differing_percent <= self.limits.differing_percent and self.count:
            found.append(Breach("differing", self.differing_percent, self.limits.differing_percent))
        if not self.sqnr_gap_db <= self.limits.sqnr_gap_db:
            found.append(Breach("sqnr_gap", self.sqnr_gap_db, self.limits.sqnr_gap_db))
        judged = self.deployed_task.judged
        loss = judged.loss if judged is not None else math.nan
        if self.limits.drop is not None and not loss <= self.limits.drop:
            found.append(Breach("drop", loss, self.limits.drop))
        if self.fallen_back:
            found.append(Breach("fallback", float(len(self.fallen_back)), 0.0))
        return tuple(found)

    @property
    def exit_code(self) -> int:
        """1 where a limit is broken."""
        return 1 if self.breaches else 0
