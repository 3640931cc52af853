"""A quantized file was calibrated on inputs that were prepared in another way.

What it means:
    The file's quantizer of the network's input holds the range that its writer saw. Where the inputs that the float
    network is given reach far beyond it, or fill little of it, the writer prepared them otherwise: pixels of 0 to 255
    or 0 to 1 in place of normalized ones, without the mean, in another order. All other ranges of the file were found
    on those inputs too.

How it is computed:
    input_overshoot [%]: how far the 99th percentile of the inputs lies above the range of the file, or the 1st below
        it, in percent of the range
    input_used [%]: maximum - minimum of the inputs, in percent of the range, both widened to hold 0

    The same is computed for the outputs of all layers, which are named where they do not fit either.

Thresholds:
    It is reported at an input of the network where the overshoot is at least 20 %, or at most 50 % of the range is used
    (one bit).

What helps:
    Quantize the file again, and calibrate it on inputs that are prepared as those of the float network. Calibrating
    these ranges anew shows how much accuracy can be recovered. If the float network is wrong too, its inputs are at
    fault: look at its accuracy first.

Sources:
    onnxruntime, `CalibrationDataReader`; Xilinx/AI-Model-Zoo issue 4.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.measures.ranges import PERCENTILES
from qdiag.core.measures.records import OpRecord
from qdiag.detectors.base import DetectionContext, finding, has_own_quantizer

CODE = "QD705"
REPAIRS: tuple[str, ...] = ("cover_range", "calibrate_on_measured")

OVERSHOOT_PERCENT = 20.0
USED_PERCENT = 50.0


def find(context: DetectionContext) -> Finding | None:
    """Inputs of the network that do not fit the file, with the layers that do not either."""
    if context.measurement.deployed is None or context.measurement.data.is_data_free:
        return None
    sites = [(record, site) for record, facts in context.layers if (site := _misfit(record, facts)) is not None]
    if not any(record.kind == "input" for record, _ in sites):
        return None
    inputs = [site for record, site in sites if record.kind == "input"]
    found = finding(CODE, [site for _, site in sites], REPAIRS)
    assert found is not None
    others = tuple(site for site in found.sites if site not in inputs)
    return Finding(CODE, (*inputs, *others), REPAIRS)


def _misfit(record: OpRecord, facts: LayerFacts) -> FindingSite | None:
    seen, quantizer = facts.measured_range, record.quantizer
    if seen is None or quantizer is None or not has_own_quantizer(record) or not seen.percentiles:
        return None
    low, high = quantizer.range_min, quantizer.range_max
    if not high > low:
        return None
    above = seen.percentiles[PERCENTILES.index(99.0)] - high
    below = low - seen.percentiles[PERCENTILES.index(1.0)]
    overshoot = 100.0 * max(above, below, 0.0) / (high - low)
    used = 100.0 * (max(seen.max, 0.0) - min(seen.min, 0.0)) / (high - low)
    if overshoot < OVERSHOOT_PERCENT and used > USED_PERCENT:
        return None
    evidence = (
        Evidence("input_overshoot", overshoot, "%", OVERSHOOT_PERCENT),
        Evidence("input_used", used, "%", USED_PERCENT),
    )
    return FindingSite(record.name, (), evidence)
