"""What `qdiag fold` prints: a row per BatchNorm, a row per activation, and the reasons in sentences."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from qdiag.cli.options.common import Order
from qdiag.cli.parameters import as_options
from qdiag.cli.tables.fit import Column, fit_table
from qdiag.cli.tables.sqnr_header import Lines, capture_lines, data_lines, header_grid, model_lines, size_lines
from qdiag.core.measures.folding import BatchNormFold, ClampSite, FoldReport
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.reading.words.folding.batchnorms import delta_sentence, headline, kept_sentences, layer_words, side_words
from qdiag.reading.words.folding.clamps import bounds_words, clamp_sentences, example_sentences
from qdiag.reading.words.layers import tensor_scheme_words
from qdiag.reading.words.numbers import significant

_TOP_WORST = 25
_KEPT = "the BatchNorm was not folded"
_NO_GAIN = "the BatchNorm holds no statistics"
_TWO_LAYERS = "there is no quantizer before the activation to compare with"

_Row = TypeVar("_Row", BatchNormFold, ClampSite)


def print_fold(console: Console, report: FoldReport, order: Order, top: int | None) -> None:
    """Header, headline, both tables, sentences and the worked example on `console`."""
    console.print(header_grid(*_header(report)))
    console.print()
    console.print(Text(headline(report), style="bold"))
    if report.folded:
        console.print(Text(delta_sentence(report)), soft_wrap=False)
    if report.batchnorms:
        norms, left = _ordered(report.batchnorms, [norm.relative_delta for norm in report.batchnorms], order, top)
        console.print()
        console.print(fit_table(console, Column("BatchNorm", _name), _NORM_COLUMNS, norms))
        _print_left(console, left, "BatchNorm")
    _print_lines(console, kept_sentences(report))
    if report.clamps:
        sites, left = _ordered(report.clamps, [site.step_over_shared for site in report.clamps], order, top)
        console.print()
        console.print(fit_table(console, Column("layer", lambda site: Text(site.layer)), _CLAMP_COLUMNS, sites))
        _print_left(console, left, "activation")
    _print_lines(console, clamp_sentences(report))
    _print_lines(console, example_sentences(report.example))
    if report.written_to is not None:
        _print_lines(console, [f"The folded network is written to {report.written_to}."])


def _header(report: FoldReport) -> Lines:
    yield from model_lines(report.model)
    yield "scheme", Text(report.scheme.name, style="bold")
    yield "", Text(f"activations  {tensor_scheme_words(report.scheme.activations)}")
    yield from size_lines(report.size)
    yield from data_lines(report.data)
    yield from capture_lines(replace(report.capture, folded_batchnorms=(), kept_batchnorms=()))
    for note in report.notes:
        yield "note", Text(as_options(note))


def _ordered(rows: Sequence[_Row], figures: Sequence[float], order: Order, top: int | None) -> tuple[list[_Row], int]:
    shown = list(rows)
    if order == "worst":
        by_figure = sorted(range(len(rows)), key=lambda i: -math.inf if math.isnan(figures[i]) else figures[i])
        shown = [rows[i] for i in reversed(by_figure)]
        top = _TOP_WORST if top is None else top
    kept = shown[:top] if top else shown
    return kept, len(shown) - len(kept)


def _print_left(console: Console, left: int, noun: str) -> None:
    if left:
        console.print(Text(f"{left} more {noun}{'' if left == 1 else 's'}, --top 0 shows all", style="dim"))


def _print_lines(console: Console, sentences: Iterable[str]) -> None:
    lines = list(sentences)
    if lines:
        console.print()
    for line in lines:
        console.print(Text(line))


def _name(norm: BatchNormFold) -> Text:
    return Text(norm.label, style="" if norm.is_folded else "yellow")


def _layer(norm: BatchNormFold) -> Text:
    if not norm.is_folded:
        return Text("stays", style="yellow")
    return Text(norm.layer.name if norm.layer is not None else "-")


def _figure(value: float, form: str = "{:.3g}") -> Text:
    return Text("-" if math.isnan(value) else form.format(value))


def _yes(value: bool | None) -> Text:
    return Text("-") if value is None else Text("yes", style="green") if value else Text("no", style="yellow")


def _range(quantizer: QuantizerRecord | None) -> Text:
    if quantizer is None:
        return Text("-")
    return Text(f"{significant(quantizer.range_min)} to {significant(quantizer.range_max)}")


_NORM_COLUMNS: list[Column[BatchNormFold]] = [
    Column("folds into", _layer, 100, is_left=True, dash="no neighbouring layer takes the BatchNorm in"),
    Column("its kind", lambda norm: Text(layer_words(norm) if norm.is_folded else ""), 70, is_left=True),
    Column("its place", lambda norm: Text(side_words(norm) if norm.is_folded else ""), 80, is_left=True),
    Column("gain\nmin", lambda norm: _figure(norm.gain_min_abs), 50, dash=_NO_GAIN),
    Column("gain\nmax", lambda norm: _figure(norm.gain_max_abs), 60, dash=_NO_GAIN),
    Column("weight\nbefore", lambda norm: _figure(norm.weight_max_abs), 65, dash=_KEPT),
    Column("weight\nfolded", lambda norm: _figure(norm.folded_max_abs), 66, dash=_KEPT),
    Column("output\nchange", lambda norm: _figure(norm.max_abs_delta, "{:.1e}"), 90, dash=_KEPT),
    Column("relative\nchange", lambda norm: _figure(norm.relative_delta, "{:.1e}"), 95, dash=_KEPT),
]
_CLAMP_COLUMNS: list[Column[ClampSite]] = [
    Column("operation", lambda site: Text(site.operation), 75, is_left=True),
    Column("activation", lambda site: Text(site.activation), 95, is_left=True),
    Column("bounds", lambda site: Text(bounds_words(site)), 50, is_left=True),
    Column("one\nquantizer", lambda site: _yes(site.is_shared), 100, is_left=True),
    Column(
        "its range", lambda site: _range(site.quantizer), 70, is_left=True, dash="the scheme leaves the output in float"
    ),
    Column("range before\nthe clamp", lambda site: _range(site.between), 60, is_left=True, dash=_TWO_LAYERS),
    Column("step before\nover shared", lambda site: _figure(site.step_over_shared), 90, dash=_TWO_LAYERS),
    Column("clamp\nis free", lambda site: _yes(site.is_free), 65, is_left=True, dash="no quantizer is shared"),
]
