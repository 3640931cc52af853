"""The float network has NaN or Inf, or quantization makes some.

What it means:
    NaN and Inf propagate: every sum that contains one is lost, and the figures of later layers are computed from the
    values that remain. In the float network they indicate broken weights, a division by zero, an overflow of exp, or
    masks of minus infinity. Where quantization alone makes them, the reason is usually a zero: a divisor, or the
    argument of a logarithm or a square root, that was rounded to 0 or below.

How it is computed:
    nonfinite_values [values]: NaN and Inf at the layer's output, in the reference or, propagated, in the simulated
        network, whichever are more

Thresholds:
    One such value is enough. The layers listed are those where such values begin: no layer that they read has any.

What helps:
    Look at the first layer's arithmetic. qdiag has no repair for it; a layer whose divisor is rounded to 0 can stay in
    float.

Sources:
    Numbers that are left out of sums are counted in all figures of qdiag (docs/metrics.md).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import DetectionContext, finding

CODE = "QD901"
REPAIRS: tuple[str, ...] = ()

NONFINITE_VALUES = 1.0


def find(context: DetectionContext) -> Finding | None:
    """Layers where NaN or Inf begin."""
    sites = []
    for record, _ in context.layers:
        count = _count(record)
        if count >= NONFINITE_VALUES and not any(_count(source) for source in context.sources(record)):
            whole = record.local.count + max(
                record.local.reference_nonfinite_count, record.local.simulated_nonfinite_count
            )
            evidence = (
                Evidence("nonfinite_values", float(count), "values", NONFINITE_VALUES, max(whole, count)),
                Evidence("nonfinite_in_float", float(record.local.reference_nonfinite_count), "values"),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)


def _count(record: OpRecord) -> int:
    return max(record.local.reference_nonfinite_count, record.propagated.simulated_nonfinite_count)
