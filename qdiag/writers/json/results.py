"""The results of commands as JSON: of all but those that give a diagnosis, a measurement or the result of a gate."""

from collections.abc import Sequence

from qdiag.core.causes.repair import ModelRepair
from qdiag.core.causes.training import ModelTraining
from qdiag.core.compare import Comparison, LayerChange
from qdiag.core.measures.bn import BatchNormAudit
from qdiag.core.measures.branches import (
    Activations,
    BetaDistance,
    BranchBlock,
    BranchesReport,
    Condition,
    NormFigures,
)
from qdiag.core.measures.deployed.export import ExportReport
from qdiag.core.measures.deployed.operations import RuntimeOperations
from qdiag.core.measures.deployed.settings import SettingsReport
from qdiag.core.measures.deployed.verification import LayerAgreement, Verification
from qdiag.core.measures.folding import BatchNormFold, ClampSite, FoldReport
from qdiag.core.measures.operations.model_check import ModelCheck
from qdiag.core.measures.sensitivity import Sensitivity
from qdiag.core.measures.task_change import ValueChange
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.core.reproductions.expectations import Judged
from qdiag.core.reproductions.reproduction import Cell, Reproduction
from qdiag.writers.json.diagnosis import DIAGNOSIS_DERIVED
from qdiag.writers.plain_json import dump, to_plain

Result = (
    RangeReport
    | BatchNormAudit
    | ModelRepair
    | ModelTraining
    | Sensitivity
    | Comparison
    | BranchesReport
    | FoldReport
    | ModelCheck
    | Reproduction
    | ExportReport
    | Verification
    | SettingsReport
)

_DERIVED: dict[type, Sequence[str]] = {
    **DIAGNOSIS_DERIVED,
    LayerChange: ("local_change_db", "propagated_change_db", "verdict"),
    ValueChange: ("change", "verdict"),
    NormFigures: ("gain_max_abs", "gain_range", "gain_std", "widest_channel"),
    Activations: ("variance_mean",),
    BetaDistance: ("is_aligned",),
    Condition: ("holds",),
    BranchBlock: ("variance_inflation",),
    BatchNormFold: ("label", "is_folded"),
    ClampSite: ("step_over_shared",),
    FoldReport: ("max_abs_delta", "relative_delta"),
    Judged: ("mean",),
    ModelCheck: ("layer_count", "quantized_count"),
    Cell: ("mean", "spread"),
    Reproduction: ("cells",),
    RuntimeOperations: ("integer_count",),
    LayerAgreement: ("differing_percent",),
    Verification: (
        *("count", "differing_count", "differing_percent", "simulated_sqnr_db", "deployed_sqnr_db", "sqnr_gap_db"),
        *("breaches", "exit_code"),
    ),
}


def result_to_json(result: Result) -> str:
    """The result, field by field, derived figures beside them; equal results give equal bytes.

    Infinite and undefined values are written as the strings "Infinity", "-Infinity" and "NaN". Two runs on the same
    files differ in their `stages` alone, which are wall times.
    """
    return dump(to_plain(result, _DERIVED)) + "\n"
