"""The result of `qdiag export`: what the file holds, and what its runtime makes of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from qdiag.core.causes.repair import RepairStep
from qdiag.core.measures.deployed.operations import RuntimeOperations
from qdiag.core.measures.measurement import SCHEMA_VERSION, CaptureInfo, DataInfo, ModelInfo, StageTime
from qdiag.core.measures.size import NetworkSize
from qdiag.core.scheme import QuantScheme

GraphOrigin = Literal["file", "captured"]


@dataclass(frozen=True, slots=True)
class ExportReport:
    """Everything that `qdiag export` prints.

    Attributes:
        format: of the file, such as `QDQ ONNX`.
        graph: the nodes of the model's own `file`, with quantizers put in, or those of the `captured` graph.
        why_captured: why it is not the graph of the file, where the model came in this format; None otherwise.
        size: of the network in float and under the plan.
        repairs: those that were asked for, in their order.
        integer_tensor_count: activations that the file holds as integers. integer_weight_count: the same of weights.
        float_layers: layers in float, and why.
        operations: of the runtime; None where it was not run: `unrun` says why.
        fallen_back: layers that the plan computes with integers, and the runtime in float although it has integer
            kernels for their kind.
        byte_count: of the file.
    """

    model: ModelInfo
    data: DataInfo
    scheme: QuantScheme
    capture: CaptureInfo
    format: str
    graph: GraphOrigin
    integer_tensor_count: int
    integer_weight_count: int
    byte_count: int
    why_captured: str | None = None
    size: NetworkSize | None = None
    repairs: tuple[RepairStep, ...] = ()
    float_layers: tuple[tuple[str, str], ...] = ()
    operations: RuntimeOperations | None = None
    unrun: str | None = None
    fallen_back: tuple[str, ...] = ()
    written_to: str | None = None
    stages: tuple[StageTime, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def exit_code(self) -> int:
        """1 where layers fell back to float that have integers in the plan."""
        return 1 if self.fallen_back else 0
