"""A case whose faults are known to the digit: constants that a plan adds to the sums of some layers.

Four layers that hardly change what they are given, so that a constant at any of them arrives at the logits. Taking it
away again is the perfect repair, and the same repair elsewhere does nothing.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from qdiag.core.causes.findings import Finding, FindingSite
from qdiag.errors import RepairRefused
from qdiag.loaders.data.sources import batches_from
from qdiag.rank.bench import Bench
from qdiag.rank.suspects import Suspect
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_plan_edits, with_tensors
from tests.cases import SESSION, open_test_case

SAMPLES = 300
CLASSES = 4
BATCH = 32
"""Samples; as many as may rule a repair out at first."""
GOOD, OTHER, HARMFUL = "cover_range", "calibrate_on_measured", "clip_activations_percentile"
"""Names under which the repairs of these tests go: all keep the scheme."""


def shifted_case(shifts: Mapping[str, Sequence[float]], *, is_labelled: bool = True) -> Case:
    """A labelled case in which each of these layers ("0" to "3") adds constants to its output channels."""
    torch.manual_seed(0)
    model = nn.Sequential(*(nn.Linear(CLASSES, CLASSES) for _ in range(4))).eval()
    with torch.no_grad():
        for layer in model:
            assert isinstance(layer, nn.Linear)
            layer.weight.copy_(torch.eye(CLASSES) + 0.02 * torch.randn(CLASSES, CLASSES))
            layer.bias.zero_()
        x = torch.randn(SAMPLES, CLASSES)
        labels = model(x).argmax(1)
    data = batches_from((x, labels) if is_labelled else x, BATCH)
    case = open_test_case(model, data, "w8a32", task="classify")
    return with_plan_edits(
        SESSION, case, {name: {"bias_shift": torch.tensor(values)} for name, values in shifts.items()}
    )


def suspect(layer: str, *repairs: str, code: str = "QD104") -> Suspect:
    return Suspect(code, "weight", [FindingSite(layer)], list(repairs))


def finding(layer: str, *repairs: str, code: str = "QD104") -> Finding:
    return Finding(code, (FindingSite(layer),), repairs)


def bench_of(case: Case, suspects: Sequence[Suspect], *repairs: Repair, raises: bool = False) -> Bench:
    found = {repair.name: repair for repair in repairs}
    return Bench(case, found, RepairContext(), suspects, raises)


def unshift(name: str = GOOD) -> Repair:
    """Takes the constants of the sites away; elsewhere it changes nothing."""

    def apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
        layers = tuple(site.layer for site in sites)
        return Treatment(_shifted(case, dict.fromkeys(layers)), layers, settings=(f"{name}=true",))

    return Repair(name, apply)


def shift(name: str = HARMFUL, by: float = 100.0) -> Repair:
    """Adds a constant to the last channel."""

    def apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
        layers = tuple(site.layer for site in sites)
        last = torch.tensor([0.0] * (CLASSES - 1) + [by])
        return Treatment(_shifted(case, dict.fromkeys(layers, last)), layers)

    return Repair(name, apply)


def everywhere(name: str = GOOD, *, tells: bool) -> Repair:
    """Takes all constants away, whichever sites it is given; says so or not."""

    def apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
        layers = tuple(layer.name for layer in case.network.graph.layers if layer.weight is not None)
        treated = _shifted(case, dict.fromkeys(layers))
        return Treatment(treated, layers if tells else tuple(site.layer for site in sites))

    return Repair(name, apply)


def reweigh(name: str, factor: float) -> Repair:
    """Multiplies the last layer's weights, in the float network too."""

    def apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
        changes = {"3.weight": case.tensors["3.weight"] * factor}
        treated = with_tensors(SESSION, case, changes, recalibrate=False)
        return Treatment(_shifted(treated, {site.layer: None for site in sites}), ("3",), True, changes)

    return Repair(name, apply)


def only_at(repair: Repair, layer: str) -> Repair:
    """The repair, refused at other layers."""

    def apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
        if any(site.layer != layer for site in sites):
            raise RepairRefused("there is nothing to repair")
        return repair.apply(case, sites, context)

    return Repair(repair.name, apply)


def failing(name: str, error: Exception) -> Repair:
    def apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
        raise error

    return Repair(name, apply)


def _shifted(case: Case, shifts: Mapping[str, Tensor | None]) -> Case:
    return with_plan_edits(SESSION, case, {layer: {"bias_shift": value} for layer, value in shifts.items()})
