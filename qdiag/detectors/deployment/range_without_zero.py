"""A scale was computed for a range without zero, which its zero point cannot represent.

What it means:
    Where all values of a tensor are positive, `scale = (maximum - minimum) / 255` needs a zero point below the lowest
    integer. A writer that does not widen the range to hold zero limits the zero point to the lowest integer: the
    integers then reach from 0 to maximum - minimum, and the upper part of the values is clipped. The same happens below
    zero.

How it is computed:
    clipped_span [%]: how far the largest measured value lies beyond the range of the file, in percent of that range
    span_misfit [%]: how far the width of the range lies from maximum - minimum of the measured values, in percent of
        the latter

Thresholds:
    It is reported where the range ends at 0, all measured values lie on its other side and at least 20 % beyond it, and
    its width fits their span to 20 %, since the extremes of other data differ.

What helps:
    Widen the range so that it holds 0, as every published scheme asks for.

Sources:
    Jacob et al., arXiv 1712.05877, section 2.1; gemmlowp, doc/quantization.md ("zero must be exactly representable").
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.ranges import TensorRange
from qdiag.detectors.base import DetectionContext, finding, has_own_quantizer

CODE = "QD704"
REPAIRS: tuple[str, ...] = ("cover_range", "calibrate_on_measured")

CLIPPED_PERCENT = 20.0
MISFIT_PERCENT = 20.0


def find(context: DetectionContext) -> Finding | None:
    """Outputs of one sign whose range has the width of their span and ends at zero."""
    if context.measurement.deployed is None or context.measurement.data.is_data_free:
        return None
    sites = []
    for record, facts in context.layers:
        if record.quantizer is None or facts.measured_range is None or not has_own_quantizer(record):
            continue
        clipped, misfit = _figures(record.quantizer, facts.measured_range)
        if clipped >= CLIPPED_PERCENT and misfit <= MISFIT_PERCENT:
            evidence = (
                Evidence("clipped_span", clipped, "%", CLIPPED_PERCENT),
                Evidence("span_misfit", misfit, "%", MISFIT_PERCENT),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)


def _figures(quantizer: QuantizerRecord, seen: TensorRange) -> tuple[float, float]:
    low, high, span = quantizer.range_min, quantizer.range_max, seen.max - seen.min
    if not high > low or not span > 0.0:
        return 0.0, 0.0
    beyond = 0.0
    if low == 0.0 and seen.min > 0.0:
        beyond = seen.max - high
    elif high == 0.0 and seen.max < 0.0:
        beyond = low - seen.min
    return 100.0 * beyond / (high - low), 100.0 * abs(high - low - span) / span
