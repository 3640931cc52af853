"""`qdiag fix-bn`: dead BatchNorm channels repaired on a copy, and what that does to the network."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from torch import Tensor

from qdiag.batches import Datasets
from qdiag.core.causes.fix import BatchNormFix, ChannelFix, LayerFix, Method
from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord
from qdiag.core.measures.measurement import Measurement
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError
from qdiag.loaders.models.tensors import NamedTensors
from qdiag.pipeline.begin import begin
from qdiag.pipeline.float_change import keep_within
from qdiag.pipeline.float_probe import FloatProbe
from qdiag.pipeline.inputs import inputs_for
from qdiag.pipeline.sqnr import measure_experiment
from qdiag.repairs.edit import ChannelEdit, changed_tensors
from qdiag.repairs.overlay import subject_tensors, with_changes
from qdiag.repairs.weights.reset_variance import layer_fix, propose
from qdiag.simulate.session import Session
from qdiag.simulate.surroundings import versions
from qdiag.subject import Subject

FLOAT_BOUND = 1e-3
"""Largest |change| of a float output over its largest |value|: far below one step of an 8-bit quantizer, 1 / 255."""

Changes = Mapping[str, Tensor]


@dataclass(frozen=True)
class FixOptions:
    """How to repair.

    Attributes:
        method: see `qdiag.repairs.weights.reset_variance`.
        layers: glob patterns of BatchNorm paths; all when empty.
        threshold: variance / eps up to which a channel is dead; None leaves that to the rule of the audit.
        float_bound: channels whose repair moves a float output by more than this share of its largest value are
            refused.
    """

    method: Method = "mean"
    layers: Sequence[str] = ()
    threshold: float | None = None
    float_bound: float = FLOAT_BOUND


def propose_fix(
    tensors: Mapping[str, Tensor], audit: BatchNormAudit, options: FixOptions
) -> tuple[BatchNormFix, tuple[ChannelEdit, ...]]:
    """What would be done, from the checkpoint alone; nothing is measured and nothing changed.

    Args:
        tensors: of the network or the state dict that was audited, by name.

    Raises:
        ConfigError: no BatchNorm has a name that fits the patterns.
    """
    layers: list[LayerFix] = []
    edits: list[ChannelEdit] = []
    for record in _chosen(audit, options.layers):
        proposal = propose(record, tensors, options.method, options.threshold)
        if proposal is not None:
            layers.append(proposal.fix)
            edits.extend(proposal.edits)
    fix = BatchNormFix(
        audit.model, options.method, options.threshold, options.float_bound, tuple(layers), versions=versions()
    )
    return fix, tuple(edits)


def fix_batchnorms(
    session: Session,
    subject: Subject,
    audit: BatchNormAudit,
    datasets: Datasets,
    scheme: QuantScheme,
    options: FixOptions,
) -> tuple[BatchNormFix, Changes]:
    """The repair with its proof, and the tensors to be written; the subject is left as it was.

    The float network is run beside a repaired copy of it, and channels that move its output beyond the bound are left
    out. Then the quantized network is measured before and after, on the same data under the same scheme.

    Raises:
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    fix, edits = propose_fix(subject_tensors(subject), audit, options)
    if not edits:
        return replace(fix, unproved="there is nothing to repair"), {}
    with session.watch.stage("float outputs"):
        probe = FloatProbe(subject, session.device)
        kept = keep_within(
            probe, inputs_for(subject, datasets).evaluation, edits, options.float_bound, session.progress
        )
    changes = changed_tensors(subject_tensors(subject), kept.edits)
    fix = replace(with_refusals(fix, audit, kept.refused, options.float_bound), float_change=kept.change)
    measured: list[Measurement] = []
    for which, network in (("before", subject), ("after", with_changes(subject, changes))):
        with session.watch.stage(f"measure {which}"):
            own = session.timed_anew()
            measured.append(measure_experiment(own, begin(own, network, datasets, scheme)))
    return replace(fix, before=measured[0], after=measured[1], stages=session.watch.stages), changes


def fix_unproved(
    model: Subject | NamedTensors, audit: BatchNormAudit, options: FixOptions, reason: str
) -> tuple[BatchNormFix, Changes]:
    """The repair from the checkpoint alone: the network is not run, and the result says so with `reason`."""
    tensors = model.tensors if isinstance(model, NamedTensors) else subject_tensors(model)
    fix, edits = propose_fix(tensors, audit, options)
    notes = list(fix.notes)
    if any(record.eps_is_assumed for record in audit.records):
        notes.append(f"a state dict does not hold eps: {audit.records[0].eps:g} is assumed")
    return replace(fix, unproved=reason, notes=tuple(notes)), changed_tensors(tensors, edits)


def with_refusals(
    fix: BatchNormFix, audit: BatchNormAudit, refused: Mapping[tuple[str, int], float], bound: float
) -> BatchNormFix:
    """The rows of refused channels put back to what they were, with the reason."""
    layers = []
    for layer in fix.layers:
        rows = tuple(
            _refused(row, refused[layer.name, row.channel], bound) if (layer.name, row.channel) in refused else row
            for row in layer.channels
        )
        layers.append(layer if rows == layer.channels else layer_fix(_record(audit, layer.name), rows))
    return replace(fix, layers=tuple(layers))


def _refused(row: ChannelFix, moved: float, bound: float) -> ChannelFix:
    reason = f"it moves the float output by {moved:.1e} of its largest value, more than {bound:.1e}"
    return replace(
        row,
        variance_after=row.variance_before,
        gain_after=row.gain_before,
        folded_max_abs_after=row.folded_max_abs_before,
        refused=reason,
    )


def _chosen(audit: BatchNormAudit, patterns: Sequence[str]) -> list[BatchNormRecord]:
    """Records by their names, each BatchNorm once however often it is called."""
    by_name: dict[str, BatchNormRecord] = {}
    for record in audit.records:
        if record.skip_reason is None and record.variance:
            by_name.setdefault(record.name, record)
    if not patterns:
        return list(by_name.values())
    chosen = [r for name, r in by_name.items() if any(fnmatchcase(name, pattern) for pattern in patterns)]
    if not chosen:
        raise ConfigError(
            f"no BatchNorm is called {' or '.join(patterns)}",
            at="--layers",
            hint=f"they are called {', '.join(list(by_name)[:6])}" if by_name else "the network has none",
        )
    return chosen


def _record(audit: BatchNormAudit, name: str) -> BatchNormRecord:
    return next(record for record in audit.records if record.name == name)
