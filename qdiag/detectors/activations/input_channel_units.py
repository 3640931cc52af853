"""Channels of the network's input come in different units, and share one scale.

What it means:
    Sensors, positions and spectra are often joined in one input: metres beside millimetres, or a pressure beside an
    acceleration. A float network can use them all. One scale for all gives the channel with small numbers
    few steps or none, however important it is.

How it is computed:
    These are measured per channel of an input, on the calibration data. Constant channels do not count, nor do those of
    which single values hold the power (a kurtosis of 30 and more): their range is set by outliers, whatever the unit.

    spread [bits]: log2( standard deviation of the widest channel / that of the narrowest )
    narrowest_channel_sqnr [dB]: 10 log10( 12 var(x) / scale^2 ), the lowest of all channels

Thresholds:
    It is reported where the spread is at least 4 bits and one channel keeps less than 15 dB.

What helps:
    Divide each channel by its own scale before the network, and multiply the first layer's weights by it: the float
    network stays the same, and each channel has all steps. Otherwise use a 16-bit input.

Sources:
    Krishnamoorthi, arXiv 1806.08342, section 2.1 (one range for a tensor); Nagel et al., arXiv 1906.04721, section 4.1.
"""

import math

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.graph import INPUT
from qdiag.detectors.base import DetectionContext, finding, has_own_quantizer

CODE = "QD208"
REPAIRS: tuple[str, ...] = ("scale_input_channels", "activations_16bit")

SPREAD_BITS = 4.0
CHANNEL_DB = 15.0


def find(context: DetectionContext) -> Finding | None:
    """Inputs in which some channel has hardly a step."""
    sites = []
    for record, facts in context.layers:
        if record.kind != INPUT or facts.channels is None or record.quantizer is None or not has_own_quantizer(record):
            continue
        live = facts.channels.varying_stds
        if len(live) < 2:
            continue
        spread = math.log2(max(live.values()) / min(live.values()))
        ranges = {c: facts.channels.channel(c) for c in live}
        values = {c: record.quantizer.expected_sqnr_db(seen, seen.std**2) for c, seen in ranges.items()}
        poor = tuple(c for c, sqnr_db in values.items() if sqnr_db < CHANNEL_DB)
        if spread >= SPREAD_BITS and poor:
            evidence = (
                Evidence("spread", spread, "bits", SPREAD_BITS),
                Evidence("narrowest_channel_sqnr", min(values.values()), "dB", CHANNEL_DB),
            )
            sites.append(FindingSite(record.name, poor, evidence))
    return finding(CODE, sites, REPAIRS)
