"""The words of `qdiag fix-bn`, from results made by hand."""

import io
import math
from dataclasses import replace

import pytest
from rich.console import Console

from qdiag.cli.tables.fix_bn import print_fix, range_words
from qdiag.core.causes.repair import ChannelFix, FloatChange, LayerFix, ModelRepair, RepairStep
from qdiag.core.measures.error_sums import ErrorSums
from qdiag.core.measures.measurement import ModelInfo, OutputRecord
from qdiag.core.measures.task import PairedCounts
from tests.figures import classified
from tests.measurements import measurement

MODEL = ModelInfo("net.pt2", "exported_program", "Net", 1234, "0" * 64)
CHANGE = FloatChange(
    (OutputRecord("output", (4,), ErrorSums(count=4, reference_sq_sum=4.0, error_sq_sum=1e-12, max_abs_error=2e-6)),),
    classified(100, 100, PairedCounts(76, 0, 0, 24)),
    1e-7,
)


def channel(number: int, refused: str | None = None) -> ChannelFix:
    after = (1e-30, 38.0, 104.0) if refused else (0.5, 0.13, 0.9)
    return ChannelFix(number, 1e-30, after[0], 38.0, after[1], 0.7, 104.0, after[2], refused)


def result(*channels: ChannelFix) -> ModelRepair:
    layer = LayerFix("blocks.0.dw_bn", "blocks.0.dw", 24, channels, 38.0, 0.9, 104.0, math.nan)
    return ModelRepair(
        MODEL,
        (),
        1e-3,
        (RepairStep("reset_variance_mean", batchnorms=(layer,)),),
        float_change=CHANGE,
        before=measurement(),
        after=measurement(),
        written_to="fixed.pt2",
    )


def text(fix: ModelRepair, width: int = 120, *, is_dry_run: bool = False) -> str:
    file = io.StringIO()
    print_fix(Console(file=file, width=width, highlight=False), fix, is_dry_run=is_dry_run)
    return file.getvalue()


def test_the_proof_and_the_table() -> None:
    shown = text(result(channel(3), channel(9)), 160)
    assert "output moved by 2.0e-06 at most, 1.0e-07 of its largest value (bound 1e-03)" in shown
    assert "top-1 76.0 % → 76.0 %" in shown
    assert "top-1 9.0 % → 9.0 %, 67.4 pp below float" in shown
    assert "2/24" in shown
    assert "38 → 0.9" in shown
    assert shown.rstrip().endswith(
        "2 dead channels are repaired in 1 BatchNorm. The repaired network is written to fixed.pt2."
    )
    assert "Harmless" not in shown
    assert "refused" not in shown


@pytest.mark.parametrize("width", [72, 80, 100])
def test_it_fits_the_terminal(width: int) -> None:
    shown = text(result(*(channel(i) for i in range(20))), width)
    table = shown[shown.index("BatchNorm ") :]
    assert max(len(line) for line in table.splitlines()[:5]) <= width


def test_refusals_are_rows_with_reasons() -> None:
    shown = text(result(channel(3), *(channel(i, f"reason {i}") for i in range(4, 20))))
    assert "refused blocks.0.dw_bn[4]: reason 4" in shown
    assert "and 8 more refusals" in shown
    assert "1 dead channel is repaired" in shown
    alike = text(result(*(channel(i, "one reason") for i in range(10))))
    assert "blocks.0.dw_bn[5] and 4 more: one reason" in alike
    assert "10 dead channels were found, and none is repaired, so nothing is written." in alike


def test_what_was_not_proved_is_said() -> None:
    bare = replace(result(channel(3)), float_change=None, before=None, after=None, unproved="no network")
    assert "none: no network" in text(bare)
    assert "1 dead channel would be repaired in 1 BatchNorm; --dry-run writes nothing." in text(bare, is_dry_run=True)
    assert "No BatchNorm channel is dead, so nothing is repaired" in text(
        replace(bare, steps=(RepairStep("reset_variance_mean"),))
    )


def test_harmless_channels_are_called_so() -> None:
    good = measurement()
    few = replace(good, task=classified(100, 98, PairedCounts(85, 1, 1, 13)))
    good = replace(good, task=classified(10_000, 9_800, PairedCounts(8_500, 100, 100, 1_300)))
    shown = text(replace(result(channel(3)), before=good, after=good))
    assert "Harmless here: before the repair the drop was 0.0 pp" in shown
    shown = text(replace(result(channel(3)), before=few, after=few))
    assert "Harmless" not in shown and "The samples are too few to tell whether there was any harm" in shown


def test_it_is_said_which_dead_channels_set_no_range() -> None:
    """Of two BatchNorms the repair changes the largest folded weight of one."""
    found = result(channel(3))
    (step,) = found.steps
    (layer,) = step.batchnorms
    smaller = replace(layer, folded_max_abs_before=104.0, folded_max_abs_after=0.9)
    same = replace(layer, name="pw_bn", folded_max_abs_before=1.75, folded_max_abs_after=1.75)
    assert range_words(replace(found, steps=(replace(step, batchnorms=(smaller,)),))) == ""
    words = range_words(replace(found, steps=(replace(step, batchnorms=(smaller, same)),)))
    assert words.startswith("The repair makes the largest folded weight smaller in 1 of 2 BatchNorms. In the others")
    words = range_words(replace(found, steps=(replace(step, batchnorms=(same,)),)))
    assert words.startswith("The repair makes no largest folded weight smaller: the weights of dead channels are no ")
    assert range_words(found) == "", "what is not known is not told"
