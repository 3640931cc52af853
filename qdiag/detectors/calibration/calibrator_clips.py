"""The calibrator loses more by clipping than it gains by finer steps.

What it means:
    Percentile, least-error, entropy and moving-average calibrators leave out the ends of the distribution to have finer
    steps for the rest. Where the ends carry the signal, as in logits, detection scores and sparse features, the clipped
    values cost far more than the steps save.

How it is computed:
    clipped_fraction [%]: share of the float values beyond the representable range
    clipping_over_rounding [x]: noise power of the output's quantizer alone, over that of rounding, scale^2 / 12 with
        even steps; from the losses where they were measured, otherwise clipped_fraction * depth^2 / 3, with the depth
        by which the most clipped value lies beyond the range

Thresholds:
    It is reported where clipping makes at least 4 times the noise of rounding (6 dB), at least 0.01 % of the values and
    two of them are clipped, local SQNR is below 20 dB, and the calibrator is not min-max. A search for the least error
    ends near equal shares of both noises, at 2 to 3 times. Layers whose range is given, by the scheme or by the
    network, are left out: no calibrator chose it. How the ranges of a quantized file were found is not known; they are
    reported where local SQNR is below 28 dB, unless a fifth of the range is missing, which is QD506.

What helps:
    Use the range from the minimum to the maximum of all batches, instead of an average of the ranges of batches.

Sources:
    NVIDIA/TensorRT issue 3922 (entropy loses 10 to 20 %, min-max 1 %); onnxruntime issues 10571 and 10846.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.deployed.file import ranges_in
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import LOCAL_HARM_DB, DetectionContext, finding, has_own_quantizer, local_evidence, loses

CODE = "QD502"
REPAIRS: tuple[str, ...] = ("cover_range",)

CLIPPING_OVER_ROUNDING = 4.0
CLIPPED_PERCENT = 0.01
LOCAL_DB = 20.0
FAR_PERCENT = 20.0
_CLIPPED_MIN = 2


def find(context: DetectionContext) -> Finding | None:
    """Layers whose quantizer loses mostly by clipping."""
    scheme, sites = context.measurement.scheme, []
    for record, facts in context.layers:
        is_of_file = "output" in ranges_in(context.measurement.deployed, record.name)
        is_chosen = scheme.activations.calibrator != "minmax" and not scheme.gives_range_of(record.name)
        if not has_own_quantizer(record) or not (is_of_file or is_chosen):
            continue
        percent, limit_db = 100.0 * record.clipped_fraction, LOCAL_HARM_DB if is_of_file else LOCAL_DB
        if percent < CLIPPED_PERCENT or record.clipped_count < _CLIPPED_MIN or not loses(record, limit_db):
            continue
        if is_of_file and _is_far_beyond(record, facts):
            continue
        over_rounding = record.clipping_over_rounding(facts.measured_range if is_of_file else record.range)
        if over_rounding >= CLIPPING_OVER_ROUNDING:
            evidence = (
                Evidence("clipping_over_rounding", over_rounding, "x", CLIPPING_OVER_ROUNDING),
                Evidence("clipped_fraction", percent, "%", CLIPPED_PERCENT),
                local_evidence(record, limit_db),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)


def _is_far_beyond(record: OpRecord, facts: LayerFacts) -> bool:
    """The range of a file is another one than its values have, which is QD506."""
    seen, quantizer = facts.measured_range, record.quantizer
    if seen is None or quantizer is None:
        return False
    return seen.overshoot_percent(quantizer.range_min, quantizer.range_max) >= FAR_PERCENT
