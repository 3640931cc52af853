"""`qdiag sqnr`: where a quantized network loses its signal, layer by layer."""

from dataclasses import replace

from qdiag.core.measures.measurement import Measurement
from qdiag.pipeline.begin import Experiment, check_quantized, measurement_of
from qdiag.pipeline.notes import overflow_notes
from qdiag.pipeline.preparation.inputs import naming
from qdiag.simulate.facts.bias import overflowing_biases
from qdiag.simulate.session import Session


def measure_experiment(
    session: Session, experiment: Experiment, *, with_losses: bool = False, on_all: bool = True
) -> Measurement:
    """Runs the float and the quantized network side by side on the measured data; the subject is left as it was.

    Args:
        with_losses: also the five losses per layer, at about four more forward passes.
        on_all: layers are measured on all samples, as outputs are; otherwise on as many as their figures need.

    Raises:
        QdiagError: the data or the scheme cannot be used; says what, where and what to do.
    """
    case = experiment.case
    check_quantized(case)
    with session.watch.stage("simulate"), naming(experiment.datasets.evaluation):
        measured = session.measure(case, "losses" if with_losses else "full errors" if on_all else "errors")
    found = measurement_of(session, experiment, measured)
    return replace(found, notes=(*found.notes, *overflow_notes(overflowing_biases(case.network, case.plan))))
