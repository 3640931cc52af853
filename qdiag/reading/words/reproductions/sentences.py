"""Figures, runs and verdicts of an experiment as sentences, the same on the terminal and in reports."""

import math
import shlex

from qdiag.core.reproductions.expectations import Judged, Outcome
from qdiag.core.reproductions.published import sources_of
from qdiag.core.reproductions.reproduction import Cell, Reproduction
from qdiag.reading.words.numbers import UNKNOWN, count_noun, number
from qdiag.reading.words.reproductions import WORDS
from qdiag.reading.words.reproductions.base import ColumnWords, ExperimentWords

OUTCOME_WORDS: dict[Outcome, str] = {"holds": "confirmed", "fails": "not confirmed", "undecided": "not decided"}


def words_of(result: Reproduction) -> ExperimentWords:
    """Those of its experiment."""
    return WORDS[result.experiment]


def cell_words(cell: Cell, column: ColumnWords) -> str:
    """`93.4 ± 1.2`: mean and standard deviation over the seeds; a dash where nothing was measured."""
    if not cell.values:
        return "-"
    words = number(cell.mean, column.decimals)
    return words if math.isnan(cell.spread) else f"{words} ± {number(cell.spread, column.decimals)}"


def published_words(cell: Cell, column: ColumnWords) -> str:
    """The published figure; empty where there is none."""
    return "" if cell.published is None else f"{cell.published:.{max(column.decimals, 1)}f}"


def published_columns(result: Reproduction) -> tuple[str, ...]:
    """Keys of the columns for which something was published."""
    return tuple(dict.fromkeys(cell.place.column for cell in result.cells if cell.published is not None))


def statement(result: Reproduction, judged: Judged) -> str:
    """What was expected, as a sentence."""
    words = words_of(result).statements[judged.expectation.key]
    return f"{words[:1].upper()}{words[1:]}."


def measured_words(result: Reproduction, judged: Judged) -> str:
    """`+5.2 pp, 90 % interval 4.1 to 6.3, expected more than 1.0`."""
    expectation = judged.expectation
    column = words_of(result).columns[expectation.left.column]
    is_level = expectation.right is None
    unit = column.unit if is_level else column.change_unit
    if not judged.differences:
        return UNKNOWN
    sign = "" if is_level or judged.mean < 0 else "+"
    words = f"{sign}{number(judged.mean, column.decimals)} {unit}"
    if math.isfinite(judged.margin):
        low, high = judged.mean - judged.margin, judged.mean + judged.margin
        words += f" (90 % interval {number(low, column.decimals)} to {number(high, column.decimals)})"
    bound = number(expectation.bound, column.decimals)
    wanted = {"more": f"more than {bound}", "less": f"less than {bound}", "close": f"within ±{bound}"}
    return f"{words}, expected {wanted[expectation.kind]}"


def reason_words(result: Reproduction, judged: Judged) -> str:
    """Why it did not come out, as far as the results tell; empty where it did."""
    if judged.outcome == "holds":
        return ""
    known = words_of(result).reasons
    found = [known[reason.key](reason.figures) for reason in judged.reasons]
    if not found and len(judged.differences) == 1:
        return "One seed decides nothing."
    if not found:
        return "The results do not tell why."
    return " ".join(f"{words[:1].upper()}{words[1:]}." for words in found)


def headline(result: Reproduction) -> str:
    """How many expectations came out."""
    counts = {outcome: sum(one.outcome == outcome for one in result.judged) for outcome in OUTCOME_WORDS}
    parts = [f"{counts[outcome]} {words}" for outcome, words in OUTCOME_WORDS.items() if counts[outcome]]
    return f"{words_of(result).title}: of {count_noun(len(result.judged), 'expectation')}, {', '.join(parts)}."


def run_lines(result: Reproduction) -> tuple[tuple[str, str], ...]:
    """What was trained, on what, for how long, and where: a title and a sentence each."""
    run, images = result.run, result.run.images
    shape = " x ".join(map(str, images.shape))
    mirrored = "shifted and mirrored at random" if images.is_mirrored else "shifted at random"
    seeds = count_noun(len(result.seeds), "seed")
    if len(result.seeds) < run.seed_count:
        seeds += f" of {run.seed_count}, for which the time sufficed"
    chosen = f", which {run.minutes:g} minutes allow" if run.are_epochs_chosen and run.minutes is not None else ""
    trained = sum(seed.trained_epochs for seed in result.seeds)
    took = sum(seed.seconds for seed in result.seeds) / 60.0
    cpu = sum(seed.cpu_seconds for seed in result.seeds) / 60.0
    diverged = diverged_words(result)
    threads, torch = count_noun(run.threads, "thread"), result.versions.get("torch", "?")
    return (
        ("images", f"{images.source}: {shape}, {count_noun(images.class_count, 'class')}"),
        (
            "division",
            f"{images.train_count:,} are trained on ({mirrored}), of which {images.calibration_count} calibrate; "
            f"{images.judge_count} choose the best epoch; {images.test_count:,} are measured; each seed has others",
        ),
        ("seeds", f"{seeds} ({', '.join(str(seed.seed) for seed in result.seeds)}); ± is their standard deviation"),
        ("training", f"{count_noun(run.epochs, 'epoch')}{chosen}; all trainings together took {trained} epochs"),
        *((("diverged", diverged),) if diverged else ()),
        (
            "machine",
            f"{run.machine}, {run.device}, {threads}, torch {torch}: {took:.1f} minutes, {cpu:.1f} of processors",
        ),
        ("published", f"{words_of(result).published_for}: {'; '.join(sources_of(result.experiment)) or 'nothing'}"),
    )


def diverged_words(result: Reproduction) -> str:
    """Which trainings diverged, by seed; empty where none did."""
    rows, found = words_of(result).rows, []
    for seed in result.seeds:
        for one in seed.diverged:
            what = rows[one.row] if one.row else "the network that others begin with"
            found.append(f"seed {seed.seed}: {what} ({one.detail})")
    return "; ".join(found) + (". Means are over the other seeds" if found else "")


def command_words(result: Reproduction) -> str:
    """The command that gives the same numbers again on the same machine."""
    run = result.run
    words = ["qdiag", "reproduce", result.experiment]
    if run.images.is_given:
        words += ["--data", run.images.source]
        words += ["--samples", str(run.images.count)]
        words += ["--resize", str(run.images.resized)] if run.images.resized is not None else []
    if run.width != 1.0:
        words += ["--width", f"{run.width:g}"]
    words += ["--device", "cuda"] if run.device.startswith("cuda") else []
    return shlex.join([*words, "--epochs", str(run.epochs), "--seeds", str(len(result.seeds))])
