"""`bound_mask`: the quantizer of masked attention scores ends just below the scores, wherever the mask's value lies.

A position that is masked gets the lowest score less a margin m. No row's largest score is below the lowest, so the
softmax of a masked position is at most exp(-m). With m = (bits + 1) ln 2 that is half a step of a softmax output of so
many bits over [0, 1]: it is rounded to zero, as before. In the model, the same is a mask value of that size.
"""

import math
from collections.abc import Sequence

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.scheme import TensorChange
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import change_each_output, layers_of, places, quantizer_owners
from qdiag.simulate.case import Case


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    """Places where the scores are not known, or where nothing lies below them, stay as they are.

    Raises:
        RepairRefused: that is so at all of them.
    """
    layers = layers_of(case, sites)
    owners = {name for name in quantizer_owners(case, layers) if name in {layer.name for layer in layers}}
    changes = {layer.name: _change(case, layer.name, layer.inputs) for layer in layers if layer.name in owners}
    change = change_each_output(case, changes, refusal="no mask lies below the scores here", at=places(sites))
    values = [c.range[0] for c in changes.values() if c is not None and c.range is not None]
    costs = (Evidence("mask_value", min(values)),)
    return Treatment(change.applied(context.session), change.names, settings=change.settings, costs=costs)


def _change(case: Case, name: str, inputs: Sequence[str]) -> TensorChange | None:
    """The range from just below the scores to the highest sum. A mask never raises a score, so it reaches less high."""
    seen = [case.observations[source].statistics.range for source in inputs if source in case.observations]
    own = case.observations[name].statistics.range
    if not seen:
        return None
    scores = max(seen, key=lambda range_: range_.max)
    low = scores.min - (case.scheme.activations_of(name).bits + 1) * math.log(2.0)
    return TensorChange(range=(low, max(own.max, low + math.ulp(low)))) if own.min < low else None


BOUND_MASK = Repair("bound_mask", _apply)
