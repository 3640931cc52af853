"""A scale does not come from the ordinary values of the data.

What it means:
    A layer that was zero on all calibration data has no range, and its scale is set to 1. If it is not zero on other
    data, all of its values are rounded to whole numbers or clipped. A range far above the rest of the network, such as
    a mask of -1e9 or the lowest float, sets a step that rounds every ordinary value to zero.

How it is computed:
    range_over_step [x]: max |x| on the calibration data / scale
    largest: max |x| on the calibration data, where ordinary values (the 1st, 50th or 99th percentile) lie within half a
        step of zero without being zeros

Thresholds:
    It is reported where range_over_step is below 0.5, so that all calibration values round to 0 while the measured data
    have a signal there, or where a largest value of 1e6 or more has a step that rounds the ordinary ones to zero. A
    layer that is zero on both is not reported.

What helps:
    Calibrate on data on which the layer is not zero. Write masks as booleans, or apply them after the softmax. Leave
    padding out of the observed values.

Sources:
    NVIDIA/TensorRT issue 1826; PINTO0309/onnx2tf issue 444 (padding with the lowest float).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.ranges import PERCENTILES, TensorRange
from qdiag.detectors.base import DetectionContext, finding, has_own_quantizer, local_evidence

CODE = "QD903"
REPAIRS: tuple[str, ...] = ("calibrate_on_measured", "cover_range")

RANGE_OVER_STEP = 0.5
LARGEST = 1e6
_ORDINARY = tuple(PERCENTILES.index(percent) for percent in (1.0, 50.0, 99.0))


def find(context: DetectionContext) -> Finding | None:
    """Layers whose scale says nothing about their values."""
    sites = []
    for record, _ in context.layers:
        if record.range is None or record.quantizer is None or not has_own_quantizer(record):
            continue
        largest, scale = record.range.max_abs, record.quantizer.step_at(0.0)
        if largest / scale < RANGE_OVER_STEP and record.local.signal_power > 0.0:
            figure = Evidence("range_over_step", largest / scale, "x", RANGE_OVER_STEP)
        elif largest >= LARGEST and _swallows(record.range, scale):
            figure = Evidence("largest", largest, "", LARGEST)
        else:
            continue
        sites.append(FindingSite(record.name, (), (figure, Evidence("scale", scale), local_evidence(record))))
    return finding(CODE, sites, REPAIRS)


def _swallows(seen: TensorRange, scale: float) -> bool:
    return seen.zero_fraction < 0.5 and any(
        abs(seen.percentiles[i]) < scale / 2.0 for i in _ORDINARY if seen.percentiles
    )
