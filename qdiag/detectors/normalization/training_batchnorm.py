"""A BatchNorm computes with the statistics of the batch instead of stored ones.

What it means:
    Saved in training mode, or built without running statistics, a BatchNorm scales by the mean and variance of whatever
    batch arrives. It cannot be folded, its output depends on the batch size and on the other images in it, and no range
    that was calibrated stays valid.

How it is computed:
    batch_statistics [layers]: BatchNorms whose operation has its training flag set, or that store no mean and variance

Thresholds:
    It is reported as soon as there is one such BatchNorm.

What helps:
    Call `model.eval()` before saving. In a network that was built without running statistics, gather them by a pass
    over training data. qdiag has no repair for it, because what the statistics should be is not in the file.

Sources:
    Ioffe and Szegedy, arXiv 1502.03167, section 3.1; xilinx/brevitas issue 388.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding

CODE = "QD304"
REPAIRS: tuple[str, ...] = ()

_REASONS = ("training mode", "no running statistics")
"""How `KeptBatchNorm.reason` says it."""


def find(context: DetectionContext) -> Finding | None:
    """BatchNorms on batch statistics, by the name of their layer, or of the module where they have none."""
    layers = {r.module_path: r.name for r in context.measurement.records if r.kind == "norm"}
    sites = [
        FindingSite(layers.get(norm.name, norm.name), (), (Evidence("batch_statistics", 1.0, "layers", 1.0),))
        for norm in context.measurement.capture.kept_batchnorms
        if any(reason in norm.reason for reason in _REASONS)
    ]
    return finding(CODE, sites, REPAIRS)
