"""`qdiag diagnose`: layer by layer figures, findings, causes ranked by what their repair gives back, in one run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from qdiag.batches import Datasets
from qdiag.core.causes.ranking import Score
from qdiag.core.diagnosis import BitsPoint, Diagnosis
from qdiag.core.progress import NoProgress, Progress
from qdiag.core.scheme import QuantScheme
from qdiag.detectors import detect
from qdiag.detectors.base import DetectionContext
from qdiag.pipeline.examine import examine
from qdiag.pipeline.facts import Stopwatch, engine_arithmetic, versions
from qdiag.pipeline.sensitivity import sensitivity_of
from qdiag.rank.rank import rank_causes
from qdiag.repairs.base import RepairContext
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import Case, with_scheme
from qdiag.simulate.passes.pass_cache import PassCache
from qdiag.simulate.task.score_cases import score_cases
from qdiag.subject import Subject

BITS = (4, 5, 6, 7, 8, 10, 12, 16)
"""Widths at which the network is measured to show where it begins to fail."""


@dataclass(frozen=True)
class DiagnoseOptions:
    """What to include beside findings and causes.

    Attributes:
        with_sensitivity: each layer quantized alone. with_bits: other widths. part: see `Sensitivity`.
        seed: for the places of placebos; it has decided how the data was split.
        raises: an unexpected error inside a repair ends the run; otherwise that repair is refused, and this is why.
        words: the options of the command line, for commands that a report proposes.
    """

    with_sensitivity: bool = True
    with_bits: bool = True
    seed: int = 0
    raises: bool = False
    words: tuple[str, ...] = ()


def diagnose_subject(
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    *,
    device: str = "cpu",
    metric: object | None = None,
    options: DiagnoseOptions | None = None,
    progress: Progress | None = None,
    announce: Callable[[Case], None] | None = None,
    cache: PassCache | None = None,
) -> Diagnosis:
    """Everything about one network under one scheme. The subject is left as it was.

    Args:
        device: `cpu`, `cuda` or `auto`. metric: the user's own, see `qdiag.simulate.task.counts.UserMetric`.
        announce: called with the captured case before the long part begins.
        cache: where finished passes are kept, and found when a run that was stopped is started again.

    Raises:
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    progress, watch, options = progress or NoProgress(), Stopwatch(), options or DiagnoseOptions()
    with engine_arithmetic():
        found = examine(
            subject, datasets, scheme, progress, watch, device=device, metric=metric, seed=options.seed,
            announce=announce, cache=cache,
        )  # fmt: skip
        with watch.stage("rank"):
            findings = detect(DetectionContext(found.measurement, found.facts, found.batchnorms))
            context = RepairContext(found.batchnorms, {facts.layer: facts for facts in found.facts}, progress)
            ranking = rank_causes(
                found.case, findings, REPAIRS, context, progress, seed=options.seed, raises=options.raises
            )
        sensitivity, bits = None, tuple[BitsPoint, ...]()
        if options.with_sensitivity:
            with watch.stage("sensitivity"):
                measured = found.measurement
                sensitivity = sensitivity_of(
                    found.case, measured.model, measured.data, "both", progress, quantized=ranking.before
                )
        if options.with_bits:
            with watch.stage("bits"):
                bits = bits_sweep(found.case, progress, known=ranking.before)
    return Diagnosis(
        measurement=replace(found.measurement, stages=()),
        facts=found.facts,
        ranking=ranking,
        batchnorms=found.batchnorms,
        sensitivity=sensitivity,
        bits=bits,
        notes=found.notes,
        stages=watch.stages,
        versions=versions(),
        options=options.words,
    )


def bits_sweep(
    case: Case, progress: Progress, widths: Sequence[int] = BITS, *, known: Score | None = None
) -> tuple[BitsPoint, ...]:
    """The network at other widths of all weights and activations that the scheme quantizes; the rest of it stays.

    Args:
        known: the score of the case as it is, which is then not measured again.
    """
    schemes = {bits: _at_bits(case.scheme, bits) for bits in widths}
    scores = {bits: known for bits, scheme in schemes.items() if known is not None and scheme == case.scheme}
    new = {bits: with_scheme(case, scheme) for bits, scheme in schemes.items() if bits not in scores}
    scored, _ = score_cases(list(new.values()), case.measured, progress, stage="other widths")
    scores |= {bits: one.score for bits, one in zip(new, scored, strict=True)}
    return tuple(BitsPoint(bits, scores[bits]) for bits in widths)


def _at_bits(scheme: QuantScheme, bits: int) -> QuantScheme:
    weights = scheme.weights if scheme.weights.is_float else replace(scheme.weights, bits=bits)
    activations = scheme.activations if scheme.activations.is_float else replace(scheme.activations, bits=bits)
    # at scale_in * scale_w of wider values an int32 bias overflows, which is no property of the width asked about
    is_wide = scheme.bias == "int32" and bits > max(scheme.weights.bits, scheme.activations.bits)
    bias = "int64" if is_wide else scheme.bias
    return replace(scheme, weights=weights, activations=activations, bias=bias)
