"""`qdiag sensitivity`: how much each layer's quantizers cost by themselves, exactly and by estimate."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from qdiag.core.causes.harm import harm_of
from qdiag.core.causes.score import Score
from qdiag.core.measures.sensitivity import Sensitivity, SensitivityPart, SensitivityRow, share_of_loss
from qdiag.errors import ConfigError, SimulationError
from qdiag.numerics.spearman import rank_correlation
from qdiag.pipeline.begin import Experiment
from qdiag.simulate.case import Case, on_some
from qdiag.simulate.session import Session
from qdiag.simulate.size import network_size
from qdiag.simulate.surroundings import versions
from qdiag.simulate.sweeps.fisher import fisher_scores
from qdiag.simulate.sweeps.sensitivity import all_but, alone, part_only, switchable_layers

TOP, SAMPLED = 8, 4
"""Layers that are measured exactly, where not all are: on top of the estimate, and drawn at random from the others."""
ESTIMATE_SAMPLES = 16
"""Samples behind an estimate that only orders the layers: on real networks 16 order them as 32 and 96 do."""
ALONE_SAMPLES = (32, 64, 128, 256)
"""Samples that layers are measured on by themselves: more of them where the fewer leave open whether a layer costs half
of the loss, and then all."""
DECIDED = 0.25
"""Of the loss: so far from half of it a layer is told from one that costs half, where no figure of the task judges."""
DOUBT = 1.5
"""95 % intervals are taken so many times as wide, to three standard errors, where one judges."""


@dataclass(frozen=True)
class SensitivityOptions:
    """What is switched, and how.

    Attributes:
        part: which quantizers are switched.
        with_exact: each layer alone; without it, only the estimate, for a first look at a large network.
        with_all_but: also the network with all layers but one.
        is_exhaustive: every layer, on all samples. Otherwise those that the estimate puts on top and a few others,
            drawn at random, which tell how good it is, on some of the samples.
    """

    part: SensitivityPart = "both"
    with_exact: bool = True
    with_all_but: bool = True
    is_exhaustive: bool = True


def sensitivity_of(
    session: Session, experiment: Experiment, options: SensitivityOptions, *, quantized: Score | None = None
) -> Sensitivity:
    """The sweep, with the estimate of one backward pass beside it.

    Args:
        quantized: the score of the network with all quantizers of the part, where it is known.

    Raises:
        SimulationError: an operation failed, or nothing but the estimate is wanted and no gradient passes.
    """
    case, part = experiment.case, options.part
    fisher, notes, on_fewer = dict[str, float](), tuple[str, ...](), tuple[Score, ...]()
    looked_at = case if options.is_exhaustive else on_some(case, ESTIMATE_SAMPLES)
    try:
        fisher = dict(fisher_scores(session, part_only(looked_at, part)))
    except SimulationError as error:
        if not options.with_exact:
            raise
        notes = (f"without the estimate of one backward pass: {error}",)
    names = switchable_layers(case, part)
    if options.with_exact and (options.is_exhaustive or len(names) <= TOP + SAMPLED or not fisher):
        rows, quantized = sweep(session, case, options, quantized=quantized)
    else:
        rows = tuple(SensitivityRow(name) for name in names)
        if quantized is None:
            whole = case if part == "both" else part_only(case, part)
            quantized = session.score([whole], "quantized network")[0][0].score
        if options.with_exact:
            rows, on_fewer = _partial_sweep(session, case, options, fisher, quantized)
    rows = tuple(replace(row, fisher=fisher.get(row.layer, math.nan)) for row in rows)
    # a low SQNR is bad and a high estimate is bad, so the sign turns
    levels = [-row.alone.output_sqnr_db if row.alone is not None else math.nan for row in rows]
    correlation = rank_correlation(levels, [row.fisher for row in rows])
    return Sensitivity(
        experiment.model,
        experiment.data,
        case.scheme,
        part,
        rows,
        quantized,
        correlation,
        versions=versions(),
        notes=notes,
        size=network_size(case),
        estimate_sample_count=looked_at.measured.sample_count if fisher else None,
        quantized_on_fewer=on_fewer,
    )


def _partial_sweep(
    session: Session, case: Case, options: SensitivityOptions, fisher: Mapping[str, float], quantized: Score
) -> tuple[tuple[SensitivityRow, ...], tuple[Score, ...]]:
    """Rows of all layers, some of them measured: on top of the estimate, and drawn at random. With the network with all
    quantizers on, on the same samples, where it is harmed.

    More of the order are measured while one of the last few costs a part of the loss by itself. Where some of the
    samples do not tell whether a layer costs half of the loss, more of them do.
    """
    part, names = options.part, switchable_layers(case, options.part)
    looked_at = on_some(case, ALONE_SAMPLES[0])
    order = sorted(names, key=lambda name: -fisher[name] if name in fisher else -math.inf)
    top, rest = order[:TOP], order[TOP:]
    random.Random(session.seed).shuffle(rest)
    wanted, measured = {*top, *rest[:SAMPLED]}, dict[str, Score]()
    cases = {name: alone(case, name, part) for name in names}
    while wanted:
        chosen = [name for name in names if name in wanted]
        some = [on_some(cases[name], ALONE_SAMPLES[0]) for name in chosen]
        scored, _ = session.score(some, "layers one by one", keeps=True)
        measured |= {name: one.score for name, one in zip(chosen, scored, strict=True)}
        last = [name for name in order if name in measured][-2 * SAMPLED :]
        left = [name for name in order if name not in measured]
        is_heavy = any(share_of_loss(measured[name], quantized) > 0.0 for name in last)
        wanted = set(left[:SAMPLED]) if is_heavy else set()
    whole, on_fewer = case if part == "both" else part_only(case, part), dict[int, Score]()
    near = list(measured) if harm_of(quantized).verdict != "healthy" else []
    for samples in (*ALONE_SAMPLES[1:], case.measured.sample_count):
        more = on_some(case, samples)
        if more.measured.sample_count == looked_at.measured.sample_count:
            continue
        if near:
            known, _ = session.score([replace(whole, measured=looked_at.measured)], "quantized network", keeps=True)
            on_fewer[looked_at.measured.sample_count] = known[0].score
        same = on_fewer.get(looked_at.measured.sample_count, quantized)
        near, looked_at = [name for name in near if _may_be_half(measured[name], quantized, same)], more
        some = [replace(cases[name], measured=more.measured) for name in near]
        scored, _ = session.score(some, "layers one by one", keeps=True)
        measured |= {name: one.score for name, one in zip(near, scored, strict=True)}
    used = {score.task.sample_count for score in measured.values()}
    return (
        tuple(SensitivityRow(name, measured.get(name)) for name in names),
        tuple(score for count, score in on_fewer.items() if count in used),
    )


def _may_be_half(score: Score, quantized: Score, same: Score) -> bool:
    """Whether a layer may cost half of the loss, as far as its samples tell.

    Args:
        quantized: all quantizers on, on all samples; `same` on those of the layer.
    """
    judged, whole, there = score.task.judged, quantized.task.judged, same.task.judged
    if judged is None or whole is None or there is None or not math.isfinite(whole.loss):
        return abs(share_of_loss(score, quantized, same) - 0.5) <= DECIDED
    if not whole.loss > whole.limit:
        return False
    if not there.loss > there.limit or not math.isfinite(there.loss):
        return True
    doubt = DOUBT * (judged.loss_interval.high - judged.loss) / there.loss
    return not abs(judged.loss / there.loss - 0.5) > doubt


def sweep(
    session: Session, case: Case, options: SensitivityOptions, *, quantized: Score | None = None
) -> tuple[tuple[SensitivityRow, ...], Score]:
    """Every layer alone, and the network with all layers but one, on the measured data.

    Layer i alone shares everything before it with the float network, and `all_but` shares it with the quantized one,
    so a sweep over L layers costs about L / 2 passes each, not L.

    Args:
        quantized: the score of the network with all quantizers of the part, where it is known.

    Returns:
        Rows in graph order, and the score of the network with all quantizers of the part.
    """
    part = options.part
    names = switchable_layers(case, part)
    cases = [alone(case, name, part) for name in names]
    if options.with_all_but:
        # late layers first: they share most with the quantized network at the head of the list
        cases += [all_but(case, name, part) for name in names]
    if quantized is None:
        cases.insert(0, part_only(case, part))
    scored, _ = session.score(cases, "layers one by one")
    scores = [one.score for one in scored]
    if quantized is None:
        quantized = scores.pop(0)
    count = len(names)
    without: Sequence[Score | None] = scores[count:] if options.with_all_but else [None] * count
    return tuple(map(SensitivityRow, names, scores[:count], without)), quantized


def measure_sensitivity(
    session: Session, experiment: Experiment, options: SensitivityOptions | None = None
) -> Sensitivity:
    """Everything that `qdiag sensitivity` prints. The subject is left as it was.

    Raises:
        ConfigError: the scheme leaves nothing to switch.
        QdiagError: an operation failed; says which.
    """
    options = options or SensitivityOptions()
    if not switchable_layers(experiment.case, options.part):
        raise ConfigError(
            f"no layer has quantizers of {options.part} to switch",
            at=experiment.case.scheme.name,
            hint="use `part=both`",
        )
    with session.watch.stage("sweep"):
        found = sensitivity_of(session, experiment, options)
    return replace(found, stages=session.watch.stages)
