"""`clip_weights`, `clip_activations_mse`, `..._percentile`, `..._entropy`, `cover_range`, `cover_weights`.

Another calibrator, also in place of a range that is given. Clipping gives up the rare large values for a finer step
everywhere else; `cover_range` and `cover_weights` are the way back, for layers whose range clips what matters. Nothing
but the chosen range changes, so the integer format stays as it is.
"""

from collections.abc import Sequence

from qdiag.core.causes.findings import FindingSite
from qdiag.core.scheme import CalibratorName, TensorChange, TensorScheme
from qdiag.repairs.base import Apply, Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import Changes, change_activations, change_weights
from qdiag.simulate.case import Case


def _to(calibrator: CalibratorName) -> Changes:
    def change(scheme: TensorScheme) -> TensorChange | None:
        is_given = scheme.range is not None or scheme.channel_ranges is not None
        return TensorChange(calibrator=calibrator) if is_given or scheme.calibrator != calibrator else None

    return change


def _weights(calibrator: CalibratorName) -> Apply:
    def apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
        refusal = f"the ranges of these weights are chosen by {calibrator} already"
        change = change_weights(case, sites, _to(calibrator), refusal=refusal)
        return Treatment(change.applied(context.session), change.names, settings=change.settings)

    return apply


def _activations(calibrator: CalibratorName) -> Apply:
    def apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
        refusal = f"the ranges of these outputs are chosen by {calibrator} already"
        change = change_activations(case, sites, _to(calibrator), refusal=refusal)
        return Treatment(change.applied(context.session), change.names, settings=change.settings)

    return apply


CLIP_WEIGHTS = Repair("clip_weights", _weights("mse"))
COVER_WEIGHTS = Repair("cover_weights", _weights("minmax"))
CLIP_ACTIVATIONS_MSE = Repair("clip_activations_mse", _activations("mse"))
CLIP_ACTIVATIONS_PERCENTILE = Repair("clip_activations_percentile", _activations("percentile"))
CLIP_ACTIVATIONS_ENTROPY = Repair("clip_activations_entropy", _activations("entropy"))
COVER_RANGE = Repair("cover_range", _activations("minmax"))
