"""The last layer with weights loses more than any other.

What it means:
    What it computes is the answer: logits, boxes, pixels. Nothing after it averages its error, and where outputs of
    different kinds share it, they share its range.

How it is computed:
    margin [dB]: lowest local SQNR of all other layers with weights, minus its own

Thresholds:
    A margin of at least 6 dB (the noise of any other layer is half as large in amplitude), local SQNR below 20 dB, and
    at least three layers with weights.

What helps:
    Float for this layer, as many backends do by default; 16-bit activations.

Sources:
    Krishnamoorthi, arXiv 1806.08342, section 5; ultralytics/yolov5 issue 12598 (detection head).
"""

from qdiag.core.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding, local_evidence, loses

CODE = "QD406"
REPAIRS: tuple[str, ...] = ("keep_float", "activations_16bit")

MARGIN_DB = 6.0
LOCAL_DB = 20.0
_LAYERS = 3


def find(context: DetectionContext) -> Finding | None:
    """The last layer, where it is by far the weakest."""
    weighted = [record for record, facts in context.layers if facts.weight is not None]
    if len(weighted) < _LAYERS:
        return None
    *others, last = weighted
    margin = min(record.local.sqnr_db for record in others) - last.local.sqnr_db
    if not (margin >= MARGIN_DB and loses(last, LOCAL_DB)):
        return None
    evidence = (Evidence("margin", margin, "dB", MARGIN_DB), local_evidence(last, LOCAL_DB))
    return finding(CODE, [FindingSite(last.name, (), evidence)], REPAIRS)
