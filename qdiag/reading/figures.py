"""What the float, the quantized and the repaired network come to, figure by figure."""

from dataclasses import dataclass

from qdiag.core.causes.ranking import Ranking
from qdiag.core.causes.score import Score
from qdiag.core.measures.task import Figure
from qdiag.reading.amount import Amount, change_amount
from qdiag.reading.words.numbers import SILENT, UNKNOWN
from qdiag.reading.words.task.figures import WEAKEST_SQNR, level, shown_interval, value_words

DROP, RISE, FALL = "drop", "rise", "fall"


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One figure of all three networks; empty where one has none.

    Attributes:
        change: what quantization does to it; None where the figure is against the float network itself, or has none.
        change_label: `drop` or `rise` where higher is better; `rise` or `fall` of an error.
    """

    name: str
    reference: str
    quantized: str
    change: Amount | None
    change_label: str
    repaired: str


def figure_rows(ranking: Ranking) -> tuple[FigureRow, ...]:
    """The figure that judges first, the SQNR of the weakest output last."""
    repaired = ranking.repaired if ranking.waterfall else None
    rows = [_row(figure, repaired) for figure in ranking.before.task.figures]
    if ranking.before.outputs:
        quantized = f"{UNKNOWN}: {SILENT}" if ranking.before.is_silent else _sqnr(ranking.before)
        rows.append(FigureRow(WEAKEST_SQNR, "", quantized, None, "", _sqnr(repaired) if repaired else ""))
    return tuple(rows)


def _sqnr(score: Score) -> str:
    return value_words(None, score.output_sqnr_db)


def _row(figure: Figure, repaired: Score | None) -> FigureRow:
    criterion = figure.criterion
    after = value_words(criterion, level(repaired, criterion)) if repaired is not None else ""
    quantized = value_words(criterion, figure.simulated)
    if criterion.is_against_float:
        name = "same answer as float" if figure.counts is not None else f"{criterion.name} with float"
        return FigureRow(name, "", quantized, None, "", after)
    return FigureRow(
        criterion.name,
        value_words(criterion, figure.reference),
        quantized,
        change_amount(criterion, abs(figure.loss), shown_interval(figure)),
        _label(figure),
        after,
    )


def _label(figure: Figure) -> str:
    is_better = figure.loss < 0.0
    if figure.criterion.higher_is_better:
        return RISE if is_better else DROP
    return FALL if is_better else RISE
