"""`qdiag fix-bn`: `qdiag repair` with the reset of dead BatchNorm channels, and the same from a checkpoint alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from qdiag.batches import Datasets
from qdiag.core.causes.repair import FLOAT_BOUND, ModelRepair, RepairStep
from qdiag.core.causes.repair_traits import TRAITS, Method
from qdiag.core.measures.bn import BatchNormAudit
from qdiag.core.measures.size import NetworkSize
from qdiag.core.scheme import QuantScheme
from qdiag.errors import QdiagError, RepairRefused
from qdiag.loaders.models.tensors import NamedTensors
from qdiag.pipeline.begin import begin
from qdiag.pipeline.repair import Changes, RepairOptions, audited, chosen_batchnorms, repair_model
from qdiag.repairs.edit import changed_tensors
from qdiag.repairs.overlay import subject_tensors
from qdiag.repairs.stored_weights import check_stored_names
from qdiag.repairs.weights.reset_variance import propose
from qdiag.simulate.session import Session
from qdiag.simulate.size import network_size
from qdiag.simulate.surroundings import versions
from qdiag.simulate.task.choice.choose import TaskRequest
from qdiag.subject import Subject


@dataclass(frozen=True)
class FixOptions:
    """How to repair.

    Attributes:
        method: see `qdiag.repairs.weights.reset_variance`.
        layers: glob patterns of BatchNorm paths; all when empty.
        threshold, float_bound: see `RepairOptions`.
    """

    method: Method = "mean"
    layers: Sequence[str] = ()
    threshold: float | None = None
    float_bound: float = FLOAT_BOUND

    @property
    def repair(self) -> str:
        """The repair that the method is."""
        return next(traits.name for traits in TRAITS.values() if traits.fix_bn_method == self.method)


def fix_batchnorms(
    session: Session,
    subject: Subject,
    audit: BatchNormAudit,
    datasets: Datasets,
    scheme: QuantScheme,
    options: FixOptions,
    request: TaskRequest | None = None,
) -> tuple[ModelRepair, Changes]:
    """The repair with its proof; nothing is measured where the checkpoint alone says that there is nothing to repair.

    Raises:
        QdiagError: as `repair_model` does.
    """
    proposed, changes = fix_unproved(subject, audit, options, "there is nothing to repair")
    if not changes:
        return replace(proposed, size=_size(session, subject, datasets, scheme, request)), {}
    wanted = RepairOptions(
        (options.repair,),
        batchnorms=tuple(options.layers),
        threshold=options.threshold,
        float_bound=options.float_bound,
    )
    return repair_model(session, subject, datasets, scheme, wanted, request)


def _size(
    session: Session, subject: Subject, datasets: Datasets, scheme: QuantScheme, request: TaskRequest | None
) -> NetworkSize | None:
    """Of the network; None where it cannot be run, which nothing else needs here."""
    try:
        return network_size(begin(session, subject, datasets, scheme, request).case)
    except QdiagError:
        return None


def fix_unproved(
    model: Subject | NamedTensors, audit: BatchNormAudit, options: FixOptions, reason: str
) -> tuple[ModelRepair, Changes]:
    """The repair from the checkpoint alone: the network is not run, and the result says so with `reason`.

    Raises:
        ConfigError: no BatchNorm has a name that fits the patterns.
    """
    tensors: Mapping[str, Tensor] = model.tensors if isinstance(model, NamedTensors) else subject_tensors(model)
    records = chosen_batchnorms(audited(audit, options.threshold), options.layers).values()
    found = [propose(record, tensors, options.method, record.dead_channels) for record in records if record.dead]
    changes = changed_tensors(tensors, (edit for proposal in found for edit in proposal.edits))
    try:
        check_stored_names(tensors, changes)
    except RepairRefused as refusal:
        changes, reason = {}, f"{refusal.at}: {refusal.message} ({refusal.hint})"
    step = RepairStep(
        options.repair,
        layers=tuple(proposal.fix.folds_into or proposal.fix.name for proposal in found if proposal.edits),
        tensors=tuple(changes),
        batchnorms=tuple(proposal.fix for proposal in found),
        refused=None if changes else reason,
    )
    assumed = [record.eps for record in audit.records if record.eps_is_assumed]
    return ModelRepair(
        model=audit.model,
        layers=tuple(options.layers),
        float_bound=options.float_bound,
        steps=(step,),
        threshold=options.threshold,
        unproved=reason,
        notes=(f"a state dict does not hold eps: {assumed[0]:g} is assumed",) if assumed else (),
        versions=versions(),
    ), changes
