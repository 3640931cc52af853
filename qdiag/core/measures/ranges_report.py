"""The result of `qdiag ranges`: where the values of every weight and layer output lie."""

from dataclasses import dataclass, field

from qdiag.core.measures.measurement import SCHEMA_VERSION, CaptureInfo, DataInfo, ModelInfo, StageTime
from qdiag.core.measures.ranges import RangeRecord


@dataclass(frozen=True, slots=True)
class RangeReport:
    """Ranges in graph order, a layer's weight before its output, with where they come from.

    Attributes:
        data: `measured_count` counts the samples whose activations were observed.
    """

    model: ModelInfo
    data: DataInfo
    capture: CaptureInfo
    records: tuple[RangeRecord, ...]
    versions: dict[str, str] = field(default_factory=dict)
    stages: tuple[StageTime, ...] = ()
    schema_version: int = SCHEMA_VERSION
