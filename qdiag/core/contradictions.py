"""What cannot be in a result that was measured: counts that do not add up, powers below zero, codes that do not exist.

A stored result is a file that anybody can edit. What contradicts itself is no evidence, whatever it says.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from qdiag.core.baseline import Baseline
from qdiag.core.causes.codes import CODES
from qdiag.core.causes.findings import Finding
from qdiag.core.causes.ranking import RankedCause
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.measurement import DataInfo, Measurement, OutputRecord
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.ranges import Histogram, TensorRange
from qdiag.core.measures.records import OpRecord, WeightRecord
from qdiag.core.measures.size import NetworkBytes
from qdiag.core.measures.task import Criterion, Figure, PairedCounts, TaskResult
from qdiag.core.task_contradictions import of_criterion, of_figure, of_task

Contradiction = tuple[str, str]
"""Where, and what."""

_RELATIVE = 1e-3
"""Room for sums in float32: what contradicts itself does so by more."""
_KNOWN_CODES = {code.code for code in CODES}


def contradictions(value: Any, at: tuple[str, ...] = ()) -> Iterator[Contradiction]:
    """All of them in a result and in everything below it, in order."""
    if is_dataclass(value):
        kind: Any = type(value)
        own = _CHECKS.get(kind)
        if own is not None:
            for what in own(value):
                yield ".".join(at), what
        for name in _field_names(kind):
            item = getattr(value, name)
            if item is None or isinstance(item, int | float | str):
                if own is None and name.endswith("count") and isinstance(item, int) and item < 0:
                    yield ".".join(at), f"{name} is negative"
            else:
                yield from contradictions(item, (*at, name))
    elif isinstance(value, tuple) and value and not isinstance(value[0], int | float | str):
        for i, item in enumerate(value):
            yield from contradictions(item, (*at, str(i)))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from contradictions(item, (*at, str(key)))


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _negative(value: Any, *names: str) -> Iterator[str]:
    for name in names:
        if (getattr(value, name) or 0) < 0:
            yield f"{name} is negative"


def _of_sums(sums: ErrorSums) -> Iterator[str]:
    yield from _negative(sums, "count", "reference_nonfinite_count", "simulated_nonfinite_count")
    yield from _negative(sums, "reference_sq_sum", "error_sq_sum", "max_abs_error")
    numbers = (sums.reference_sq_sum, sums.error_sq_sum, sums.cross_sum, sums.error_sum, sums.max_abs_error)
    if not all(map(math.isfinite, numbers)):
        yield "a sum over finite values is not finite"
        return
    if sums.count <= 0:
        if any(numbers):
            yield "sums of no values are not zero"
        return
    if min(sums.reference_sq_sum, sums.error_sq_sum, sums.max_abs_error) < 0.0:
        return
    room = 1.0 + _RELATIVE
    error, reference = math.sqrt(sums.error_sq_sum), math.sqrt(sums.reference_sq_sum)
    if sums.max_abs_error > error * room or error > sums.max_abs_error * math.sqrt(sums.count) * room:
        yield "max_abs_error and error_sq_sum exclude each other"
    if abs(sums.error_sum) > error * math.sqrt(sums.count) * room:
        yield "error_sum and error_sq_sum exclude each other"
    # cross = reference . (reference + error) differs from the power of the reference by at most |reference| |error|
    if abs(sums.cross_sum - sums.reference_sq_sum) > (reference * error + _RELATIVE * sums.reference_sq_sum) * room:
        yield "cross_sum, reference_sq_sum and error_sq_sum exclude each other"


def _of_range(values: TensorRange) -> Iterator[str]:
    yield from _negative(values, "count", "sampled_count", "nonfinite_count")
    if values.sampled_count > values.count:
        yield "sampled_count is more than count"
    if values.count > 0 and not values.min <= values.max:
        yield "min is more than max"


def _of_histogram(histogram: Histogram) -> Iterator[str]:
    if any(count < 0 for count in histogram.counts):
        yield "a count is negative"
    if not (0.0 < histogram.bin_width < math.inf):
        yield f"bin_width is {histogram.bin_width}"


def _of_quantizer(quantizer: QuantizerRecord) -> Iterator[str]:
    scale, low, high = quantizer.scale, quantizer.quant_min, quantizer.quant_max
    if scale is not None and not 0.0 < scale < math.inf:
        yield f"scale is {scale}"
    if low is not None and high is not None and low >= high:
        yield "quant_min is not below quant_max"
    if not quantizer.range_min <= quantizer.range_max:
        yield "range_min is more than range_max"


def _of_record(record: OpRecord) -> Iterator[str]:
    yield from _negative(record, "clipped_count")
    local, inside = record.local, record.propagated
    if record.clipped_count > local.count + local.reference_nonfinite_count:
        yield "clipped_count is more than there are values"
    bad = [sums.reference_nonfinite_count + sums.simulated_nonfinite_count for sums in (local, inside)]
    if not any(bad) and local.count != inside.count and inside.count and local.count:
        yield f"local counts {local.count} values and propagated {inside.count}"
    if any(size < 0 for size in record.output_shape):
        yield "output_shape is negative"


def _of_weight(weight: WeightRecord) -> Iterator[str]:
    if any(size < 1 for size in weight.shape):
        yield "shape is not positive"


def _of_output(output: OutputRecord) -> Iterator[str]:
    if any(size < 0 for size in output.shape):
        yield "shape is negative"
    if output.parts:
        total = sum((part.error for part in output.parts), ErrorSums())
        if total.count != output.error.count:
            yield f"its parts have {total.count} values, and it has {output.error.count}"
        for name in ("reference_sq_sum", "error_sq_sum"):
            whole = getattr(output.error, name)
            if abs(getattr(total, name) - whole) > _RELATIVE * whole:
                yield f"{name} is not that of its parts"


def _of_code(value: Finding | RankedCause) -> Iterator[str]:
    if value.code not in _KNOWN_CODES:
        yield f"no finding has the code {value.code}"


def _of_measurement(measurement: Measurement) -> Iterator[str]:
    names = [record.name for record in measurement.records]
    if len(set(names)) != len(names):
        yield "two records have one name"


def _of_baseline(baseline: Baseline) -> Iterator[str]:
    yield from of_task(baseline.task)
    if math.isinf(baseline.output_sqnr_db) or any(map(math.isinf, baseline.layer_sqnr_db.values())):
        yield "an SQNR is infinite: whatever is measured would be as good, or nothing"
    for figure in baseline.figures:
        if math.isinf(figure.reference) or math.isinf(figure.simulated):
            yield f"{figure.criterion.name} is infinite: whatever is measured would be as good, or nothing"
        intervals = (figure.loss_interval, figure.simulated_interval)
        if any(math.isinf(bound) for interval in intervals for bound in (interval.low, interval.high)):
            yield f"an interval of {figure.criterion.name} is infinite: no change would ever be beyond noise"
    for cause in baseline.causes or ():
        if cause.code not in _KNOWN_CODES:
            yield f"no finding has the code {cause.code}"


_CHECKS: dict[type, Any] = {
    ErrorSums: _of_sums,
    PairedCounts: lambda counts: _negative(counts, "both", "reference_only", "simulated_only", "neither"),
    TaskResult: of_task,
    Figure: of_figure,
    Criterion: of_criterion,
    TensorRange: _of_range,
    Histogram: _of_histogram,
    QuantizerRecord: _of_quantizer,
    OpRecord: _of_record,
    WeightRecord: _of_weight,
    OutputRecord: _of_output,
    DataInfo: lambda data: _negative(data, "calibration_count", "measured_count", "batch_size"),
    NetworkBytes: lambda network: _negative(network, "weights", "scales", "activations"),
    Measurement: _of_measurement,
    Baseline: _of_baseline,
    Finding: _of_code,
    RankedCause: _of_code,
}
