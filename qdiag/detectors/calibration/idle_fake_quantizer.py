"""A fake quantizer of the network was left off, and quantization at its place loses signal.

What it means:
    The network was trained with fake quantizers, and at this place the training saw float values. The network has not
    been trained to tolerate the rounding there, unlike everywhere else.

How it is computed:
    local_sqnr [dB]: SQNR of the layer alone, quantized, with its inputs as the float network gives them

Thresholds:
    It is reported where the switch of a fake quantizer is off at a weight or an output that is quantized here, and
    local SQNR is below 28 dB, as for most other findings.

What helps:
    Call torch.ao.quantization.enable_fake_quant on the network, and train it some more. Without training, use more bits
    or float for these layers.

Sources:
    torch.ao.quantization.fake_quantize.FakeQuantize; Jacob et al., arXiv 1712.05877, section 3.
"""

from qdiag.core.causes.findings import Finding, FindingSite
from qdiag.core.measures.value_ranges.stored_range import of_layer
from qdiag.detectors.base import DetectionContext, finding, local_evidence, loses, lowest

CODE = "QD505"
REPAIRS: tuple[str, ...] = ("activations_16bit", "keep_float")


def find(context: DetectionContext) -> Finding | None:
    """Layers that were trained in float at a place that is quantized, and that lose there."""
    stored = context.measurement.capture.stored_ranges
    sites = []
    for record, _ in context.layers:
        quantized = {"weight": record.weight is not None, "output": record.quantizer is not None}
        idle = [
            one
            for one in of_layer(stored, record.name)
            if not one.is_on and one.outcome in ("used", "no range") and one.kind is not None and quantized[one.kind]
        ]
        if idle and loses(record):
            sites.append(FindingSite(record.name, (), (local_evidence(record),)))
    return finding(CODE, sites, REPAIRS, worst=lowest)
