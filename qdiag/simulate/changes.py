"""Changes of a case, each of which returns a new case."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from qdiag.capture.fold import fold_batchnorms
from qdiag.capture.layers import group_layers
from qdiag.capture.program import Program
from qdiag.capture.rewrites.computed import fold_computed
from qdiag.core.scheme import QuantScheme
from qdiag.plan import LayerPlan, QuantPlan
from qdiag.simulate.calibrate import Observation
from qdiag.simulate.case import Case, Clamp
from qdiag.simulate.passes.network import Network, network_on
from qdiag.simulate.released_ranges import released_ranges
from qdiag.simulate.session import Session


def with_tensors(
    session: Session,
    case: Case,
    changes: Mapping[str, Tensor],
    *,
    recalibrate: bool,
    seen: Mapping[str, Observation] | None = None,
) -> Case:
    """The case with other values in some tensors of the original model.

    Args:
        changes: by name in the original model; shapes stay.
        recalibrate: the change moves activations, so the ranges behind it are observed anew (one float pass).
        seen: where these lie after the change, for whoever knows that without a pass.

    Raises:
        KeyError: the model has no tensor of that name.
    """
    unknown = set(changes) - set(case.tensors)
    if unknown:
        raise KeyError(sorted(unknown)[0])
    names = case.program.parameter_names
    constants = {key: changes.get(names.get(key, ""), value) for key, value in case.program.constants.items()}
    program = replace(case.program, constants=constants)
    network = _with_clamps(_ready(program, case.scheme, case.network), case.clamps)
    changed = replace(case, program=program, network=network)
    session.observed.take_over(network, case.network)
    if seen is not None:
        changed = replace(changed, observations=seen)
    elif recalibrate:
        changed = replace(changed, observations=session.observe(network, case.calibration, case.scheme))
    if case.stored:
        changed = replace(changed, scheme=released_ranges(case, changed))
    return _planned(session, changed, recalibrate=False)


def with_scheme(session: Session, case: Case, scheme: QuantScheme) -> Case:
    """The case under another scheme. A fold that changes gives it another origin.

    What was observed serves again, unless a calibrator has to look more closely: then in one more float pass.

    Raises:
        CalibrationError, ConfigError: see `build_plan`.
    """
    if scheme.fold_batchnorm != case.scheme.fold_batchnorm:
        return with_program(session, case, case.program, scheme)
    changed = replace(case, scheme=scheme)
    names = [layer.name for layer in case.network.graph.sites]
    pairs = [(name, scheme.activations_of(name), case.scheme.activations_of(name)) for name in names]
    closer = [name for name, new, old in pairs if new.calibrator not in ("minmax", old.calibrator)]
    if closer:
        seen = session.observe(case.network, case.calibration, scheme)
        merged = {**case.observations, **{name: seen[name] for name in closer if name in seen}}
        changed = replace(changed, observations=merged)
    return _planned(session, changed, recalibrate=False)


def with_program(session: Session, case: Case, program: Program, scheme: QuantScheme) -> Case:
    """The case with another graph that computes the same, and an origin of its own.

    Raises:
        CalibrationError, ConfigError: see `build_plan`.
    """
    network = _ready(program, scheme, None, device=case.network.device)
    clamped = _with_clamps(network, case.clamps)
    changed = replace(case, program=program, scheme=scheme, network=clamped, origin=network)
    return _planned(session, changed, recalibrate=True)


def with_clamps(session: Session, case: Case, clamps: Mapping[str, Clamp]) -> Case:
    """The case with other bounds at some fused clamps; ranges are observed anew."""
    merged = {**case.clamps, **clamps}
    network = _with_clamps(case.network, merged)
    session.observed.take_over(network, case.network)
    return _planned(session, replace(case, network=network, clamps=merged), recalibrate=True)


def in_float_with_clamps(case: Case, clamps: Mapping[str, Clamp]) -> Case:
    """The float network of this case with other bounds at some fused clamps."""
    merged = {**case.clamps, **clamps}
    return without_quantizers(replace(case, network=_with_clamps(case.network, merged), clamps=merged))


def with_observations(session: Session, case: Case, observations: Mapping[str, Observation]) -> Case:
    """The case with other observations for some layers."""
    return _planned(session, replace(case, observations={**case.observations, **observations}), recalibrate=False)


def with_whole_observations(session: Session, case: Case) -> Case:
    """The case observed anew where ranges were derived from those before a repair, without percentiles and moments."""
    if not any(math.isnan(seen.statistics.range.mean) for seen in case.observations.values()):
        return case
    return _planned(session, case, recalibrate=True)


def with_plan_edits(session: Session, case: Case, edits: Mapping[str, Mapping[str, Any]]) -> Case:
    """The case with fields of some layers' plans replaced, whatever the scheme says (see `LayerPlan`)."""
    merged = {name: {**case.plan_edits.get(name, {}), **edits.get(name, {})} for name in {**case.plan_edits, **edits}}
    return _planned(session, replace(case, plan_edits=merged), recalibrate=False)


def without_quantizers(case: Case) -> Case:
    """The float network with the weights of this case."""
    return replace(case, plan=QuantPlan(case.scheme, {layer.name: LayerPlan() for layer in case.network.graph.sites}))


def _planned(session: Session, case: Case, *, recalibrate: bool) -> Case:
    if recalibrate:
        case = replace(case, observations=session.observe(case.network, case.calibration, case.scheme))
    plan = session.plan(case.network, case.observations, case.scheme, case.stored)
    for name, changes in case.plan_edits.items():
        if name in plan.layers and plan.layers[name].skip_reason is None:
            plan = plan.with_layer(name, **changes)
    return replace(case, plan=plan)


def _ready(
    program: Program, scheme: QuantScheme, like: Network | None, *, device: torch.device | None = None
) -> Network:
    """Folded, grouped and placed. Tensors equal to those of `like` are the same objects: equal work is done once."""
    program = fold_computed(program)
    folded = fold_batchnorms(program).program if scheme.fold_batchnorm else program
    target = like.device if like is not None else device or torch.device("cpu")
    network = network_on(folded, group_layers(folded), target)
    if like is None:
        return network
    old = like.program.constants
    constants = {
        name: old[name] if name in old and torch.equal(old[name], value) else value
        for name, value in network.program.constants.items()
    }
    return replace(network, program=replace(network.program, constants=constants))


def _with_clamps(network: Network, clamps: Mapping[str, Clamp]) -> Network:
    if not clamps:
        return network
    layers = tuple(replace(layer, clamp=clamps.get(layer.name, layer.clamp)) for layer in network.graph.layers)
    return replace(network, graph=replace(network.graph, layers=layers))
