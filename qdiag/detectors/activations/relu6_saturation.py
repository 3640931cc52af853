"""ReLU6 clips a large part of the signal.

What it means:
    ReLU6 bounds a layer's output at 6, whatever the layer computes. In a network trained with it the clipping is part
    of the float network, and quantization adds nothing to it: rounding even vanishes at the bound. It belongs to the
    five losses of the paper because the same network trained with ReLU keeps that signal, and quantizes better.

How it is computed:
    These are measured on float inputs, where x is the output before the upper bound:

    clipping_sqnr [dB]: 10 log10( sum x^2 / sum (x - min(x, 6))^2 )
    saturated_fraction [%]: share of the output at the bound

Thresholds:
    It is reported where clipping_sqnr is below 10 dB (what is clipped has a tenth of the power of the signal) and at
    least 3 % of the output lies at the bound. In a MobileNetV1 that was trained with ReLU6 this holds for 2 of 27
    layers. Local SQNR says nothing here, as values at the bound are exact. The losses have to be measured (`--losses`).

What helps:
    Train the network with ReLU in place of ReLU6. Without training it is another network: MobileNetV1 falls from 76.4
    to 65.6 % in float. The repair is therefore measured in float first, and refused where it costs accuracy there.

Sources:
    Sheng et al., arXiv 1803.08607, sections 2 and 3.2.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.detectors.base import DetectionContext, finding, lowest

CODE = "QD202"
REPAIRS: tuple[str, ...] = ("replace_relu6",)

CLIPPING_SQNR_DB = 10.0
SATURATED_PERCENT = 3.0
RELU6 = (0.0, 6.0)


def find(context: DetectionContext) -> Finding | None:
    """Layers with a ReLU6 that takes away a large part of the signal; the deepest cut first."""
    sites = []
    for record, facts in context.layers:
        if record.losses is None or facts.clamp != RELU6:
            continue
        clipping, percent = record.losses.clipping.sqnr_db, 100.0 * facts.saturated_at_bound_fraction
        if clipping < CLIPPING_SQNR_DB and percent >= SATURATED_PERCENT:
            evidence = (
                Evidence("clipping_sqnr", clipping, "dB", CLIPPING_SQNR_DB),
                Evidence("saturated_fraction", percent, "%", SATURATED_PERCENT),
            )
            sites.append(FindingSite(record.name, (), evidence))
    return finding(CODE, sites, REPAIRS, worst=lowest)
