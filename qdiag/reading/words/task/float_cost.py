"""What a repair does to the float network, the same on the terminal, in commands and in every report."""

import math

from qdiag.core.causes.ranking import Ranking
from qdiag.core.causes.repair import FLOAT_BOUND
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.core.causes.score import FloatCost
from qdiag.core.measures.task import Figure
from qdiag.reading.words.numbers import count_noun, number
from qdiag.reading.words.task.figures import loss_words, value_words


def float_words(cost: FloatCost | None, repair: str) -> str:
    """Of a repair that was tried: `unchanged`, or how far its output moves and what its figure loses."""
    if cost is None:
        held = repair in TRAITS and TRAITS[repair].must_be_last
        return "not measured: a checkpoint that holds the repair is another float network" if held else "unchanged"
    some = f" on {count_noun(cost.sample_count, 'sample')}" if cost.sample_count is not None else ""
    by = f"moves by {cost.relative_delta:.2g} of its largest value" if cost.relative_delta else "stays as it was"
    moved = f"output {by}{some}"
    if cost.is_of_checkpoint:
        moved = f"unchanged here; in a checkpoint that holds the repair, {moved}"
    if math.isnan(cost.loss):
        return moved
    if cost.loss == 0.0:
        return f"{moved}, nothing is lost" if cost.is_of_checkpoint else moved
    size = number(abs(cost.loss)) if cost.unit in ("pp", "dB") else f"{abs(cost.loss):.4g}"
    return f"{moved}, {'loses' if cost.loss > 0.0 else 'gains'} {size} {cost.unit}".rstrip()


def checkpoint_words(ranking: Ranking, cost: FloatCost | None, target: str) -> tuple[str, ...]:
    """What the float network of a checkpoint that holds a repair is worth, where that is another one than before.

    `net.fixed.pt2 is made for the quantized network alone: its float network has a top-1 of 37.2 % instead of 76.4 %`.
    """
    if cost is None:
        return ()
    judged = ranking.before.task.judged
    is_same = math.isnan(cost.loss) or _is_as_before(judged, cost)
    if not cost.is_of_checkpoint and is_same and 2.0 * cost.relative_delta <= FLOAT_BOUND:
        return ()
    has = f"its float network has {float_figure_words(judged, cost)}"
    if cost.is_of_checkpoint and cost.is_too_much:
        return (f"{target} is made for the quantized network alone: {has}",)
    return (f"{target} is made for this scheme; {has}" if cost.is_of_checkpoint else f"{target}: {has}",)


def float_figure_words(judged: Figure | None, cost: FloatCost) -> str:
    """`a top-1 of 37.2 % instead of 76.4 %`."""
    if judged is None or math.isnan(cost.loss):
        return f"an output that differs by {cost.relative_delta:.2g} of its largest value"
    criterion = judged.criterion
    if criterion.is_against_float and judged.counts is not None:
        return f"another answer than before on {loss_words(criterion, cost.loss)} of the samples"
    if _is_as_before(judged, cost) and not criterion.is_against_float:
        return f"{_article(criterion.name)} {criterion.name} of {value_words(criterion, judged.reference)}, as before"
    after = _value_after(judged, cost)
    before = "" if criterion.is_against_float else f" instead of {value_words(criterion, judged.reference)}"
    beside = " with the network before the repair" if criterion.is_against_float else ""
    return f"{_article(criterion.name)} {criterion.name}{beside} of {value_words(criterion, after)}{before}"


def _value_after(judged: Figure, cost: FloatCost) -> float:
    return judged.reference + (-cost.loss if judged.criterion.higher_is_better else cost.loss)


def _is_as_before(judged: Figure | None, cost: FloatCost) -> bool:
    """In as many digits as are shown."""
    if judged is None:
        return False
    values = [value_words(judged.criterion, value) for value in (judged.reference, _value_after(judged, cost))]
    return values[0] == values[1]


def _article(name: str) -> str:
    """Of names that are spelled letter by letter too: an MAE, an F1, an mIoU."""
    spelled = name[:2].isupper() or name.startswith("m")
    return "an" if name[:1].lower() in ("fhlmnrsx" if spelled else "") or name[:1].lower() in "aeio" else "a"
