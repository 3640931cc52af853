"""A diagnosis as report.md: the verdict first, then why, where, and how it was measured."""

from collections.abc import Iterator, Sequence

from qdiag.core.causes.ranking import Ranking
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.diagnosis import Reading, read
from qdiag.reading.figures import FigureRow
from qdiag.reading.labels import FLOAT, QUANTIZED, REPAIRED
from qdiag.reading.words.deployed.edits import edit_lines
from qdiag.reading.words.float_ops import float_share_warning
from qdiag.reading.words.network_end import network_end_words
from qdiag.reading.words.preprocessing import preprocessing_warning
from qdiag.reading.words.task.choice import judged_words, next_step_words
from qdiag.writers.markdown.causes import (
    causes_section,
    changes_section,
    sequence_section,
    training_section,
    untried_section,
)
from qdiag.writers.markdown.deployed import deployed_section
from qdiag.writers.markdown.layers import batchnorm_section, layers_section, losses_section, ranges_section
from qdiag.writers.markdown.sweeps import bits_section, method_section, sensitivity_section
from qdiag.writers.markdown.text import PictureLink, code, shell, table, text


def markdown_report(diagnosis: Diagnosis, links: Sequence[PictureLink] = ()) -> str:
    """The whole report.

    Args:
        links: pictures that lie beside it; without them the report is text and tables alone.
    """
    reading = read(diagnosis)
    blocks = [
        _verdict(reading),
        causes_section(reading),
        deployed_section(diagnosis),
        sequence_section(reading, links),
        changes_section(reading),
        training_section(reading),
        layers_section(diagnosis, links),
        ranges_section(diagnosis, links),
        batchnorm_section(diagnosis, links),
        losses_section(diagnosis, links),
        sensitivity_section(diagnosis, links),
        bits_section(diagnosis, links),
        untried_section(reading),
        method_section(reading),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _verdict(reading: Reading) -> str:
    diagnosis, measurement = reading.diagnosis, reading.diagnosis.measurement
    ranking = diagnosis.ranking
    blocks = [
        f"# Quantization diagnosis: {code(measurement.model.architecture)} under {code(measurement.scheme.name)}",
        *_reservations(reading),
        f"**{text(reading.headline)}**",
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
    for proposal in reading.proposals:
        blocks += [proposal.heading, shell(proposal.commands), *map(text, proposal.remarks)]
    blocks.append(_figures(reading))
    return "\n\n".join(block for block in blocks if block)


def _next_step(ranking: Ranking) -> str:
    task = ranking.before.task
    if task.judged is not None and task.judged.criterion.is_against_float:
        return (
            f"What is counted is agreement with the float network's own answers, not accuracy. {next_step_words(task)}"
        )
    return next_step_words(task)


def _first_upper(words: str) -> str:
    return words[:1].upper() + words[1:]


def _reservations(reading: Reading) -> Iterator[str]:
    """What puts the verdict below in doubt: inputs prepared in another way, or an end of the file left out."""
    measurement = reading.diagnosis.measurement
    warning = preprocessing_warning(measurement)
    if warning is not None:
        yield f"> **{text(warning)}**"
        if reading.again is not None:
            yield from (reading.again.heading, shell(reading.again.commands))
    end = network_end_words(measurement.capture.left_out)
    if end is not None:
        yield f"> {text(_first_upper(end))}."
    share = float_share_warning(measurement)
    if share is not None:
        yield f"> {text(share)}."


def _figures(reading: Reading) -> str:
    """What the float, the quantized and the repaired network come to; the figure that judges stands first."""
    rows: list[tuple[str, ...]] = [
        (text(row.name), text(row.reference), text(row.quantized), _change(row), text(row.repaired))
        for row in reading.figures
    ]
    header = ["", f"{FLOAT} #", f"{QUANTIZED} #", "change", f"{REPAIRED} #"]
    if not reading.sequence.steps:
        header, rows = header[:-1], [row[:-1] for row in rows]
    samples = reading.diagnosis.ranking.before.task.sample_count
    below = [f"On {samples} samples."] if samples else []
    below += map(text, reading.sequence.parts)
    return "\n\n".join(filter(None, (table(header, rows), " ".join(below)))) if rows else ""


def _change(row: FigureRow) -> str:
    return text(f"{row.change_label} {row.change.full}") if row.change is not None else ""
