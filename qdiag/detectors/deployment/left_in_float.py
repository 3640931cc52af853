"""A quantized file leaves a layer with weights in float.

What it means:
    Its weights are floats in the file, or its output is not quantized, so that a runtime computes it in float between
    integers, which is slower and needs conversions around it. It costs no accuracy. It may be meant, as with an exclude
    list. Often the reason is a name in such a list, or a layer that the writer does not know. onnxruntime quantizes the
    float weight of a convolution or Gemm between integers itself, per tensor, and computes with integers all the same;
    `disabled_optimizers=["WeightBiasQuantization"]` of its session leaves the layer in float.

How it is computed:
    mac_share [%]: multiplications of the layer, in percent of those of the network

Thresholds:
    It is reported where the layer has at least 1 % of the multiplications; smaller layers are not reported.

What helps:
    Quantize the layer like the others, unless it was left out because of what that costs: `qdiag sensitivity` on the
    float network tells it.

Sources:
    onnxruntime, `quantize_static` (`nodes_to_exclude`, `op_types_to_quantize`).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding

CODE = "QD702"
REPAIRS: tuple[str, ...] = ()

MAC_PERCENT = 1.0


def find(context: DetectionContext) -> Finding | None:
    """Layers in float that have a share in the network's arithmetic."""
    file = context.measurement.deployed
    if file is None:
        return None
    in_float = {layer.name for layer in file.layers if layer.is_float}
    total = sum(facts.mac_count for facts in context.facts)
    sites = []
    for record, facts in context.layers:
        share = 100.0 * facts.mac_count / total if total else 0.0
        if record.name in in_float and facts.weight is not None and share >= MAC_PERCENT:
            sites.append(FindingSite(record.name, (), (Evidence("mac_share", share, "%", MAC_PERCENT),)))
    return finding(CODE, sites, REPAIRS)
