"""`qdiag sensitivity`: how much each layer's quantizers cost by themselves, exactly and by estimate."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from qdiag.batches import Datasets
from qdiag.core.causes.ranking import Score
from qdiag.core.measures.measurement import DataInfo, ModelInfo
from qdiag.core.measures.sensitivity import Sensitivity, SensitivityPart, SensitivityRow
from qdiag.core.progress import NoProgress, Progress
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError, SimulationError
from qdiag.numerics.spearman import rank_correlation
from qdiag.pipeline.begin import begin
from qdiag.pipeline.facts import Stopwatch, data_info, engine_arithmetic, model_info, versions
from qdiag.simulate.case import Case
from qdiag.simulate.passes.pass_cache import PassCache
from qdiag.simulate.sweeps.fisher import fisher_scores
from qdiag.simulate.sweeps.sensitivity import all_but, alone, part_only, switchable_layers
from qdiag.simulate.task.score_cases import Effort, score_cases
from qdiag.subject import Subject


def sweep(
    case: Case,
    progress: Progress,
    *,
    part: SensitivityPart = "both",
    with_all_but: bool = True,
    fisher: Mapping[str, float] | None = None,
    quantized: Score | None = None,
) -> tuple[tuple[SensitivityRow, ...], Score, Effort]:
    """Every layer alone, and the network with all layers but one, on the measured data.

    Layer i alone shares everything before it with the float network, and `all_but` shares it with the quantized one,
    so a sweep over L layers costs about L / 2 passes each, not L.

    Args:
        quantized: the score of the network with all quantizers of the part, where it is known.

    Returns:
        Rows in graph order, the score of the network with all quantizers of the part, and what it took.
    """
    names = switchable_layers(case, part)
    whole = [part_only(case, part)] if quantized is None else []
    cases = [*whole, *(alone(case, name, part) for name in names)]
    if with_all_but:
        # late layers first: they share most with the quantized network at the head of the list
        cases += [all_but(case, name, part) for name in names]
    scored, effort = score_cases(cases, case.measured, progress, stage="layers one by one")
    scores = [one.score for one in scored]
    rows = _rows(names, scores[len(whole) :], with_all_but, fisher or {})
    return rows, scores[0] if quantized is None else quantized, effort


def _rows(
    names: Sequence[str], scores: Sequence[Score], with_all_but: bool, fisher: Mapping[str, float]
) -> tuple[SensitivityRow, ...]:
    count = len(names)
    return tuple(
        SensitivityRow(name, scores[i], scores[count + i] if with_all_but else None, fisher.get(name, math.nan))
        for i, name in enumerate(names)
    )


def sensitivity_of(
    case: Case,
    model: ModelInfo,
    data: DataInfo,
    part: SensitivityPart,
    progress: Progress,
    *,
    with_exact: bool = True,
    with_all_but: bool = False,
    quantized: Score | None = None,
) -> Sensitivity:
    """The sweep, with the estimate of one backward pass beside it.

    Args:
        with_exact: without it, only the estimate, for a first look at a large network.
        quantized: the score of the network with all quantizers of the part, where it is known.

    Raises:
        SimulationError: an operation failed, or nothing but the estimate is wanted and no gradient passes.
    """
    parted = part_only(case, part)
    fisher, notes = dict[str, float](), tuple[str, ...]()
    try:
        fisher = dict(fisher_scores(parted, case.measured, progress))
    except SimulationError as error:
        if not with_exact:
            raise
        notes = (f"without the estimate of one backward pass: {error}",)
    if with_exact:
        rows, quantized, _ = sweep(
            case, progress, part=part, with_all_but=with_all_but, fisher=fisher, quantized=quantized
        )
    elif quantized is None:
        (one,), _ = score_cases([parted], case.measured, progress, stage="quantized network")
        quantized = one.score
    if not with_exact:
        names = switchable_layers(case, part)
        rows = tuple(SensitivityRow(name, fisher=fisher.get(name, math.nan)) for name in names)
    # a low SQNR is bad and a high estimate is bad, so the sign turns
    levels = [-row.alone.output_sqnr_db if row.alone is not None else math.nan for row in rows]
    correlation = rank_correlation(levels, [row.fisher for row in rows])
    return Sensitivity(model, data, case.scheme, part, rows, quantized, correlation, versions=versions(), notes=notes)


def measure_sensitivity(
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    *,
    part: SensitivityPart = "both",
    with_exact: bool = True,
    with_all_but: bool = True,
    device: str = "cpu",
    seed: int = 0,
    progress: Progress | None = None,
    announce: Callable[[Case], None] | None = None,
    cache: PassCache | None = None,
) -> Sensitivity:
    """Everything that `qdiag sensitivity` prints. The subject is left as it was.

    Args:
        announce: called with the case as soon as it is known, before the long part begins.
        cache: where finished passes are kept, and found when a run that was stopped is started again.

    Raises:
        ConfigError: the scheme leaves nothing to switch.
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    progress, watch = progress or NoProgress(), Stopwatch()
    with engine_arithmetic():
        begun = begin(subject, datasets, scheme, progress, watch, device=device, cache=cache)
        if not switchable_layers(begun.case, part):
            raise ConfigError(f"no layer has quantizers of {part} to switch", at=scheme.name, hint="use --part both")
        if announce is not None:
            announce(begun.case)
        with watch.stage("data digest"):
            data = data_info(begun.datasets, seed)
        with watch.stage("sweep"):
            found = sensitivity_of(
                begun.case,
                model_info(subject),
                data,
                part,
                progress,
                with_exact=with_exact,
                with_all_but=with_all_but,
            )
    return replace(found, stages=watch.stages)
