"""`qdiag sensitivity`: how much each layer's quantizers cost by themselves, exactly."""

from collections.abc import Mapping, Sequence

from qdiag.core.causes import Score
from qdiag.core.progress import Progress
from qdiag.core.sensitivity import SensitivityPart, SensitivityRow
from qdiag.simulate.case import Case
from qdiag.simulate.score_cases import Effort, score_cases
from qdiag.simulate.sensitivity import all_but, alone, part_only, switchable_layers


def sweep(
    case: Case,
    progress: Progress,
    *,
    part: SensitivityPart = "both",
    with_all_but: bool = True,
    fisher: Mapping[str, float] | None = None,
) -> tuple[tuple[SensitivityRow, ...], Score, Effort]:
    """Every layer alone, and the network with all layers but one, on the measured data.

    Layer i alone shares everything before it with the float network, and `all_but` shares it with the quantized one,
    so a sweep over L layers costs about L / 2 passes each, not L.

    Returns:
        Rows in graph order, the score of the network with all quantizers of the part, and what it took.
    """
    names = switchable_layers(case, part)
    cases = [part_only(case, part), *(alone(case, name, part) for name in names)]
    if with_all_but:
        # late layers first: they share most with the quantized network at the head of the list
        cases += [all_but(case, name, part) for name in names]
    scored, effort = score_cases(cases, case.measured, progress, stage="layers one by one")
    scores = [one.score for one in scored]
    rows = _rows(names, scores[1:], with_all_but, fisher or {})
    return rows, scores[0], effort


def _rows(
    names: Sequence[str], scores: Sequence[Score], with_all_but: bool, fisher: Mapping[str, float]
) -> tuple[SensitivityRow, ...]:
    count = len(names)
    return tuple(
        SensitivityRow(name, scores[i], scores[count + i] if with_all_but else None, fisher.get(name, float("nan")))
        for i, name in enumerate(names)
    )
