"""What `qdiag branches` prints: a row per block, a row per branch, and what both come to in sentences."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from qdiag.cli.options.common import Order
from qdiag.cli.tables.change_lines import quantized_lines
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import Lines, capture_lines, data_lines, header_grid, model_lines, size_lines
from qdiag.core.measures.branches import (
    FUSION_LOSS_DB,
    Activations,
    Branch,
    BranchBlock,
    BranchesReport,
    BranchRepair,
    Condition,
    NormFigures,
)
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.ranges import TensorRange
from qdiag.reading.words.branches.advice import advice_sentences
from qdiag.reading.words.branches.verdicts import block_sentences, headline, verdict_words
from qdiag.reading.words.layers import shorten
from qdiag.reading.words.numbers import number, significant
from qdiag.reading.words.task.figures import recovery_words, score_words

_TOP_WORST = 25
_VERDICT_AT_MOST = 30
_UNFUSED = "the block was not fused, or the scheme leaves it in float"
_UNMEASURED = "the output of the block was not measured in that network"
_NO_NORM = "no BatchNorm ends the branch"
_NO_WEIGHT = "no single convolution computes it"


def print_branches(console: Console, report: BranchesReport, order: Order, top: int | None) -> None:
    """Header, headline, both tables, sentences, repairs and advice on `console`."""
    console.print(header_grid(*_header(report)))
    console.print()
    console.print(Text(headline(report), style="bold"))
    if not report.blocks:
        return
    blocks, left = ordered(report, order, top)
    console.print()
    console.print(fit_table(console, Column("block", lambda block: Text(block.name)), _BLOCK_COLUMNS, blocks))
    if left:
        console.print(Text(f"{left} more {'block' if left == 1 else 'blocks'}, --top 0 shows all", style="dim"))
    console.print()
    rows = [row for block in blocks for row in _rows(block)]
    console.print(fit_table(console, Column("branch", _row_name), _branch_columns(rows), rows))
    sentences = [sentence for block in blocks for sentence in block_sentences(block)]
    _print_paragraph(console, sentences)
    if report.repairs:
        console.print()
        name = Column[BranchRepair]("repair of the\nfused network", lambda repair: Text(repair.repair))
        console.print(fit_table(console, name, _repair_columns(report), report.repairs))
        refused = [repair for repair in report.repairs if repair.refused is not None]
        _print_paragraph(console, [f"{repair.repair} was refused: {repair.refused}." for repair in refused])
    _print_paragraph(console, list(advice_sentences(report)))


def ordered(report: BranchesReport, order: Order, top: int | None) -> tuple[list[BranchBlock], int]:
    """The blocks to show, and how many are left out; worst are those furthest below the limit of a condition, or that
    lose most by fusion."""
    blocks = list(report.blocks)
    if order == "worst":
        blocks.sort(key=_margin_db)
        top = _TOP_WORST if top is None else top
    shown = blocks[:top] if top else blocks
    return shown, len(blocks) - len(shown)


def _margin_db(block: BranchBlock) -> float:
    known = [FUSION_LOSS_DB - block.fusion_loss_db] if block.has_fusion_loss else []
    known += [c.sqnr_db - c.limit_db for c in (block.c1, block.c2) if c is not None and not math.isnan(c.sqnr_db)]
    return min(known, default=math.inf)


def _print_paragraph(console: Console, sentences: Sequence[str]) -> None:
    if sentences:
        console.print()
    for sentence in sentences:
        console.print(Text(sentence), soft_wrap=False)


def _header(report: BranchesReport) -> Lines:
    before, after = report.before, report.after
    yield from model_lines(report.model)
    yield "scheme", Text(before.scheme.name, style="bold")
    yield from size_lines((after or before).size)
    yield from data_lines(before.data)
    yield from capture_lines(before.capture)
    if after is not None:
        moved = f"{report.float_max_abs_delta:.1e} at most, {report.float_relative_delta:.1e} of its largest value"
        yield "fused", Text(f"float output moved by {moved}")
        yield "", Text("quantized, as read → fused:")
        for _, line in quantized_lines(before, after):
            yield "", line
    for note in report.notes:
        yield "note", Text(note)


def _sqnr(error: ErrorSums | None) -> Text:
    return Text("-" if error is None else number(error.sqnr_db))


def _condition(condition: Condition | None) -> Text:
    if condition is None or condition.holds is None:
        return Text("-", style="dim")
    return Text(number(condition.sqnr_db), style="" if condition.holds else "bold red")


def _verdict(block: BranchBlock) -> Text:
    words = verdict_words(block)
    style = "green" if words == "quantizes well" else "yellow" if words == "not fused" else "red"
    return Text(shorten(words, _VERDICT_AT_MOST), style=style)


def _moved(block: BranchBlock) -> Text:
    return Text("-" if block.fusion is None else f"{block.fusion.relative_delta:.0e}")


_BLOCK_COLUMNS: list[Column[BranchBlock]] = [
    Column("C1\ndB", lambda block: _condition(block.c1), 98, dash=_UNFUSED),
    Column("C2\ndB", lambda block: _condition(block.c2), 97, dash=_UNFUSED),
    Column("as read\ndB", lambda block: _sqnr(block.before), 94, dash=_UNMEASURED),
    Column("fused\ndB", lambda block: _sqnr(block.after), 95, dash=_UNMEASURED),
    Column("sum over\nbranches", lambda block: _figure(block.variance_inflation), 60, dash="no branch varies"),
    Column("fusion\nmoved", _moved, 50, dash="the block was not fused"),
    Column("verdict", _verdict, 99, is_left=True),
]


@dataclass(frozen=True)
class _Row:
    """A branch of a block, or the block's fused convolution where `branch` is None."""

    block: BranchBlock
    branch: Branch | None

    @property
    def weight(self) -> TensorRange | None:
        if self.branch is not None:
            return self.branch.weight
        return self.block.fusion.weight if self.block.fusion is not None else None

    @property
    def activations(self) -> Activations | None:
        return self.branch.activations if self.branch is not None else self.block.sum


def _rows(block: BranchBlock) -> Iterator[_Row]:
    yield _Row(block, None)
    yield from (_Row(block, branch) for branch in block.branches)


def _row_name(row: _Row) -> Text:
    if row.branch is None:
        return Text(row.block.name, style="bold")
    name = row.branch.name.removeprefix(f"{row.block.name}.")
    return Text(f"  {name}", style="red" if _is_at_fault(row) else "")


def _is_at_fault(row: _Row) -> bool:
    conditions = (row.block.c1, row.block.c2)
    return any(c is not None and c.holds is False and c.at_fault == row.branch.name for c in conditions if row.branch)


def _branch_columns(rows: Sequence[_Row]) -> list[Column[_Row]]:
    found: list[Column[_Row]] = [
        Column("alpha\nmax", lambda row: _of_norm(row, lambda norm: norm.gain_max_abs), 99, dash=_NO_NORM),
        Column("alpha\nrange", lambda row: _of_norm(row, lambda norm: norm.gain_range), 70, dash=_NO_NORM),
        Column("alpha\nstd", lambda row: _of_norm(row, lambda norm: norm.gain_std), 72, dash=_NO_NORM),
        Column("weight\nmin", lambda row: _of_weight(row, lambda weight: weight.min), 91, dash=_NO_WEIGHT),
        Column("weight\nmax", lambda row: _of_weight(row, lambda weight: weight.max), 92, dash=_NO_WEIGHT),
        Column("weight\nstd", lambda row: _of_weight(row, lambda weight: weight.std), 93, dash=_NO_WEIGHT),
        Column("output\nvariance", _variance, 94, dash="the output was not measured"),
    ]
    if any(row.block.alignment is not None for row in rows):
        found.append(Column("beta\ndistance", _beta, 85))
    if any(row.branch is not None and not math.isnan(row.branch.without_sqnr_db) for row in rows):
        found.append(Column("C1 dB\nwithout", _without, 80, dash="the scheme leaves the weight in float"))
    return found


def _of_norm(row: _Row, figure: Callable[[NormFigures], float]) -> Text:
    norm = row.branch.norm if row.branch is not None else row.block.norm
    if norm is None and row.branch is None:
        return Text("")  # most blocks have none behind their sum
    return _figure(math.nan if norm is None else figure(norm))


def _of_weight(row: _Row, figure: Callable[[TensorRange], float]) -> Text:
    return _figure(math.nan if row.weight is None else figure(row.weight))


def _variance(row: _Row) -> Text:
    return _figure(math.nan if row.activations is None else row.activations.variance_mean)


def _beta(row: _Row) -> Text:
    alignment = row.block.alignment
    if alignment is None or row.branch is None:
        return Text("")
    found = next((one for one in alignment.branches if one.branch == row.branch.name), None)
    if found is None:
        return Text("")
    return Text(significant(found.distance), style="" if found.is_aligned else "yellow")


def _without(row: _Row) -> Text:
    return Text("") if row.branch is None else _decibels(row.branch.without_sqnr_db)


def _decibels(value: float) -> Text:
    return Text("-" if math.isnan(value) else number(value))


def _figure(value: float) -> Text:
    return Text("-" if math.isnan(value) else significant(value))


def _repair_columns(report: BranchesReport) -> list[Column[BranchRepair]]:
    judged = report.after.task.judged if report.after is not None else None
    criterion = judged.criterion if judged is not None else None

    def result(repair: BranchRepair) -> Text:
        if repair.refused is not None:
            return Text("refused", style="yellow")
        return Text("-" if repair.score is None else score_words(repair.score, criterion))

    def gain(repair: BranchRepair) -> Text:
        recovery = repair.recovery
        if recovery is None:
            return Text("")
        return Text(recovery_words(recovery, criterion), style="green" if recovery.is_gain else "dim")

    return [
        Column("layers", lambda repair: Text(str(len(repair.layers))), 60),
        Column("comes to", result, 95, is_left=True, dash="the repair was not measured"),
        Column("recovers", gain, 94, is_left=True),
    ]
