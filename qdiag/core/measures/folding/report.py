"""The result of `qdiag fold`."""

from dataclasses import dataclass, field

from qdiag.core.measures.folding.batchnorm import BatchNormFold
from qdiag.core.measures.folding.clamp import ClampExample, ClampSite
from qdiag.core.measures.measurement import SCHEMA_VERSION, CaptureInfo, DataInfo, ModelInfo, StageTime
from qdiag.core.measures.size import NetworkSize
from qdiag.core.scheme import QuantScheme


@dataclass(frozen=True, slots=True)
class OutputDelta:
    """How far folding moves one float output of the network.

    Attributes:
        max_abs_delta: largest |difference| over the measured samples, where the output is finite.
        relative_delta: the same over the largest |output|.
    """

    name: str
    max_abs_delta: float
    relative_delta: float


@dataclass(frozen=True, slots=True)
class FoldReport:
    """Everything that `qdiag fold` prints.

    Attributes:
        scheme: decides which quantizers there are. Where it leaves BatchNorms as they are, clamps are those of the
            network that is not folded.
        batchnorms: one per call, in graph order.
        outputs: of the float network, folded against not folded.
        clamps: in graph order.
        size: of the network under the scheme.
        written_to: the file with the folded network; None where none was asked for.
    """

    model: ModelInfo
    data: DataInfo
    capture: CaptureInfo
    scheme: QuantScheme
    batchnorms: tuple[BatchNormFold, ...]
    outputs: tuple[OutputDelta, ...]
    clamps: tuple[ClampSite, ...]
    example: ClampExample
    notes: tuple[str, ...] = ()
    written_to: str | None = None
    size: NetworkSize | None = None
    stages: tuple[StageTime, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def folded(self) -> tuple[BatchNormFold, ...]:
        return tuple(norm for norm in self.batchnorms if norm.is_folded)

    @property
    def kept(self) -> tuple[BatchNormFold, ...]:
        return tuple(norm for norm in self.batchnorms if not norm.is_folded)

    @property
    def max_abs_delta(self) -> float:
        """Over all outputs."""
        return max((output.max_abs_delta for output in self.outputs), default=0.0)

    @property
    def relative_delta(self) -> float:
        """That of the output which moves most, in units of its largest |value|."""
        return max((output.relative_delta for output in self.outputs), default=0.0)
