"""Channels of an output differ by orders of magnitude, and share one scale.

What it means:
    A last layer that outputs a position in pixels beside a radius as a share of the width, boxes beside scores, or
    moments of different order has one scale for all, made for the largest. The values of the small channels are rounded
    to few steps or none, and the SQNR of the whole output does not show it. Within a network the same happens where the
    next layer has large weights for small channels: it amplifies them together with their rounding errors.

How it is computed:
    These are measured per channel of a layer's output, on the calibration data; constant channels do not count, nor do
    those of which single values hold the power (a kurtosis of 30 and more):

    spread [bits]: log2( standard deviation of the widest channel / that of the narrowest )
    narrowest_channel_sqnr [dB]: 10 log10( 12 var(x) / scale^2 ), the lowest of all channels
    reader_sqnr [dB]: within the network, SQNR of the weakest layer with weights that reads it, with its input quantized
        alone
    lost_by_reader [dB]: 10 log10( 12 mean(x^2) / scale^2 ) of the output, minus reader_sqnr

Thresholds:
    It is reported where the spread is at least 4 bits and one channel keeps less than 15 dB. At an output of the
    network with more than 16 channels, which are likely entries of one vector, this has to hold for half of them.
    Within the network, reader_sqnr also has to be below 20 dB and lost_by_reader at least 10 dB: the reader's weights
    amplify the small channels by that much. Where at most an eighth of the channels is wide and the median one is lost,
    QD205 is reported instead; at a concat it is QD401, and at an input QD208.

What helps:
    At an output of the network, take the scales out of the last layer's weights, and multiply them back after the
    network, where the output is read; or train with numbers of one size. Within the network, equalization does the same
    with the next layer's weights. 16-bit activations, or float for the layer, help as well.

Sources:
    Nagel et al., arXiv 1906.04721, section 4.1 (scales moved between layers); ultralytics issue 25524 (scores beside
    boxes in pixels: all scores 0).
"""

import math

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.graph import INPUT
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.ranges import ChannelRanges
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import (
    DetectionContext,
    finding,
    has_own_quantizer,
    median_or_nan,
    rounding_sqnr_db,
    sqnr_limit_db,
)

CODE = "QD210"
REPAIRS: tuple[str, ...] = ("scale_output_channels", "equalize", "activations_16bit", "keep_float")

SPREAD_BITS = 4.0
CHANNEL_DB = 15.0
READER_DB = 20.0
LOST_DB = 10.0
FEW_CHANNELS, FEW_WIDE = 16, 8


def find(context: DetectionContext) -> Finding | None:
    """Outputs in which channels that are missed have hardly a step."""
    sites = []
    for record, facts in context.layers:
        quantizer, channels = record.quantizer, facts.channels
        if record.kind in (INPUT, "concat") or channels is None or quantizer is None or not has_own_quantizer(record):
            continue
        stds = channels.varying_stds
        values = _sqnr_db(channels, quantizer, stds)
        limit_db = sqnr_limit_db(record, CHANNEL_DB)
        poor = tuple(c for c, sqnr_db in values.items() if sqnr_db < limit_db)
        spread = math.log2(max(stds.values()) / min(stds.values())) if len(stds) > 1 else 0.0
        if spread < SPREAD_BITS or not poor or _is_set_by_few(stds, values, limit_db):
            continue
        evidence = (
            Evidence("spread", spread, "bits", SPREAD_BITS),
            Evidence("narrowest_channel_sqnr", min(values.values()), "dB", limit_db),
        )
        if facts.outputs:
            if len(stds) <= FEW_CHANNELS or 2 * len(poor) >= len(stds):
                sites.append(FindingSite(record.name, poor, evidence))
            continue
        missed = _missed(context, record)
        if missed:
            sites.append(FindingSite(record.name, poor, (*evidence, *missed)))
    return finding(CODE, sites, REPAIRS)


def _sqnr_db(channels: ChannelRanges, quantizer: QuantizerRecord, stds: dict[int, float]) -> dict[int, float]:
    return {c: quantizer.expected_sqnr_db(channels.channel(c), std**2) for c, std in stds.items()}


def _is_set_by_few(stds: dict[int, float], values: dict[int, float], limit_db: float) -> bool:
    few = sum(std > 0.5 * max(stds.values()) for std in stds.values()) * FEW_WIDE <= len(stds)
    return few and median_or_nan(values.values()) < limit_db


def _missed(context: DetectionContext, record: OpRecord) -> tuple[Evidence, ...]:
    """What a reader makes of the small channels; empty where none makes much of them."""
    readers = [r.losses.input for r in context.readers(record) if r.weight is not None and r.losses is not None]
    reader_db = min((error.sqnr_db for error in readers if error.count), default=math.inf)
    lost = rounding_sqnr_db(record) - reader_db
    if not (reader_db < READER_DB and lost >= LOST_DB):
        return ()
    return Evidence("reader_sqnr", reader_db, "dB", READER_DB), Evidence("lost_by_reader", lost, "dB", LOST_DB)
