"""`replace_relu6`: ReLU6 becomes ReLU, so that no scale need be bounded by 6 and no value is cut there.

Another network: wherever a value lay beyond 6 the float output moves, which callers measure first. Without training it
is refused where that is too much (arXiv 1803.08607 replaces it before training). Code holds the activation, not the
checkpoint, so there are no tensors to write.
"""

import math
from collections.abc import Sequence

from qdiag.core.causes.findings import FindingSite
from qdiag.errors import RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.simulate.case import Case
from qdiag.simulate.changes import in_float_with_clamps, with_clamps

_RELU6, _RELU = (0.0, 6.0), (0.0, math.inf)


def _chosen(case: Case, sites: Sequence[FindingSite]) -> tuple[str, ...]:
    """ReLU6 at the layers of the sites, fused or alone; everywhere when there are none."""
    relu6 = [layer.name for layer in case.network.graph.layers if layer.clamp == _RELU6]
    wanted = {site.layer for site in sites}
    chosen = tuple(name for name in relu6 if name in wanted or not wanted)
    if not chosen:
        raise RepairRefused("no ReLU6 is there", at=", ".join(sorted(wanted)) or None)
    return chosen


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    chosen = _chosen(case, sites)
    treated = with_clamps(context.session, case, dict.fromkeys(chosen, _RELU))
    return Treatment(treated, chosen, moves_float=True)


def _in_float(case: Case, sites: Sequence[FindingSite]) -> tuple[Case, tuple[str, ...]]:
    chosen = _chosen(case, sites)
    return in_float_with_clamps(case, dict.fromkeys(chosen, _RELU)), chosen


REPLACE_RELU6 = Repair("replace_relu6", _apply, in_float=_in_float)
