"""The result of `qdiag export --for`: what another quantizer is told."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from qdiag.core.causes.repair import RepairStep
from qdiag.core.measures.measurement import SCHEMA_VERSION, CaptureInfo, DataInfo, ModelInfo, StageTime
from qdiag.core.scheme import QuantScheme


@dataclass(frozen=True, slots=True)
class SettingsReport:
    """Everything that `qdiag export --for` prints.

    Attributes:
        tool: the quantizer. in_float: what it leaves in float, by the names that the file gives. range_count:
            activations whose ranges the file gives.
        has_file_names: the names are those of the model's own file.
        repairs: those that were asked for, in their order.
        not_told: repairs that were made, and that the settings cannot hold.
    """

    model: ModelInfo
    data: DataInfo
    scheme: QuantScheme
    capture: CaptureInfo
    tool: str
    in_float: tuple[str, ...]
    range_count: int
    has_file_names: bool
    repairs: tuple[RepairStep, ...] = ()
    not_told: tuple[str, ...] = ()
    written_to: str | None = None
    stages: tuple[StageTime, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
