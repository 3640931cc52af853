"""`fold_batchnorm`: BatchNorm goes into the layer beside it, wherever that is exact; the whole network or nothing."""

from collections.abc import Sequence
from dataclasses import replace

from qdiag.capture.fold import fold_batchnorms
from qdiag.capture.rewrites.computed import fold_computed
from qdiag.core.causes.findings import FindingSite
from qdiag.errors import ConfigError, RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    """The layers of the treatment are those that took a BatchNorm in; float outputs stay, up to rounding."""
    del sites
    if case.scheme.fold_batchnorm:
        raise RepairRefused("the scheme folds BatchNorm already")
    if case.stored:
        raise RepairRefused("the file quantizes each BatchNorm: fold them in the float network, and quantize it again")
    result = fold_batchnorms(fold_computed(case.program))
    if not result.folded:
        reasons = dict.fromkeys(kept.reason for kept in result.kept)
        raise RepairRefused(f"no BatchNorm can be folded: {', '.join(reasons) or 'the network has none'}")
    try:
        treated = with_scheme(context.session, case, replace(case.scheme, fold_batchnorm=True))
    except ConfigError as error:
        # a pattern of the scheme named a BatchNorm, which is no layer any more
        message = f"{error.message} once BatchNorm is folded"
        raise RepairRefused(message, at=error.at, hint=error.hint) from None
    nodes = {folded.layer for folded in result.folded}
    layers = tuple(layer.name for layer in treated.network.graph.layers if nodes & set(layer.nodes))
    return Treatment(treated, layers, settings=("fold_batchnorm=true",))


FOLD_BATCHNORM = Repair("fold_batchnorm", _apply)
