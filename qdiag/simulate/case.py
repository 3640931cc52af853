"""A network under treatment: weights, scheme and quantizers that belong together. Changes return a new case."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from qdiag.batches import Batches
from qdiag.capture.computed import fold_computed
from qdiag.capture.fold import fold_batchnorms
from qdiag.capture.layers import group_layers
from qdiag.capture.program import Program
from qdiag.core.progress import NoProgress, Progress
from qdiag.core.scheme import QuantScheme
from qdiag.plan import LayerPlan, QuantPlan
from qdiag.simulate.calibrate import Observation, observe_network
from qdiag.simulate.calibrations import Calibrations
from qdiag.simulate.passes.network import Network, network_on
from qdiag.simulate.passes.pass_cache import NO_PASSES, PassKeeper
from qdiag.simulate.passes.pass_values import OBSERVATIONS
from qdiag.simulate.plan_builder import build_plan

Clamp = tuple[float, float]


@dataclass(frozen=True)
class Case:
    """One network under one plan, with all that is needed to change either.

    Attributes:
        program: as captured, BatchNorm not folded, the weights of this case; on the CPU.
        network: folded as the scheme says, grouped into layers, on the device, the weights of this case.
        origin: the untreated float network with the same graph: what this case is measured against.
        plan: the quantizers, `plan_edits` included.
        observations: what was seen on the calibration data, as closely as the scheme's calibrators need.
        calibration: the data it was seen on. measured: the data that is measured on.
        clamps: bounds in place of those that the network has, by layer.
        plan_edits: fields of `LayerPlan` that override what the scheme gives, by layer.
        passes: what keeps finished passes; a case that is made from another shares it, and `calibrations`.
    """

    program: Program
    network: Network
    origin: Network
    scheme: QuantScheme
    plan: QuantPlan
    observations: Mapping[str, Observation]
    calibration: Batches
    measured: Batches
    clamps: Mapping[str, Clamp] = field(default_factory=dict)
    plan_edits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    passes: PassKeeper = field(default=NO_PASSES, repr=False, compare=False)
    calibrations: Calibrations = field(default_factory=Calibrations, repr=False, compare=False)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Parameters and buffers of the captured program by their names in the original model; not to be written to."""
        names = self.program.parameter_names
        return {names[key]: value for key, value in self.program.constants.items() if key in names}


def observe(
    network: Network, batches: Batches, scheme: QuantScheme, progress: Progress, passes: PassKeeper = NO_PASSES
) -> Mapping[str, Observation]:
    """Ranges per layer and channel, with histograms where the scheme's calibrators read them, in one float pass."""
    return passes.finished(
        "observe",
        OBSERVATIONS,
        lambda: observe_network(network, batches, scheme, progress, per_channel=True, glance=True),
        batches=[batches],
        depends_on=(network, scheme),
    )


def open_case(
    program: Program,
    network: Network,
    scheme: QuantScheme,
    observations: Mapping[str, Observation],
    *,
    calibration: Batches,
    measured: Batches,
    passes: PassKeeper = NO_PASSES,
) -> Case:
    """The untreated case.

    Raises:
        CalibrationError, ConfigError: see `build_plan`.
    """
    chosen = Calibrations()
    return Case(
        program,
        network,
        network,
        scheme,
        build_plan(network, observations, scheme, chosen),
        observations,
        calibration,
        measured,
        passes=passes,
        calibrations=chosen,
    )


def with_tensors(
    case: Case, changes: Mapping[str, Tensor], *, recalibrate: bool, progress: Progress | None = None
) -> Case:
    """The case with other values in some tensors of the original model.

    Args:
        changes: by name in the original model; shapes stay.
        recalibrate: the change moves activations, so their ranges are observed anew (one float pass).

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
    return _planned(replace(case, program=program, network=network), recalibrate=recalibrate, progress=progress)


def with_scheme(case: Case, scheme: QuantScheme) -> Case:
    """The case under another scheme. A fold that changes gives it another origin.

    What was observed serves again, unless a calibrator has to look more closely: then in one more float pass.

    Raises:
        CalibrationError, ConfigError: see `build_plan`.
    """
    if scheme.fold_batchnorm != case.scheme.fold_batchnorm:
        network = _ready(case.program, scheme, None, device=case.network.device)
        changed = replace(case, scheme=scheme, network=_with_clamps(network, case.clamps), origin=network)
        return _planned(changed, recalibrate=True, progress=None)
    changed = replace(case, scheme=scheme)
    names = [layer.name for layer in case.network.graph.sites]
    pairs = [(name, scheme.activations_of(name), case.scheme.activations_of(name)) for name in names]
    closer = [name for name, new, old in pairs if new.calibrator not in ("minmax", old.calibrator)]
    if closer:
        seen = observe(case.network, case.calibration, scheme, NoProgress(), case.passes)
        merged = {**case.observations, **{name: seen[name] for name in closer if name in seen}}
        changed = replace(changed, observations=merged)
    return _planned(changed, recalibrate=False, progress=None)


def with_clamps(case: Case, clamps: Mapping[str, Clamp], *, progress: Progress | None = None) -> Case:
    """The case with other bounds at some fused clamps; ranges are observed anew."""
    merged = {**case.clamps, **clamps}
    network = _with_clamps(case.network, merged)
    return _planned(replace(case, network=network, clamps=merged), recalibrate=True, progress=progress)


def with_observations(case: Case, observations: Mapping[str, Observation]) -> Case:
    """The case with other observations for some layers."""
    return _planned(replace(case, observations={**case.observations, **observations}), recalibrate=False, progress=None)


def with_plan_edits(case: Case, edits: Mapping[str, Mapping[str, Any]]) -> Case:
    """The case with fields of some layers' plans replaced, whatever the scheme says (see `LayerPlan`)."""
    merged = {name: {**case.plan_edits.get(name, {}), **edits.get(name, {})} for name in {*case.plan_edits, *edits}}
    return _planned(replace(case, plan_edits=merged), recalibrate=False, progress=None)


def without_quantizers(case: Case) -> Case:
    """The float network with the weights of this case."""
    return replace(case, plan=QuantPlan(case.scheme, {layer.name: LayerPlan() for layer in case.network.graph.sites}))


def _planned(case: Case, *, recalibrate: bool, progress: Progress | None) -> Case:
    if recalibrate:
        seen = observe(case.network, case.calibration, case.scheme, progress or NoProgress(), case.passes)
        case = replace(case, observations=seen)
    plan = build_plan(case.network, case.observations, case.scheme, case.calibrations)
    for name, changes in case.plan_edits.items():
        if name in plan.layers and plan.layers[name].float_reason is None:
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
