"""The output of a squeeze-and-excitation gate is too coarse for what it multiplies.

What it means:
    A gate is a sigmoid between 0 and 1 per channel, computed from a layer by global pooling and multiplied with that
    layer. Its error is multiplied with every pixel of the channel, and does not average out. Gates near 0 have few
    levels; sums before a sigmoid with a wide range have a coarse step.

How it is computed:
    A gate is a sigmoid or hard-sigmoid that is followed by a mul with a layer from which it was globally pooled.

    local_sqnr [dB]: of the gate, on quantized float inputs
    median_channel_sqnr [dB]: of the gate, median over channels of 10 log10( 12 mean(x^2) / scale^2 )
    product_below [dB]: local SQNR that rounding of the product alone would give, minus its own

Thresholds:
    It is reported where local SQNR of the gate is below 28 dB, or that of its median channel where a few gates near 1
    have most of the power, and local SQNR of the product is below 28 dB and at least 6 dB below expected: the gate, not
    the rounding of the product, causes the noise.

What helps:
    Keep the gate in 16 bits or in float: it has a few hundred values per image. MobileNetV3-Small in int8 is unusable
    without that.

Sources:
    openvinotoolkit/nncf 2926; Hu et al., arXiv 1709.01507 (the block).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import (
    LOCAL_HARM_DB,
    DetectionContext,
    channel_rounding_db,
    finding,
    holds_range,
    local_evidence,
    loses,
    lowest,
    median_or_nan,
)

CODE = "QD404"
REPAIRS: tuple[str, ...] = ("activations_16bit", "keep_float")

PRODUCT_BELOW_DB = 6.0
_GATES = ("sigmoid", "hardsigmoid")
_LAYERS_BETWEEN = 6
"""From the pooling to the gate: two layers with their activations, and room."""


def find(context: DetectionContext) -> Finding | None:
    """Gates that limit the product with their trunk; the weakest first."""
    sites = []
    for record, facts in context.layers:
        if record.kind not in _GATES or record.quantizer is None or not holds_range(record):
            continue
        coarseness = _coarseness(record, facts, record.quantizer)
        if coarseness is None:
            continue
        trunks = _pooled_from(context, record)
        for product in context.readers(record):
            if product.kind != "mul" or not trunks.intersection(product.inputs) or not loses(product):
                continue
            below = product.expected_sqnr_db - product.local.sqnr_db
            if below >= PRODUCT_BELOW_DB:
                evidence = (coarseness, Evidence("product_below", below, "dB", PRODUCT_BELOW_DB))
                sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS, worst=lowest)


def _coarseness(record: OpRecord, facts: LayerFacts, quantizer: QuantizerRecord) -> Evidence | None:
    """The figure that makes the gate coarse; None when it is fine enough."""
    if loses(record):
        return local_evidence(record)
    channels = facts.channels
    if channels is None:
        return None
    median_db = median_or_nan(channel_rounding_db(channels, c, quantizer) for c in range(len(channels.mean)))
    return Evidence("median_channel_sqnr", median_db, "dB", LOCAL_HARM_DB) if median_db < LOCAL_HARM_DB else None


def _pooled_from(context: DetectionContext, gate: OpRecord) -> set[str]:
    """The layers that were pooled on the way to this gate."""
    record = gate
    for _ in range(_LAYERS_BETWEEN):
        sources = context.sources(record)
        if len(sources) != 1:
            return set()
        (record,) = sources
        if record.kind == "pool":
            return set(record.inputs)
    return set()
