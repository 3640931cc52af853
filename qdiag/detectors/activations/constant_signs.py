"""A binary activation has the same sign for every sample.

What it means:
    Nothing of what the layer computes reaches the next one: the values before the sign lie on one side of zero, because
    a ReLU stands before it, or because their mean is far from zero.

How it is computed:
    constant_channels [%]: channels whose values on the calibration data are all 0 or more, or all below 0

Thresholds:
    It is reported where at least a quarter of the channels is constant, the output of the layer is binary, and the
    local SQNR is below 20 dB: that of the layer, or that of a layer with weights that takes the sign while others read
    the value. A sign that the float network itself takes loses nothing more here.

What helps:
    Use 8 bits for this activation. Without a change of the format, train with the sign behind BatchNorm.

Sources:
    Rastegari et al., arXiv 1603.05279, section 3.2 (BatchNorm before the sign); Courbariaux et al., arXiv 1602.02830.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import DetectionContext, finding, local_evidence, loses

CODE = "QD211"
REPAIRS: tuple[str, ...] = ("eight_bits", "keep_float")

CHANNELS_PERCENT = 25.0
LOCAL_DB = 20.0


def find(context: DetectionContext) -> Finding | None:
    """Layers whose binary output does not change."""
    sites = []
    for record, facts in context.layers:
        seen = facts.channels
        losing = _losing(context, record)
        if seen is None or losing is None:
            continue
        channels = tuple(
            c for c, (low, high) in enumerate(zip(seen.min, seen.max, strict=True)) if low >= 0 or high < 0
        )
        percent = 100.0 * len(channels) / max(len(seen.min), 1)
        if percent >= CHANNELS_PERCENT:
            evidence = (
                Evidence("constant_channels", percent, "%", CHANNELS_PERCENT),
                local_evidence(losing, LOCAL_DB),
            )
            sites.append(FindingSite(record.name, channels, evidence))
    return finding(CODE, sites, REPAIRS)


def _losing(context: DetectionContext, record: OpRecord) -> OpRecord | None:
    """The layer whose output shows what the signs of this one cost: itself, or one that takes them as it reads."""
    if record.quantizer is None:
        readers = [one for one in context.readers(record) if one.reads_signs and loses(one, LOCAL_DB)]
        return readers[0] if readers else None
    own = record.quantizer.shared_with is None and record.quantizer.type == "binary"
    return record if own and loses(record, LOCAL_DB) else None
