"""A result as plain text of a few lines."""

from collections.abc import Iterator

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.listed import listed
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.value_ranges.ranges_report import RangeReport
from qdiag.reading.words.causes import VERDICT_WORDS, cause_line, cause_title, commands, headline, repair_title
from qdiag.reading.words.layer_row import layer_rows, weakest, worst_first
from qdiag.reading.words.numbers import significant
from qdiag.reading.words.scheme_changes import scheme_changes
from qdiag.reading.words.task.afterwards import repair_heading
from qdiag.reading.words.task.figures import score_words
from qdiag.reading.words.task.harm import measured_harm_words

_LAYERS_SHOWN = 5


def diagnosis_summary(diagnosis: Diagnosis) -> str:
    """Headline, suspects with their verdicts, changes of scheme, commands."""
    return "\n".join(_diagnosis_lines(diagnosis))


def _diagnosis_lines(diagnosis: Diagnosis) -> Iterator[str]:
    ranking = diagnosis.ranking
    yield headline(diagnosis)
    for cause in ranking.causes:
        if cause.verdict in ("cause", "undecided", "fused"):
            yield f"{cause.rank}. {VERDICT_WORDS[cause.verdict]}: {cause_line(cause)}"
            continue
        where = f"{cause.code} {cause_title(cause.code)}, in {listed(cause.layers)}"
        yield f"{cause.rank}. {VERDICT_WORDS[cause.verdict]}: {where}"
    changes = [(repair_title(one.repair), one.after) for one in scheme_changes(ranking)]
    if changes:
        yield "Under another scheme:"
        yield from (f"  {title}: {score_words(after, ranking.criterion)}" for title, after in changes if after)
    lines = commands(diagnosis)
    if lines:
        yield repair_heading(ranking, lines)
        yield from (f"  {line}" for line in lines)


def measurement_summary(measurement: Measurement) -> str:
    """What the network lost, and its weakest layers."""
    rows = layer_rows(measurement.records)
    lines = [measured_harm_words(measurement)]
    if weakest(rows) is not None:
        lines.append("Weakest layers, local and propagated SQNR:")
        worst = [row for row in worst_first(rows, "local") if not row.is_float][:_LAYERS_SHOWN]
        lines += [f"  {row.record.name}: {row.local_db:.1f} dB, {row.propagated_db:.1f} dB" for row in worst]
    return "\n".join(lines)


def ranges_summary(report: RangeReport) -> str:
    """The widest ranges."""
    widest = sorted(report.records, key=lambda one: max(abs(one.tensor.min), abs(one.tensor.max)), reverse=True)
    lines = ["Widest ranges:"]
    for one in widest[:_LAYERS_SHOWN]:
        low, high = significant(one.tensor.min), significant(one.tensor.max)
        lines.append(f"  {one.role} of {one.layer}: {low} to {high}")
    return "\n".join(lines)
