"""`qdiag sqnr`: where a quantized network loses its signal, layer by layer."""

from dataclasses import replace

from qdiag.core.measures.measurement import Measurement
from qdiag.pipeline.begin import Experiment, check_quantized, measurement_of
from qdiag.pipeline.notes import overflow_notes
from qdiag.pipeline.preparation.inputs import naming
from qdiag.simulate.case import Case
from qdiag.simulate.facts.bias import overflowing_biases
from qdiag.simulate.layerwise.samples import Depth, shares, sparse_layers
from qdiag.simulate.session import PAIRED, WITH_LOSSES, Session

_OUTPUTS_ALONE = 0.9
"""Float passes of a network without a look at its layers: the quantized one, and the float one unless it is known."""


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
        measured = session.measure(case, _depth(with_losses=with_losses, on_all=on_all))
    found = measurement_of(session, experiment, measured)
    return replace(found, notes=(*found.notes, *overflow_notes(overflowing_biases(case.network, case.plan))))


def expected_passes(case: Case, *, with_losses: bool = False, on_all: bool = True) -> float:
    """Float passes over the measured samples that `measure_experiment` takes, for whoever shows how far it is."""
    depth = _depth(with_losses=with_losses, on_all=on_all)
    share, apart = shares(case, depth)
    networks = 1 if case.measured is case.calibration and not sparse_layers(case, depth) else 2
    return share * (WITH_LOSSES if with_losses else PAIRED) + apart * networks * _OUTPUTS_ALONE


def _depth(*, with_losses: bool, on_all: bool) -> Depth:
    return "losses" if with_losses else "full errors" if on_all else "errors"
