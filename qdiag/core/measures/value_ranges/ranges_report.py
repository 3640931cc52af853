"""The result of `qdiag ranges`: where the values of every weight and layer output lie."""

from dataclasses import dataclass, field

from qdiag.core.measures.measurement import SCHEMA_VERSION, CaptureInfo, DataInfo, ModelInfo, StageTime
from qdiag.core.measures.size import NetworkSize
from qdiag.core.measures.value_ranges.range_record import RangeRecord
from qdiag.core.presentation.presented import Presented
from qdiag.core.scheme import QuantScheme


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class RangeReport(Presented):
    """Ranges in graph order, a layer's weight before its output, with where they come from.

    Attributes:
        data: `measured_count` counts the samples whose activations were observed.
        size: of the float network, and of the one that `size_scheme` makes of it; None where that gives no scale.
        scheme: the one that was asked for, whose quantizers the records have; None where none was.
    """

    model: ModelInfo
    data: DataInfo
    capture: CaptureInfo
    records: tuple[RangeRecord, ...]
    versions: dict[str, str] = field(default_factory=dict)
    stages: tuple[StageTime, ...] = ()
    size: NetworkSize | None = None
    size_scheme: str = ""
    scheme: QuantScheme | None = None
    schema_version: int = SCHEMA_VERSION
