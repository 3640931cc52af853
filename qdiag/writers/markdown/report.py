"""A diagnosis as report.md: the verdict first, then why, where, and how it was measured."""

from collections.abc import Iterator, Sequence

from qdiag.core.causes.ranking import Ranking
from qdiag.core.causes.score import Score
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import Figure
from qdiag.reading.words.causes import commands, headline
from qdiag.reading.words.commands.repairing import scheme_words
from qdiag.reading.words.deployed.edits import edit_lines
from qdiag.reading.words.float_ops import float_share_warning
from qdiag.reading.words.numbers import SILENT, UNKNOWN
from qdiag.reading.words.preprocessing import preprocessing_command, preprocessing_warning
from qdiag.reading.words.task.afterwards import afterwards_words, repair_heading
from qdiag.reading.words.task.choice import judged_words, next_step_words
from qdiag.reading.words.task.figures import WEAKEST_SQNR, change_with_bounds, level, value_words
from qdiag.writers.markdown.causes import causes_section, training_section, waterfall_section, ways_around_section
from qdiag.writers.markdown.layers import batchnorm_section, layers_section, losses_section, ranges_section
from qdiag.writers.markdown.sweeps import (
    bits_section,
    method_section,
    other_findings_section,
    sensitivity_section,
)
from qdiag.writers.markdown.text import PictureLink, code, shell, table, text


def markdown_report(diagnosis: Diagnosis, links: Sequence[PictureLink] = ()) -> str:
    """The whole report.

    Args:
        links: pictures that lie beside it; without them the report is text and tables alone.
    """
    blocks = [
        _verdict(diagnosis),
        causes_section(diagnosis),
        waterfall_section(diagnosis, links),
        ways_around_section(diagnosis),
        training_section(diagnosis),
        layers_section(diagnosis, links),
        ranges_section(diagnosis, links),
        batchnorm_section(diagnosis, links),
        losses_section(diagnosis, links),
        sensitivity_section(diagnosis, links),
        bits_section(diagnosis, links),
        other_findings_section(diagnosis),
        method_section(diagnosis),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _verdict(diagnosis: Diagnosis) -> str:
    measurement, ranking = diagnosis.measurement, diagnosis.ranking
    lines = commands(diagnosis)
    blocks = [
        f"# Quantization diagnosis: {code(measurement.model.architecture)} under {code(measurement.scheme.name)}",
        *_reservations(diagnosis),
        f"**{text(headline(diagnosis))}**",
    ]
    if measurement.data.is_data_free:
        blocks.append(
            "> **Data-free:** no real input was seen. Inputs were drawn to match the BatchNorm statistics, so take the "
            "order of causes from here and the size of the loss from real data."
        )
    blocks.append(text(f"{_first_upper(judged_words(ranking.before.task))}. {_next_step(ranking)}".rstrip()))
    if diagnosis.file_edits and measurement.deployed is not None:
        blocks.append(f"What changes in {code(measurement.deployed.source)}:")
        blocks.append("\n".join(f"- {text(line)}" for line in edit_lines(diagnosis.file_edits)))
    if lines:
        blocks += [repair_heading(ranking, lines), shell(lines)]
        left = afterwards_words(ranking.repaired)
        if left:
            blocks.append(text(left))
        if scheme_words(lines):
            blocks.append(f"{text(scheme_words(lines))}.")
    blocks.append(_figures(ranking))
    return "\n\n".join(blocks)


def _next_step(ranking: Ranking) -> str:
    task = ranking.before.task
    if task.judged is not None and task.judged.criterion.is_against_float:
        return (
            f"What is counted is agreement with the float network's own answers, not accuracy. {next_step_words(task)}"
        )
    return next_step_words(task)


def _first_upper(words: str) -> str:
    return words[:1].upper() + words[1:]


def _reservations(diagnosis: Diagnosis) -> Iterator[str]:
    """What puts the verdict below in doubt: inputs prepared in another way, or much of the network in float."""
    warning, command = preprocessing_warning(diagnosis.measurement), preprocessing_command(diagnosis)
    if warning is not None:
        yield f"> **{text(warning)}**"
        if command is not None:
            yield from ("To look again with other inputs:", shell([command]))
    share = float_share_warning(diagnosis.measurement)
    if share is not None:
        yield f"> {text(share)}."


def _figures(ranking: Ranking) -> str:
    """What the float, the quantized and the repaired network come to; the figure that judges stands first."""
    repaired = ranking.repaired if ranking.waterfall else None
    rows = [_figure_row(figure, repaired) for figure in ranking.before.task.figures]
    if ranking.before.outputs:
        rows.append(
            (
                WEAKEST_SQNR,
                "",
                f"{UNKNOWN}: {SILENT}"
                if ranking.before.is_silent
                else text(value_words(None, ranking.before.output_sqnr_db)),
                "",
                text(value_words(None, repaired.output_sqnr_db)) if repaired else "",
            )
        )
    has_rise = any(not figure.criterion.higher_is_better for figure in ranking.before.task.figures)
    header = ["", "float #", "quantized #", "lost" if has_rise else "drop", "repaired #"]
    if repaired is None:
        header, rows = header[:-1], [row[:-1] for row in rows]
    samples = ranking.before.task.sample_count
    counted = f"\n\nOn {samples} samples." if samples else ""
    return table(header, rows) + counted if rows else ""


def _figure_row(figure: Figure, repaired: Score | None) -> tuple[str, ...]:
    criterion = figure.criterion
    after = text(value_words(criterion, level(repaired, criterion))) if repaired is not None else ""
    if criterion.is_against_float:
        name = "same answer as float" if figure.counts is not None else f"{criterion.name} with float"
        return text(name), "", text(value_words(criterion, figure.simulated)), "", after
    return (
        text(criterion.name),
        text(value_words(criterion, figure.reference)),
        text(value_words(criterion, figure.simulated)),
        text(change_with_bounds(criterion, figure.loss, figure.loss_interval)),
        after,
    )
