"""An activation function has large and small values in one output, and the small ones are rounded away.

What it means:
    SiLU, GELU, hard-swish and Mish are almost linear above zero and have a lobe below it that reaches down to -0.17 to
    -0.38, whatever the range above. Softmax has one value near 1 and many near 1/N. One step for both sizes leaves the
    small values a few levels or none.

How it is computed:
    lobe_levels [steps]: |minimum of the output| / scale, for functions with a lobe
    median_levels [steps]: median of the output / scale, for softmax and sigmoid

Thresholds:
    It is reported where fewer than 8 steps are left for the lobe, or less than 1 for the median (half of the values
    become 0 or 1 step), and local SQNR is below 20 dB. The small values alone seldom matter. Where levels are uneven,
    and closer to each other near zero, the limit for the lobe is fewer than 3 of them.

What helps:
    Clip the range by least squared error, use 16-bit activations, or compute the function in float or by a table. Put
    one quantizer after the whole function, not one inside it. Where training is possible, use ReLU or hard-swish.

Sources:
    NVIDIA/TensorRT issue 1114, ultralytics/yolov5 issue 2509 (SiLU: mAP 0.362 to 0.054, 0.316 when fused).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.ranges import PERCENTILES
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import DetectionContext, finding, has_own_quantizer, local_evidence, loses, lowest

CODE = "QD204"
REPAIRS: tuple[str, ...] = ("clip_activations_mse", "activations_16bit", "keep_float")

WITH_LOBE = ("silu", "gelu", "hardswish", "mish")
TOWARDS_ZERO = ("softmax", "sigmoid", "hardsigmoid")
LOBE_LEVELS = 8.0
MEDIAN_LEVELS = 1.0
LOCAL_DB = 20.0
_MEDIAN = PERCENTILES.index(50.0)


def find(context: DetectionContext) -> Finding | None:
    """Layers of such a function in which the small values have too few levels; the weakest layer first."""
    sites = []
    for record, _ in context.layers:
        levels = _levels(record)
        if levels is not None and loses(record, LOCAL_DB):
            sites.append(FindingSite(record.name, (), (local_evidence(record, LOCAL_DB), levels)))
    return finding(CODE, sites, REPAIRS, worst=lowest)


def _levels(record: OpRecord) -> Evidence | None:
    seen, quantizer = record.range, record.quantizer
    if seen is None or quantizer is None or not has_own_quantizer(record) or not seen.percentiles:
        return None
    lobe, few = quantizer.steps_between(seen.min, 0.0), quantizer.steps_limit(LOBE_LEVELS)
    if record.kind in WITH_LOBE and lobe < few:
        return Evidence("lobe_levels", lobe, "steps", few, quantizer.level_count - 1.0)
    median = quantizer.steps_between(0.0, seen.percentiles[_MEDIAN])
    if record.kind in TOWARDS_ZERO and median < MEDIAN_LEVELS:
        return Evidence("median_levels", median, "steps", MEDIAN_LEVELS, quantizer.level_count - 1.0)
    return None
