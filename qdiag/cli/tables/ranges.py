"""The table of `qdiag ranges`: weights, then outputs, in graph order."""

import math
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import (
    capture_lines,
    data_lines,
    header_grid,
    model_lines,
    scheme_lines,
    size_lines,
)
from qdiag.core.measures.ranges import PERCENTILES, TensorRange
from qdiag.core.measures.value_ranges.range_record import RangeRecord
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.reading.words.numbers import percent, significant

_NO_VALUE = "no value is finite"
_LOW, _MEDIAN, _HIGH = (PERCENTILES.index(p) for p in (0.1, 50.0, 99.9))


def print_ranges(console: Console, report: RangeReport) -> None:
    """Header and one table per role on `console`."""
    data = data_lines(report.data, with_calibration=False)
    scheme = () if report.scheme is None else scheme_lines(report.scheme)
    size = size_lines(report.size, report.size_scheme if report.scheme is None else None)
    console.print(header_grid(*model_lines(report.model), *scheme, *size, *data, *capture_lines(report.capture)))
    for role, title in (("weight", "Weights"), ("activation", "Outputs")):
        rows = [record for record in report.records if record.role == role]
        if rows:
            console.print()
            console.print(Text(title, style="bold"))
            columns = _COLUMNS + (_QUANTIZED if report.scheme is not None else [])
            columns += [_NONFINITE] if any(row.tensor.nonfinite_count for row in rows) else []
            console.print(fit_table(console, Column("layer", lambda row: Text(row.layer)), columns, rows))


def _number(part: Callable[[TensorRange], float]) -> Callable[[RangeRecord], Text]:
    def cell(row: RangeRecord) -> Text:
        value = part(row.tensor)
        return Text("-" if math.isnan(value) else f"{value:.4g}")

    return cell


def _percentile(index: int) -> Callable[[TensorRange], float]:
    return lambda tensor: tensor.percentiles[index] if tensor.percentiles else math.nan


def _spread(row: RangeRecord) -> Text:
    if row.channels is None:
        return Text("")
    bits = row.channels.spread_bits
    return Text("-" if math.isnan(bits) else f"{bits:.1f}")


def _quantized(row: RangeRecord) -> Text:
    quantizer = row.quantizer
    if quantizer is None:
        return Text("float")
    return Text(f"{significant(quantizer.range_min)} to {significant(quantizer.range_max)}")


def _step(row: RangeRecord) -> Text:
    return Text("" if row.quantizer is None else significant(row.quantizer.step_at(0.0)))


def _median_bits(row: RangeRecord) -> Text:
    bits = row.median_channel_bits
    return Text("" if math.isnan(bits) else f"{bits:.1f}")


_COLUMNS: list[Column[RangeRecord]] = [
    Column("min", _number(lambda t: t.min), 100, dash=_NO_VALUE),
    Column("0.1 %", _number(_percentile(_LOW)), 70, dash=_NO_VALUE),
    Column("median", _number(_percentile(_MEDIAN)), 60, dash=_NO_VALUE),
    Column("99.9 %", _number(_percentile(_HIGH)), 70, dash=_NO_VALUE),
    Column("max", _number(lambda t: t.max), 100, dash=_NO_VALUE),
    Column("mean", _number(lambda t: t.mean), 40, dash=_NO_VALUE),
    Column("std", _number(lambda t: t.std), 50, dash=_NO_VALUE),
    Column("kurtosis", _number(lambda t: t.kurtosis), 65, dash="all values are equal, or none is finite"),
    Column("zeros\n%", lambda row: Text(percent(row.tensor.zero_fraction)), 45, dash=_NO_VALUE),
    Column("spread\nbits", _spread, 90, dash="the median channel is zero everywhere"),
]
_QUANTIZED: list[Column[RangeRecord]] = [
    Column("quantized", _quantized, 96),
    Column("step\nat 0", _step, 95),
    Column("median\nbits", _median_bits, 92),
]
_NONFINITE: Column[RangeRecord] = Column(
    "NaN, Inf\ncount", lambda row: Text(str(row.tensor.nonfinite_count), style="bold red"), 95
)
