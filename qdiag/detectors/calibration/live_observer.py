"""An observer of the network was left on, so that its ranges change in use.

What it means:
    A fake quantizer of torch.ao updates its range from the values that it sees as long as its observer is on, in
    evaluation as well as in training. The range that is stored in the network is then that of whatever came last, and
    it is another one after the next batch: an evaluation of the network changes it. What is measured here is the range
    as it is stored.

How it is computed:
    range_shift [%]: how far an end of the range that is stored lies from that of the measured values, or of the
        weights, in percent of the wider range of both, widened to hold 0

Thresholds:
    There is no limit: a switch is on or off. That it costs accuracy is claimed only where a new calibration of these
    ranges recovers some of it.

What helps:
    Call torch.ao.quantization.disable_observer on the network, after a pass over varied training data, and save the
    checkpoint again. Calibrating these ranges anew shows how much accuracy can be recovered.

Sources:
    torch.ao.quantization.fake_quantize.FakeQuantize.forward; Krishnamoorthi, arXiv 1806.08342, section 3.2.
"""

from qdiag.core.causes.findings import Evidence, Finding, FindingSite
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.measures.ranges import TensorRange
from qdiag.core.measures.records import OpRecord, WeightRecord
from qdiag.core.measures.value_ranges.stored_range import StoredRange, of_layer
from qdiag.detectors.base import DetectionContext, finding

CODE = "QD504"
REPAIRS: tuple[str, ...] = ("cover_range", "cover_weights")


def find(context: DetectionContext) -> Finding | None:
    """Layers whose weight or output has a range that moves with every call."""
    stored = context.measurement.capture.stored_ranges
    sites = []
    for record, facts in context.layers:
        live = [one for one in of_layer(stored, record.name) if one.observes and one.outcome == "used"]
        if live:
            shift = max(_shift_percent(one, record, facts) for one in live)
            sites.append(FindingSite(record.name, (), (Evidence("range_shift", shift, "%"),)))
    return finding(CODE, sites, REPAIRS)


def _shift_percent(stored: StoredRange, record: OpRecord, facts: LayerFacts) -> float:
    is_weight = stored.kind == "weight"
    seen: TensorRange | WeightRecord | None = record.weight if is_weight else facts.measured_range
    quantizer = record.quantizer if not is_weight else record.weight.quantizer if record.weight is not None else None
    if quantizer is None or seen is None:
        return 0.0
    low, high = min(seen.min, 0.0), max(seen.max, 0.0)
    if quantizer.symmetric:
        low, high = -max(-low, high), max(-low, high)
    widest = max(high - low, quantizer.range_max - quantizer.range_min)
    shift = max(abs(low - quantizer.range_min), abs(high - quantizer.range_max))
    return 100.0 * shift / widest if widest > 0.0 else 0.0
