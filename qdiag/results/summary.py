"""A result as plain text of a few lines."""

from collections.abc import Iterator

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.reading.diagnosis import read
from qdiag.reading.labels import CHANGES_TITLE
from qdiag.reading.words.layer_row import layer_rows, weakest, worst_first
from qdiag.reading.words.numbers import count_noun, decibel_words, significant
from qdiag.reading.words.task.harm import measured_harm_words

_LAYERS_SHOWN = 5

CALIBRATES_ON_MEASURED = (
    "The {samples} that are measured also gave the ranges (no calibration samples were given): on other samples "
    "quantization may cost more."
)


def diagnosis_summary(diagnosis: Diagnosis) -> str:
    """Headline, suspects with their verdicts, changes of scheme, commands."""
    return "\n".join(_diagnosis_lines(diagnosis))


def _diagnosis_lines(diagnosis: Diagnosis) -> Iterator[str]:
    reading = read(diagnosis)
    yield reading.headline
    yield from _calibration_lines(diagnosis.measurement)
    for row in reading.suspects:
        yield f"{row.rank}. {row.line}" if row.cause.verdict != "cause" else f"{row.rank}. {row.verdict}: {row.line}"
    if reading.changes:
        yield f"{CHANGES_TITLE}:"
        for change in reading.changes:
            yield f"  {change.title}, {change.tried.where}: {change.tried.afterwards}"
    for proposal in reading.proposals:
        yield proposal.heading
        yield from (f"  {line}" for line in proposal.commands)
        yield from (f"  {sentence}" for sentence in proposal.remarks)


def measurement_summary(measurement: Measurement) -> str:
    """What the network lost, and its weakest layers."""
    rows = layer_rows(measurement.records)
    lines = [measured_harm_words(measurement), *_calibration_lines(measurement)]
    if weakest(rows) is not None:
        lines.append("Weakest layers, local and propagated SQNR:")
        worst = [row for row in worst_first(rows, "local") if not row.is_float][:_LAYERS_SHOWN]
        lines += [
            f"  {row.record.name}: {decibel_words(row.local_db)}, {decibel_words(row.propagated_db)}" for row in worst
        ]
    return "\n".join(lines)


def _calibration_lines(measurement: Measurement) -> tuple[str, ...]:
    """That ranges fit the measured samples better than others, where those calibrate."""
    data = measurement.data
    samples = count_noun(data.measured_count, "sample")
    return (CALIBRATES_ON_MEASURED.format(samples=samples),) if data.calibrates_on_measured else ()


def ranges_summary(report: RangeReport) -> str:
    """The widest ranges."""
    widest = sorted(report.records, key=lambda one: max(abs(one.tensor.min), abs(one.tensor.max)), reverse=True)
    lines = ["Widest ranges:"]
    for one in widest[:_LAYERS_SHOWN]:
        low, high = significant(one.tensor.min), significant(one.tensor.max)
        lines.append(f"  {one.role} of {one.layer}: {low} to {high}")
    return "\n".join(lines)
