"""Hand-made results of gates, for the tests of what writes them."""

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.gate import GateResult
from qdiag.core.thresholds import Allowance, Limit, Thresholds
from qdiag.gate.baseline import make_baseline
from qdiag.gate.evidence import GateEvidence
from qdiag.gate.judge import judge
from qdiag.reading.words.commands.repairing import commands
from tests.diagnoses import awkward_diagnosis, diagnosis, healthy_diagnosis, repaired_diagnosis
from tests.other_tasks import judged_by_error

EVERYTHING = Thresholds(
    max_drop_pp=Limit(1.0, 0.5),
    max_relative_drop_percent=Limit(2.0),
    min_accuracy_percent=Limit(70.0),
    max_flips_percent=Limit(5.0),
    min_sqnr_db=Limit(20.0, 30.0),
    min_layer_sqnr_db=Limit(10.0, 33.0),
    allow=(Allowance("blocks.2.*", 5.0),),
    tolerance_pp=Limit(0.5),
    tolerance_db=Limit(3.0),
    no_new_causes="fail",
    forbid=("QD301", "QD201", "QD901"),
    warn_codes=("QD202",),
)


def evidence(of: Diagnosis) -> GateEvidence:
    return GateEvidence("reports/run1/diagnosis.json", of.measurement, of.ranking, commands(of))


def failed() -> GateResult:
    """The broken network against the healthy one as baseline."""
    return judge(evidence(diagnosis()), EVERYTHING, make_baseline(evidence(healthy_diagnosis())))


def undecided() -> GateResult:
    """The repaired network, on too few samples."""
    return judge(
        evidence(repaired_diagnosis()), Thresholds(Limit(1.0), Limit(2.0), forbid=("QD201",), allow_few_samples=True)
    )


def passed() -> GateResult:
    return judge(evidence(healthy_diagnosis()), EVERYTHING, make_baseline(evidence(healthy_diagnosis())))


def unjudged() -> GateResult:
    """NaN, Inf, and names that need escaping."""
    return judge(evidence(awkward_diagnosis()), EVERYTHING, None)


def depth_error() -> GateResult:
    """Another task: an error in metres, with a baseline, and a limit that leaves out what judges."""
    worse, better = (judged_by_error(of) for of in (diagnosis(), repaired_diagnosis()))
    thresholds = Thresholds(
        max_drop_pp=Limit(1.0),
        min_sqnr_db=Limit(1.0),
        max_metric_drop=Limit(0.05, 0.02),
        max_metric=Limit(0.95),
        min_metric=Limit(0.95),
        tolerance_metric=Limit(0.01),
    )
    return judge(evidence(worse), thresholds, make_baseline(evidence(better)))


def overlooked() -> GateResult:
    """It passes, and no limit looks at the figure that judges."""
    return judge(evidence(judged_by_error(diagnosis())), Thresholds(min_sqnr_db=Limit(1.0)))


ALL = (failed, undecided, passed, unjudged, depth_error, overlooked)
