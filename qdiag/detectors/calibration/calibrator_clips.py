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
    It is reported where clipping makes at least 4 times the noise of rounding (6 dB), at least 0.01 % of the values are
    clipped, local SQNR is below 20 dB, and the calibrator is not min-max. A search for the least error ends near equal
    shares of both noises, at 2 to 3 times. Layers whose range is given, by the scheme or by the network, are left out:
    no calibrator chose it.

What helps:
    Use the range from minimum to maximum.

Sources:
    NVIDIA/TensorRT issue 3922 (entropy loses 10 to 20 %, min-max 1 %); onnxruntime issues 10571 and 10846.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import DetectionContext, finding, has_own_quantizer, local_evidence, loses

CODE = "QD502"
REPAIRS: tuple[str, ...] = ("cover_range",)

CLIPPING_OVER_ROUNDING = 4.0
CLIPPED_PERCENT = 0.01
LOCAL_DB = 20.0


def find(context: DetectionContext) -> Finding | None:
    """Layers whose quantizer loses mostly by clipping."""
    if context.measurement.scheme.activations.calibrator == "minmax":
        return None
    sites = []
    for record, _ in context.layers:
        percent = 100.0 * record.clipped_fraction
        if not has_own_quantizer(record) or context.measurement.scheme.gives_range_of(record.name):
            continue
        if percent < CLIPPED_PERCENT or not loses(record, LOCAL_DB):
            continue
        over_rounding = _over_rounding(record)
        if over_rounding >= CLIPPING_OVER_ROUNDING:
            evidence = (
                Evidence("clipping_over_rounding", over_rounding, "x", CLIPPING_OVER_ROUNDING),
                Evidence("clipped_fraction", percent, "%", CLIPPED_PERCENT),
                local_evidence(record, LOCAL_DB),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS)


def _over_rounding(record: OpRecord) -> float:
    seen, quantizer = record.range, record.quantizer
    if quantizer is None:
        return 0.0
    rounding = quantizer.expected_noise_power(seen, record.local.signal_power)
    if record.losses is not None and record.losses.requantization.count:
        return record.losses.requantization.mse / rounding
    if seen is None:
        return 0.0
    depth = max(seen.max - quantizer.range_max, quantizer.range_min - seen.min, 0.0)
    return record.clipped_fraction * depth**2 / 3.0 / rounding
