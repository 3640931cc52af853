"""Each of these layers, quantized alone, costs at least half of what the whole network loses.

What it means:
    The quantizers of such a layer alone cause half of the loss, whatever its weights and values look like. Usually
    there is one such layer; where there are more, each of them does. No other code explains why; where one
    does, that code is the finding, and this one is not shown.

How it is computed:
    loss alone: of the figure by which the network is judged, with the quantizers of this layer alone
    share_of_loss [%]: the same over the loss of the whole network; where outputs are judged by their SQNR, the noise
        power at the weakest output over that of the whole network

Thresholds:
    It is reported where the layer alone causes at least half of the loss, the whole network is beyond its limit, and
    the loss of the layer alone is beyond noise. Each layer has to be measured alone, as `qdiag diagnose` does unless it
    is told not to.

What helps:
    Use 16-bit activations for these layers, or keep them in float. The repairs are measured on all of them together,
    since with one repaired the others lose as much.

Sources:
    Krishnamoorthi, arXiv 1806.08342, section 3.2; Wu et al., arXiv 2004.09602, section 6.1 (partial quantization).
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.causes.score import Score
from qdiag.detectors.base import DetectionContext, finding

CODE = "QD407"
REPAIRS: tuple[str, ...] = ("activations_16bit", "keep_float")

SHARE_PERCENT = 50.0
SITES_AT_MOST = 3


def find(context: DetectionContext) -> Finding | None:
    """The layers that alone cost most of the loss, the worst first."""
    sweep = context.sensitivity
    sites: list[FindingSite] = []
    for row in sweep.heaviest if sweep is not None else ():
        share = 100.0 * sweep.share_of_loss(row) if sweep is not None else 0.0
        if share >= SHARE_PERCENT and row.alone is not None:
            evidence = (_loss(row.alone), Evidence("share_of_loss", share, "%", SHARE_PERCENT))
            sites.append(FindingSite(row.layer, (), evidence))
    return finding(CODE, sites[:SITES_AT_MOST], REPAIRS)


def _loss(alone: Score) -> Evidence:
    judged = alone.task.judged
    if judged is None:
        return Evidence("output_sqnr_alone_db", alone.output_sqnr_db, "dB")
    return Evidence("loss_alone", judged.loss, judged.criterion.change_unit)
