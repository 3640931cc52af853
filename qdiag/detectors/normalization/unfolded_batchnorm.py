"""A BatchNorm is not folded and stays an operation of its own.

What it means:
    Backends fold BatchNorm into the layer before or after it. One that stays is computed on quantized values and
    quantized again, and the layer before it is quantized at a point where no activation function bounds it. Some cannot
    be folded, because the layer's output is read elsewhere, the next convolution pads with zeros, or there is no layer.

How it is computed:
    local_sqnr [dB]: of the BatchNorm itself, as for any layer

Thresholds:
    With folding switched off, it is reported for every BatchNorm whose only input is a convolution or linear layer that
    no other operation reads, so that it could have been folded, and whose input or output is rounded within a range; a
    sign is taken after the BatchNorm in any case, and nothing is rounded twice. Otherwise it is reported where local
    SQNR is below 20 dB (noise of a tenth of the signal's amplitude).

What helps:
    Fold it, in evaluation mode and before calibration. Where that is impossible, keep this layer in 16 bits or in
    float, or put the BatchNorm in another place.

Sources:
    Jacob et al., arXiv 1712.05877, section 3.2; pytorch/ao issue 3917; apache/mxnet issue 15664 (0.720 to 0.677).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import DetectionContext, finding, holds_range, local_evidence, loses, lowest

CODE = "QD303"
REPAIRS: tuple[str, ...] = ("fold_batchnorm", "activations_16bit", "keep_float")

LOCAL_DB = 20.0


def find(context: DetectionContext) -> Finding | None:
    """BatchNorms that could be folded and are not, or that cannot be and lose much; the weakest first."""
    folds = context.measurement.scheme.fold_batchnorm
    sites = []
    for record, _ in context.layers:
        if not _is_batchnorm(record):
            continue
        if not folds and _could_be_folded(context, record):
            sites.append(FindingSite(record.name, (), (Evidence("local_sqnr", record.local.sqnr_db, "dB"),)))
        elif holds_range(record) and loses(record, LOCAL_DB):
            sites.append(FindingSite(record.name, (), (local_evidence(record, LOCAL_DB),)))
    return finding(CODE, sites, REPAIRS[1:] if folds else REPAIRS, worst=lowest)


def _is_batchnorm(record: OpRecord) -> bool:
    return record.kind == "norm" and "batch_norm" in record.ops[0]


def _could_be_folded(context: DetectionContext, record: OpRecord) -> bool:
    sources = context.sources(record)
    is_rounded = any(holds_range(one) for one in (record, *sources))
    return is_rounded and len(sources) == 1 and sources[0].weight is not None and len(context.readers(sources[0])) == 1
