"""The first layer with weights loses more than any other.

What it means:
    Its few input channels give each output few products, its inputs are pixels with a spread of their own, and all that
    follows builds on it. It is also cheap: a few percent of the multiplications.

How it is computed:
    margin [dB]: lowest local SQNR of all other layers with weights, minus its own

Thresholds:
    A margin of at least 6 dB (the noise of any other layer is half as large in amplitude), local SQNR below 20 dB, and
    at least three layers with weights.

What helps:
    Float for this layer, as many backends do by default; 16-bit activations.

Sources:
    Krishnamoorthi, arXiv 1806.08342, section 5; BUG1989/caffe-int8-convert-tools issue 36.
"""

from qdiag.core.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding, local_evidence, loses

CODE = "QD405"
REPAIRS: tuple[str, ...] = ("keep_float", "activations_16bit")

MARGIN_DB = 6.0
LOCAL_DB = 20.0
_LAYERS = 3


def find(context: DetectionContext) -> Finding | None:
    """The first layer, where it is by far the weakest."""
    weighted = [record for record, facts in context.layers if facts.weight is not None]
    if len(weighted) < _LAYERS:
        return None
    first, *others = weighted
    margin = min(record.local.sqnr_db for record in others) - first.local.sqnr_db
    if not (margin >= MARGIN_DB and loses(first, LOCAL_DB)):
        return None
    evidence = (Evidence("margin", margin, "dB", MARGIN_DB), local_evidence(first, LOCAL_DB))
    return finding(CODE, [FindingSite(first.name, (), evidence)], REPAIRS)
