"""The bias of a channel does not fit its integer.

What it means:
    Integer backends add the bias to the sum of products, as an integer at scale `scale_in * scale_w`. Where a channel's
    weights are tiny and its bias is not, as in dead channels, `scale_w` is tiny too and the integer exceeds 32 bits. It
    is limited there, and the channel outputs another constant. In a runtime whose accumulator wraps (`--arithmetic
    ort`, and those of LiteRT and torch) the limited bias and the products together overflow: a sum that should be far
    below zero is then far above it, and no ReLU removes that.

How it is computed:
    integer_max_abs [steps]: max |bias / (scale_in * scale_w)|, to be held in [-2^(n-1), 2^(n-1) - 1], n = 32 or 64
    weight_sqnr [dB]: at the layer's output, with weights and bias quantized alone, where the losses were measured
        (`--losses`); otherwise local SQNR
    wrapped_channels [channels]: those in which a sum overflowed the accumulator on the measured data, wrapped around,
        and moved the output by half a step or more; under the arithmetic of a runtime that wraps
    local_sqnr [dB]: of the layer alone, with such sums
    below_expected [dB]: local SQNR that rounding of the output alone would give, minus weight_sqnr, or minus
        local_sqnr where sums wrap

Thresholds:
    It is reported where the bias of at least one channel lies beyond the range of the integer, weight_sqnr is below 28
    dB, and it is at least 3 dB below what rounding of the output explains (the noise is doubled). Dead channels whose
    constant is negative overflow too, and the ReLU after them makes zero of either value: a MobileNetV1 has 21 of those
    and loses nothing. Sums that wrap are reported where they double the noise of the layer, at whatever level: three of
    those channels wrap in onnxruntime, and their outputs are 12, 5 and 11 steps instead of 0.

What helps:
    Use a larger scale for the weights of such a channel, which onnxruntime chooses by itself for int32 bias, or keep
    the bias in float. One scale for the whole weight hides the fault and may bring another (QD101).

Sources:
    Jacob et al., arXiv 1712.05877, eq. 11; onnxruntime issue 21000 and pull requests 22020 and 25278.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.facts import BiasFacts
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import LOCAL_HARM_DB, DetectionContext, finding, weight_sqnr_db

CODE = "QD104"
REPAIRS: tuple[str, ...] = ("raise_weight_scale", "float_bias", "keep_float")

BELOW_EXPECTED_DB = 3.0


def find(context: DetectionContext) -> Finding | None:
    """Layers with a bias beyond its integer."""
    sites = []
    for record, facts in context.layers:
        bias, sqnr_db = facts.bias, weight_sqnr_db(record)
        wrapped = _wrapped(record, bias) if bias is not None else None
        if wrapped is not None:
            sites.append(wrapped)
            continue
        below = record.expected_sqnr_db - sqnr_db
        if bias is not None and bias.overflow_channels and sqnr_db < LOCAL_HARM_DB and below >= BELOW_EXPECTED_DB:
            evidence = (
                Evidence("integer_max_abs", bias.integer_max_abs, "steps", 2.0 ** (bias.bits - 1)),
                Evidence("below_expected", below, "dB", BELOW_EXPECTED_DB),
                Evidence("weight_sqnr", sqnr_db, "dB", LOCAL_HARM_DB),
            )
            sites.append(FindingSite(record.name, bias.overflow_channels, evidence))
    return finding(CODE, sites, REPAIRS)


def _wrapped(record: OpRecord, bias: BiasFacts) -> FindingSite | None:
    """A layer in which sums wrap, if that doubles its noise."""
    sqnr_db = record.local.sqnr_db
    below = record.expected_sqnr_db - sqnr_db
    if not bias.wrapped_channels or not below >= BELOW_EXPECTED_DB:
        return None
    evidence = (
        Evidence("wrapped_channels", len(bias.wrapped_channels), "channels", 1.0),
        Evidence("below_expected", below, "dB", BELOW_EXPECTED_DB),
        Evidence("local_sqnr", sqnr_db, "dB"),
        Evidence("integer_max_abs", bias.integer_max_abs, "steps", 2.0 ** (bias.bits - 1)),
    )
    return FindingSite(record.name, bias.wrapped_channels, evidence)
