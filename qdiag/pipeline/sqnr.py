"""`qdiag sqnr`: where a quantized network loses its signal, layer by layer."""

from qdiag.batches import Datasets
from qdiag.core.measures.measurement import Measurement
from qdiag.core.progress import NoProgress, Progress
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError
from qdiag.pipeline.begin import begin, measurement_of, score_pass
from qdiag.pipeline.facts import Stopwatch, engine_arithmetic
from qdiag.pipeline.inputs import naming
from qdiag.pipeline.op_records import op_records
from qdiag.simulate.passes.paired import ErrorObserver
from qdiag.simulate.sweeps.losses import LossObserver
from qdiag.subject import Subject


def measure_subject(
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    *,
    device: str = "cpu",
    metric: object | None = None,
    with_losses: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Measurement:
    """Captures, folds, calibrates on one pass and simulates on another; the subject is left as it was.

    Args:
        scheme: what is quantized, and how.
        device: `cpu`, `cuda` or `auto`.
        metric: the user's own, see `qdiag.simulate.task.counts.UserMetric`.
        with_losses: also the five losses per layer, at about four more forward passes.
        seed: stored with the result; it has decided how `datasets` was split.

    Raises:
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    progress, watch = progress or NoProgress(), Stopwatch()
    with engine_arithmetic():
        begun = begin(subject, datasets, scheme, progress, watch, device=device)
        case = begun.case
        if not case.plan.quantized_count:
            raise ConfigError(
                "nothing would be quantized", at=scheme.name, hint="lower weights.bits or activations.bits"
            )
        with watch.stage("simulate"), naming(datasets.evaluation):
            errors, losses = ErrorObserver(case.plan), LossObserver(case.network, case.plan)
            observers = [losses, errors] if with_losses else [errors]
            outputs, task = score_pass(case, observers, metric, progress)
    records = op_records(begun.prepared, case.plan, case.observations, errors.errors(), losses.records())
    return measurement_of(subject, begun, records, outputs, task, watch, seed=seed)
