"""`qdiag repair`: repairs of the weights, one on top of the other, on a copy, and what they do to the network."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from torch import Tensor

from qdiag.batches import Datasets
from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.fix import FloatChange
from qdiag.core.causes.repair import ModelRepair, RepairStep, check_written
from qdiag.core.measures.measurement import Measurement
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError, RepairRefused
from qdiag.pipeline.begin import begin
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.pipeline.facts import model_info
from qdiag.pipeline.float_change import float_change
from qdiag.pipeline.float_probe import FloatProbe
from qdiag.pipeline.inputs import naming
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.repairs.base import RepairContext, Treatment
from qdiag.repairs.overlay import with_changes
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import Case
from qdiag.simulate.session import Session
from qdiag.simulate.surroundings import versions
from qdiag.subject import Subject

FLOAT_BOUND = 1e-3
"""Largest |change| of a float output over its largest |value|: far below one step of an 8-bit quantizer, 1 / 255."""

Changes = Mapping[str, Tensor]


@dataclass(frozen=True)
class RepairOptions:
    """What to repair.

    Attributes:
        repairs: names, in the order in which they are made; see `qdiag.core.causes.repair.WRITTEN`.
        layers: glob patterns of layers with weights; all when empty.
        float_bound: a repair that moves a float output by more than this share of its largest value is refused.
    """

    repairs: Sequence[str]
    layers: Sequence[str] = ()
    float_bound: float = FLOAT_BOUND


def repair_model(
    session: Session,
    subject: Subject,
    datasets: Datasets,
    scheme: QuantScheme,
    options: RepairOptions,
) -> tuple[ModelRepair, Changes]:
    """The repairs with their proof, and the tensors to be written; the subject is left as it was.

    Each repair is tried on top of those that were made before it: the float network runs beside a repaired copy on the
    measured data, and a repair that moves its output beyond the bound is refused. Then the quantized network is
    measured before and after.

    Raises:
        ConfigError: a repair that no checkpoint can hold, or patterns that fit no layer.
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    check_written(options.repairs)
    case = begin(session, subject, datasets, scheme).case
    context = RepairContext(audit_batchnorms(subject), session=session)
    workshop = _Workshop(case, context, FloatProbe(subject, session.device), options)
    with session.watch.stage("repair"), naming(datasets.evaluation):
        steps = tuple(workshop.make(name) for name in options.repairs)
    result = ModelRepair(
        model_info(subject), tuple(options.layers), options.float_bound, steps, workshop.change, versions=versions()
    )
    if not workshop.changes:
        return replace(result, stages=session.watch.stages), {}
    measured: list[Measurement] = []
    for which, network in (("before", subject), ("after", with_changes(subject, workshop.changes))):
        with session.watch.stage(f"measure {which}"):
            own = session.timed_anew()
            measured.append(measure_experiment(own, begin(own, network, datasets, scheme)))
    return replace(result, before=measured[0], after=measured[1], stages=session.watch.stages), workshop.changes


class _Workshop:
    """The case as far as it is repaired, and the tensors that make it so."""

    def __init__(self, case: Case, context: RepairContext, probe: FloatProbe, options: RepairOptions) -> None:
        self._case, self._context, self._probe = case, context, probe
        self._bound = options.float_bound
        self._chosen = _chosen(case, options.layers)
        self.changes: dict[str, Tensor] = {}
        self.change: FloatChange | None = None

    def make(self, name: str) -> RepairStep:
        """Makes one repair, or says why not."""
        refused: RepairStep | None = None
        try:
            for headroom, treatment in self._treatments(name):
                changes = {**self.changes, **treatment.tensors}
                change = float_change(self._probe, self._case.measured, changes, self._context.session.progress)
                step = RepairStep(name, treatment.layers, tuple(treatment.tensors), change.relative_delta, headroom)
                if change.relative_delta <= self._bound:
                    self._case, self.changes, self.change = treatment.case, changes, change
                    return step
                refused = RepairStep(
                    name, relative_delta=change.relative_delta, headroom=headroom, refused=self._too_much(change)
                )
        except RepairRefused as reason:
            refused = refused or RepairStep(name, refused=_words(reason))
        assert refused is not None
        return refused

    def _treatments(self, name: str) -> Iterator[tuple[float | None, Treatment]]:
        """Ways to make a repair, the one that changes most first."""
        repair, sites = REPAIRS[name], [FindingSite(layer) for layer in self._chosen]
        if repair.ways is not None:
            yield from repair.ways(self._case, sites, self._context)
            return
        treatment = repair.apply(self._case, sites, self._context)
        if not treatment.tensors:
            raise RepairRefused("the model has no bias or beta of its own that could hold it")
        yield None, treatment

    def _too_much(self, change: FloatChange) -> str:
        moved = f"it moves the float output by {change.relative_delta:.1e} of its largest value"
        return f"{moved}, more than {self._bound:.1e} (--float-bound)"


def _words(reason: RepairRefused) -> str:
    where = f"{reason.at}: " if reason.at else ""
    hint = f" ({reason.hint})" if reason.hint else ""
    return f"{where}{reason.message}{hint}"


def _chosen(case: Case, patterns: Sequence[str]) -> tuple[str, ...]:
    """Names of the layers with weights that fit the patterns; empty without patterns."""
    names = [layer.name for layer in case.network.graph.layers if layer.weight is not None]
    chosen = tuple(name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns))
    if patterns and not chosen:
        raise ConfigError(
            f"no layer with weights is called {' or '.join(patterns)}",
            at="--layers",
            hint=f"they are called {', '.join(names[:6])}" if names else "the network has none",
        )
    return chosen
