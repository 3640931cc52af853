"""The ranges that a diagnosis holds, in the form of `qdiag ranges`."""

import math

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.facts import WeightFacts
from qdiag.core.measures.ranges import ChannelRanges, TensorRange
from qdiag.core.measures.value_ranges.range_record import RangeRecord
from qdiag.core.measures.value_ranges.ranges_report import RangeReport


def range_report_of(diagnosis: Diagnosis) -> RangeReport:
    """Weights with their channels, and outputs on the calibration data, in graph order."""
    measurement = diagnosis.measurement
    weights = {facts.layer: facts.weight for facts in diagnosis.facts if facts.weight is not None}
    records = []
    for record in measurement.records:
        weight = weights.get(record.name)
        if weight is not None and weight.channel_min:
            records.append(_weight_range(record.name, weight))
        if record.range is not None:
            records.append(RangeRecord(record.name, "activation", record.range))
    return RangeReport(
        measurement.model, measurement.data, measurement.capture, tuple(records), dict(diagnosis.versions)
    )


def _weight_range(layer: str, weight: WeightFacts) -> RangeRecord:
    """Facts hold no percentiles of weights, so there are none here either."""
    channels = ChannelRanges(0, weight.channel_min, weight.channel_max, (), (), (), ())
    tensor = TensorRange(
        count=weight.count,
        sampled_count=0,
        nonfinite_count=sum(not math.isfinite(v) for v in (*weight.channel_min, *weight.channel_max)),
        min=min(weight.channel_min),
        max=max(weight.channel_max),
        mean=math.nan,
        std=math.nan,
        kurtosis=weight.kurtosis,
        zero_fraction=math.nan,
    )
    return RangeRecord(layer, "weight", tensor, channels)
