"""The result of `qdiag check`."""

from dataclasses import dataclass, field

from qdiag.core.measures.float_ops import FloatOp, FloatShare
from qdiag.core.measures.measurement import SCHEMA_VERSION, CaptureInfo, ModelInfo, StageTime
from qdiag.core.measures.size import NetworkSize
from qdiag.core.measures.task import Criterion, TaskChoice
from qdiag.core.scheme import QuantScheme


@dataclass(frozen=True, slots=True)
class TensorForm:
    """An input or an output of a network: its name, its shape without the axis that counts samples, its type."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class OperationCount:
    """Layers that begin with one operation.

    Attributes:
        op: ATen name. kind: `conv`, `depthwise_conv`, `linear`, `add`, ... (see `qdiag.capture.ops`).
        layer_count: how many there are. quantized_count: how many of them the scheme quantizes.
        fused: operations that hardware runs with them, folded BatchNorms included, in the order of their number.
        mac_fraction, weight_fraction: share of all multiplications and of all weights of layers, 0 to 1.
    """

    op: str
    kind: str
    layer_count: int
    quantized_count: int
    fused: tuple[str, ...]
    mac_fraction: float
    weight_fraction: float


@dataclass(frozen=True, slots=True)
class ModelCheck:
    """Everything `qdiag check` prints: what qdiag makes of a model before it sees any data.

    Attributes:
        inputs_from: where the inputs came from that the network was run on, in words.
        operations: in the order in which the network first has them.
        float_ops, float_share: what stays in float although the scheme quantizes, and why.
        choice: the task that is assumed while nobody gives labels; criterion: the figure that it is judged by then;
            None where that is the SQNR of the outputs.
        mac_count: multiplications for one sample.
    """

    model: ModelInfo
    scheme: QuantScheme
    capture: CaptureInfo
    inputs: tuple[TensorForm, ...]
    inputs_from: str
    outputs: tuple[TensorForm, ...]
    operations: tuple[OperationCount, ...]
    float_ops: tuple[FloatOp, ...]
    float_share: FloatShare
    choice: TaskChoice
    criterion: Criterion | None
    mac_count: int
    size: NetworkSize | None = None
    stages: tuple[StageTime, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def layer_count(self) -> int:
        return sum(operation.layer_count for operation in self.operations)

    @property
    def quantized_count(self) -> int:
        return sum(operation.quantized_count for operation in self.operations)
