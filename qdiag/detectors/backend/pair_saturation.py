"""Pairs of products saturate in 16 bits.

What it means:
    x86 processors without VNNI multiply unsigned by signed bytes and add neighbouring products in int16
    (`vpmaddubsw`), where 2 * 255 * 127 does not fit: 211 * 71 + 171 * 107 = 33278 becomes 32767. It happens rarely and
    then costs thousands of steps, so that a mean does not show it. Depthwise kernels of fbgemm do so on every x86
    processor.

How it is computed:
    saturated_sums [%]: sums of products in which at least one pair left int16, of all sums of the layer, on quantized
        reference inputs of some 32 samples
    saturation_sqnr [dB]: SQNR of the sums with pairs limited to int16, against the exact sums of the same integers;
        without the arithmetic of a runtime on a sample of the output positions
    largest_error [x]: the largest error of a sum / root mean square of the sums

Thresholds:
    It is reported where saturation_sqnr is below 40 dB, or largest_error is at least half of the root mean square. The
    losses have to be measured (`--losses`).

What helps:
    Use 7 bits for weights or activations (`reduce_range`), or signed activations under onnxruntime. A processor with
    VNNI, or an ARM one, has exact sums.

Sources:
    pytorch issue 44939; onnxruntime issues 6004 and 14642; OpenVINO's `pot_saturation_issue`.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding, lowest

CODE = "QD602"
REPAIRS: tuple[str, ...] = ("reduce_weight_bits", "reduce_activation_bits", "wide_accumulator")

SATURATION_DB = 40.0
LARGEST_ERROR = 0.5


def find(context: DetectionContext) -> Finding | None:
    """Layers in which pairs of products saturate; the worst first."""
    sites = []
    for record, _ in context.layers:
        if record.losses is None or record.pairs is None or not record.losses.saturation.count:
            continue
        saturation = record.losses.saturation
        rms = saturation.signal_power**0.5
        largest = saturation.max_abs_error / rms if rms > 0.0 else 0.0
        if saturation.sqnr_db < SATURATION_DB or largest >= LARGEST_ERROR:
            evidence = (
                Evidence("saturation_sqnr", saturation.sqnr_db, "dB", SATURATION_DB),
                Evidence("largest_error", largest, "x", LARGEST_ERROR),
                Evidence("saturated_sums", 100.0 * record.pairs.saturated_share, "%"),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS, worst=lowest)
