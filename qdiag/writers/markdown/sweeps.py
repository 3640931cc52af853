"""The part of report.md on sweeps and origins: sensitivity, bits, method and provenance."""

import math
from collections.abc import Sequence

from qdiag.core.causes.score import Score
from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.task import Criterion
from qdiag.reading.diagnosis import Reading
from qdiag.reading.words.causes import score_words
from qdiag.reading.words.deployed.file import deployed_lines
from qdiag.reading.words.float_ops import float_op_words
from qdiag.reading.words.layers import arithmetic_words, other_widths_words, tensor_scheme_words
from qdiag.reading.words.numbers import significant
from qdiag.reading.words.size import size_words
from qdiag.reading.words.stored_ranges import stored_range_lines
from qdiag.reading.words.task.choice import judged_words
from qdiag.reading.words.task.figures import WEAKEST_SQNR, float_level, level, value_words
from qdiag.reading.words.task.sample_counts import are_on_different, is_on_few, sweep_words
from qdiag.writers.markdown.text import PictureLink, code, pictures_of, section, table, text

_ROWS = 8
_PART_WORDS = {"both": "quantizers", "weights": "weight quantizer", "activations": "activation quantizer"}


def sensitivity_section(diagnosis: Diagnosis, links: Sequence[PictureLink]) -> str:
    """The layers that cost most by themselves."""
    sweep = diagnosis.sensitivity
    if sweep is None or not sweep.most_sensitive:
        return ""
    criterion = diagnosis.ranking.criterion
    has_all_but = any(row.all_but for row in sweep.rows)
    rows = [
        (
            code(row.layer),
            text(score_words(row.alone, criterion)) if row.alone else "",
            *((text(score_words(row.all_but, criterion)) if row.all_but else "",) if has_all_but else ()),
            *(_samples(row.alone, criterion) if is_on_few(sweep) else ()),
            significant(row.fisher) if not math.isnan(row.fisher) else "",
        )
        for row in sweep.most_sensitive[:_ROWS]
    ]
    others = ", and all but this layer's" if has_all_but else ""
    on = ", on all samples" if is_on_few(sweep) else ""
    intro = (
        f"Only this layer's {_PART_WORDS[sweep.part]} on{others}; the most sensitive of {len(sweep.rows)} layers "
        f"first. With everything quantized{on}: {text(score_words(sweep.quantized, criterion))}."
    )
    if sweep_words(sweep):
        intro += f" {sweep_words(sweep)}"
    if not math.isnan(sweep.fisher_rank_correlation):
        intro += (
            f" The estimate from one backward pass (Fisher) orders the layers with a rank correlation of "
            f"{sweep.fisher_rank_correlation:.2f} to what was measured."
        )
    own = [*(["all but this layer"] if has_all_but else []), *(_sample_columns(criterion) if is_on_few(sweep) else [])]
    header = ("layer", "this layer alone", *own, "Fisher estimate #")
    return section("Sensitivity", intro, table(header, rows), *pictures_of(links, "sensitivity"))


def _sample_columns(criterion: Criterion | None) -> list[str]:
    there = ["float network, same samples #"] if criterion is not None and not criterion.is_against_float else []
    return ["samples #", *there]


def _samples(score: Score | None, criterion: Criterion | None) -> list[str]:
    """On how many samples a layer was measured, and what the float network has on these."""
    if score is None:
        return [""] * len(_sample_columns(criterion))
    cells = [f"{score.task.sample_count:,}", text(value_words(criterion, float_level(score.task, criterion)))]
    return cells[: len(_sample_columns(criterion))]


def bits_section(diagnosis: Diagnosis, links: Sequence[PictureLink]) -> str:
    """Other widths of all weights and activations."""
    criterion, has_counts = diagnosis.ranking.criterion, are_on_different(diagnosis.bits)
    rows: list[tuple[str, ...]] = []
    for point in sorted(diagnosis.bits, key=lambda point: point.bits):
        judged = [text(value_words(criterion, level(point.score, criterion)))] if criterion is not None else []
        seen = _samples(point.score, criterion) if has_counts else []
        rows.append((str(point.bits), *judged, text(value_words(None, point.score.output_sqnr_db)), *seen))
    own = [f"{text(criterion.name)} #"] if criterion is not None else []
    header = (
        "bits of weights and activations #",
        *own,
        f"{WEAKEST_SQNR} #",
        *(_sample_columns(criterion) if has_counts else []),
    )
    words = other_widths_words(diagnosis.measurement.scheme)
    intro = (text(words[:1].upper() + words[1:]),) if words else ()
    return section("Bits", *((*intro, table(header, rows), *pictures_of(links, "bits")) if rows else ()))


def method_section(reading: Reading) -> str:
    """What was measured, on what, with what: enough to do it again."""
    diagnosis, measurement = reading.diagnosis, reading.diagnosis.measurement
    ranking = diagnosis.ranking
    model, data, scheme, capture = measurement.model, measurement.data, measurement.scheme, measurement.capture
    calibrated = f" from {code(data.calibration_source)}" if data.calibration_source != data.source else ""
    labels = "labelled" if data.is_labelled else "no labels"
    rows = [
        ("model", f"{code(model.source)}, {text(model.format)}, {model.parameter_count:,} parameters"),
        ("architecture", code(model.architecture)),
        ("file digest", f"SHA-256 {code(model.file_digest, 70)}" if model.file_digest else ""),
        ("digest of the weights", f"SHA-256 {code(model.digest, 70)}"),
        ("data", f"{code(data.source)}: {data.measured_count} measured, {labels}"),
        ("calibration", f"{data.calibration_count}{calibrated}; {text(data.split)}" if data.calibration_count else ""),
        ("samples", "" if data.calibration_count else text(data.split)),
        ("preprocessing", f"{text(data.preprocessing)}; batch {data.batch_size}, seed {data.seed}"),
        ("data digest", f"SHA-256 {code(data.digest, 70)}"),
        ("scheme", code(scheme.name)),
        ("weights", text(tensor_scheme_words(scheme.weights))),
        ("activations", text(tensor_scheme_words(scheme.activations))),
        ("arithmetic", text(arithmetic_words(scheme))),
        ("quantized file", "; ".join(map(text, deployed_lines(measurement.deployed)))),
        ("stored ranges", "; ".join(map(text, stored_range_lines(capture.stored_ranges)))),
        ("size", "; ".join(map(text, size_words(measurement.size)))),
        ("graph", f"captured by {text(capture.route)}, {len(capture.folded_batchnorms)} BatchNorms folded"),
        ("left in float", "; ".join(map(text, float_op_words(measurement)))),
        ("judged", text(judged_words(ranking.before.task).removeprefix("judged "))),
        ("repairs", text(reading.effort)),
        ("time", ", ".join(f"{text(stage.stage)} {stage.elapsed_s:.1f} s" for stage in diagnosis.stages)),
        ("versions", ", ".join(f"{text(name)} {text(value)}" for name, value in diagnosis.versions.items())),
    ]
    intro = (
        "The float and the simulated quantized network ran side by side on the same samples. Intervals are 95 %, for "
        "paired proportions (Bonett and Price, 2012) where samples are counted, and over samples for means and dB."
    )
    notes = [f"- {text(note)}" for note in reading.notes]
    return section(
        "Method and provenance",
        intro,
        table(("", ""), [row for row in rows if row[1]]),
        "\n".join(["Notes:", "", *notes]) if notes else "",
    )
