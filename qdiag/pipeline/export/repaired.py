"""The case that is exported: repairs of the weights and of the plan, one on top of the other."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from qdiag.core.causes.findings import FindingSite
from qdiag.core.causes.repair import FLOAT_BOUND, RepairStep
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.errors import ConfigError, RepairRefused
from qdiag.pipeline.begin import Experiment
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.pipeline.float_probe import FloatProbe
from qdiag.pipeline.repair import Repairing, RepairOptions
from qdiag.repairs.base import RepairContext
from qdiag.repairs.scheme_change import escaped
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import Case
from qdiag.simulate.session import Session


@dataclass(frozen=True)
class WantedRepair:
    """One repair: its name, and the layers that it is made at; all with weights when empty."""

    name: str
    layers: tuple[str, ...] = ()


def check_wanted(wanted: Sequence[WantedRepair]) -> None:
    """Raises `ConfigError` for a repair that no file of the same network can hold, or that is unknown."""
    for one in wanted:
        traits = TRAITS.get(one.name)
        if traits is None:
            raise ConfigError(
                f"there is no repair {one.name!r}", at="`repairs`", hint=f"give one of {', '.join(TRAITS)}"
            )
        if traits.writes == "graph":
            hint = "write that network first, with `qdiag repair`, and export it"
            raise ConfigError(f"{one.name} gives a network of other layers", at="`repairs`", hint=hint)
        if traits.in_code is not None:
            reason, hint = traits.in_code
            raise ConfigError(f"{one.name} cannot be exported: {reason}", at="`repairs`", hint=hint)


def repaired_case(
    session: Session, experiment: Experiment, wanted: Sequence[WantedRepair], *, float_bound: float = FLOAT_BOUND
) -> tuple[Case, tuple[RepairStep, ...]]:
    """The case with the repairs made, and what became of each; the experiment is left as it was.

    Repairs of the weights are made as `qdiag repair` makes them, and refused where they move the float output beyond
    the bound; those of the plan are made as they are.

    Raises:
        ConfigError: see `check_wanted`; or no layer has the name that is asked for.
    """
    check_wanted(wanted)
    case, steps = experiment.case, list[RepairStep]()
    if not wanted:
        return case, ()
    audit = audit_batchnorms(experiment.subject, program=case.program)
    context = RepairContext(audit, session=session)
    probe = FloatProbe(experiment.subject, case.program, case.tasks, session.device)
    changes: dict[str, Tensor] = {}
    for one in wanted:
        if TRAITS[one.name].writes == "plan":
            case, step = _planned(case, one, context)
        else:
            options = RepairOptions((one.name,), tuple(map(escaped, one.layers)), float_bound=float_bound)
            repairing = Repairing(case, context, probe, options, experiment.capture.stored_ranges)
            repairing.changes = changes
            step = repairing.make(one.name)
            case, changes = repairing.case, repairing.changes
        steps.append(step)
    return case, tuple(steps)


def _planned(case: Case, wanted: WantedRepair, context: RepairContext) -> tuple[Case, RepairStep]:
    weighted = [layer.name for layer in case.network.graph.layers if layer.weight is not None]
    sites = [FindingSite(name) for name in wanted.layers or weighted]
    try:
        treatment = REPAIRS[wanted.name].apply(case, sites, context)
    except RepairRefused as refusal:
        where = f"{refusal.at}: " if refusal.at else ""
        return case, RepairStep(wanted.name, refused=f"{where}{refusal.message}")
    return treatment.case, RepairStep(wanted.name, layers=treatment.layers)
