"""What `qdiag fix-bn` prints: the proof above, one row per BatchNorm below, and the reasons of refusals."""

import math

from rich.console import Console
from rich.text import Text

from qdiag.cli.tables.batchnorm_rows import print_batchnorms
from qdiag.cli.tables.repair import print_end, print_head
from qdiag.cli.tables.sqnr_header import Lines
from qdiag.core.causes.repair import ModelRepair
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.reading.words.numbers import count_noun

_METHOD_WORDS = {
    "mean": "mean: the variance of a dead channel becomes the mean variance of its layer's live channels",
    "constant": "constant: gamma of a dead channel becomes 0, what is left is its constant, beta",
}


def print_fix(console: Console, fix: ModelRepair, *, is_dry_run: bool = False) -> None:
    """Header, table and reasons on `console`."""
    print_head(console, fix, _head_lines(fix))
    if fix.batchnorms:
        console.print()
        print_batchnorms(console, fix)
        if range_words(fix):
            console.print(Text(range_words(fix)))
    print_end(console, fix, _last_line(fix, is_dry_run))


def range_words(fix: ModelRepair) -> str:
    """In how many of the BatchNorms the repair makes the range of the folded weight smaller; empty where unknown."""
    known = [row for row in fix.batchnorms if not math.isnan(row.folded_max_abs_before + row.folded_max_abs_after)]
    if not known:
        return ""
    smaller = sum(row.folded_max_abs_after < row.folded_max_abs_before for row in known)
    if smaller == len(known):
        return ""
    why = "the weights of dead channels are no larger than those of live ones, and do no harm"
    if not smaller:
        return f"The repair makes no largest folded weight smaller: {why}."
    words = f"The repair makes the largest folded weight smaller in {smaller} of {count_noun(len(known), 'BatchNorm')}."
    return f"{words} In the others {why}."


def _head_lines(fix: ModelRepair) -> Lines:
    for step in fix.steps:
        yield "method", Text(_METHOD_WORDS[TRAITS[step.repair].fix_bn_method or ""])
    if fix.threshold is not None:
        yield "dead", Text(f"by threshold: variance <= {fix.threshold:g} eps")


def _last_line(fix: ModelRepair, is_dry_run: bool) -> str:
    if not fix.batchnorms:
        return "No BatchNorm channel is dead, so nothing is repaired, and nothing is written."
    if not fix.fixed_count:
        found = f"{_count(fix.dead_count)} {'was' if fix.dead_count == 1 else 'were'} found"
        return f"{found}, and none is repaired, so nothing is written."
    if is_dry_run:
        return f"{_count(fix.fixed_count)} would be repaired in {_layers(fix)}; --dry-run writes nothing."
    are = "is" if fix.fixed_count == 1 else "are"
    end = f"written to {fix.written_to}" if fix.written_to else "not written"
    return f"{_count(fix.fixed_count)} {are} repaired in {_layers(fix)}. The repaired network is {end}."


def _count(number: int) -> str:
    return f"{number} dead channel" if number == 1 else f"{number:,} dead channels"


def _layers(fix: ModelRepair) -> str:
    number = sum(layer.fixed_count > 0 for layer in fix.batchnorms)
    return "1 BatchNorm" if number == 1 else f"{number} BatchNorms"
