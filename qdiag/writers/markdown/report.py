"""A diagnosis as report.md: the verdict first, then why, where, and how it was measured."""

import math
from collections.abc import Iterator, Sequence

from qdiag.core.causes.ranking import Ranking, Score
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import PairedCounts
from qdiag.writers.markdown.causes import causes_section, waterfall_section, ways_around_section
from qdiag.writers.markdown.layers import batchnorm_section, layers_section, losses_section, ranges_section
from qdiag.writers.markdown.sweeps import (
    bits_section,
    method_section,
    other_findings_section,
    sensitivity_section,
)
from qdiag.writers.markdown.text import PictureLink, code, shell, table, text
from qdiag.writers.words.causes import commands, headline
from qdiag.writers.words.float_ops import float_share_warning
from qdiag.writers.words.numbers import UNKNOWN, number, with_interval, with_unit
from qdiag.writers.words.preprocessing import preprocessing_command, preprocessing_warning


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
    elif ranking.task_kind == "agreement":
        blocks.append("The data hold no labels: what is counted is agreement with the top-1 of the float network.")
    if lines:
        blocks += ["To repair it:", shell(lines)]
        if any("--set" in line for line in lines):
            blocks.append(
                "`--set` changes the scheme of the whole network; the figures below repair the named layers alone."
            )
    blocks.append(_figures(ranking))
    return "\n\n".join(blocks)


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
    """What the float, the quantized and the repaired network come to."""
    repaired = ranking.repaired if ranking.waterfall else None
    rows: list[tuple[str, ...]] = []
    before = ranking.before.task
    for name, counts, mended in (
        ("top-1", before.top1, repaired.task.top1 if repaired else None),
        ("top-5", before.top5, repaired.task.top5 if repaired else None),
    ):
        if counts is not None:
            rows.append(
                (
                    name,
                    f"{number(counts.reference_percent)} %",
                    f"{number(counts.simulated_percent)} %",
                    with_interval(counts.drop_pp, "pp", counts.drop_interval_pp),
                    _mended(mended),
                )
            )
    rows += [
        (text(m.name), f"{m.reference:.4g}", f"{m.simulated:.4g}", f"{m.reference - m.simulated:.4g}", "")
        for m in before.metrics
    ]
    if before.agreement_count is not None:
        rows.append(
            ("same top-1 as float", "", _agreement(ranking.before), "", _agreement(repaired) if repaired else "")
        )
    if ranking.before.outputs:
        rows.append(
            (
                "output SQNR",
                "",
                with_unit(ranking.before.output_sqnr_db, "dB"),
                "",
                with_unit(repaired.output_sqnr_db, "dB") if repaired else "",
            )
        )
    header = ["", "float #", "quantized #", "drop", "repaired #"]
    if repaired is None:
        header, rows = header[:-1], [row[:-1] for row in rows]
    counted = f"\n\nOn {before.sample_count} samples." if before.sample_count else ""
    return table(header, rows) + counted if rows else ""


def _mended(counts: PairedCounts | None) -> str:
    return f"{number(counts.simulated_percent)} %" if counts is not None else ""


def _agreement(score: Score) -> str:
    task = score.task
    if task.agreement_count is None or not task.sample_count:
        return UNKNOWN
    share = 100.0 * task.agreement_count / task.sample_count
    return f"{number(share)} %" if math.isfinite(share) else UNKNOWN
