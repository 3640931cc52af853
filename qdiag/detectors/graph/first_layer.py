"""The first layer with weights loses more than any other.

What it means:
    Its few input channels give each output few products, its inputs are pixels with a spread of their own, and all
    later layers depend on it. It has only a few percent of the multiplications.

How it is computed:
    margin [dB]: lowest local SQNR of all other layers with weights, minus its own

Thresholds:
    It is reported where the margin is at least 6 dB (the noise of any other layer is half as large in amplitude), local
    SQNR is below 20 dB, and the network has at least three layers with weights.

What helps:
    Keep this layer in float, as many backends do by default, or use 16-bit activations.

Sources:
    Krishnamoorthi, arXiv 1806.08342, section 5; BUG1989/caffe-int8-convert-tools issue 36.
"""

from qdiag.core.causes.findings import Finding
from qdiag.detectors.base import DetectionContext, by_far_the_weakest, finding

CODE = "QD405"
REPAIRS: tuple[str, ...] = ("keep_float", "activations_16bit")

MARGIN_DB = 6.0
LOCAL_DB = 20.0


def find(context: DetectionContext) -> Finding | None:
    """The first layer, where it is by far the weakest."""
    site = by_far_the_weakest(context, position=0, margin_db=MARGIN_DB, local_db=LOCAL_DB)
    return finding(CODE, [site] if site is not None else [], REPAIRS)
