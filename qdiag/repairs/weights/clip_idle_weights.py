"""`clip_idle_weights`: weights on inputs that carry nothing are clipped to the range of the weights that do the work.

An error of a weight counts with the second moment of what it multiplies (arXiv 2004.10568, section 3), and that of a
channel that never moves is zero: its weights may be anything. They are clipped, not set to zero, so that a channel that
does come alive once is still heard. What a constant other than zero gave through them goes into the beta of the
BatchNorm that is folded into the layer, or into its bias; where there is neither, its weights stay. Which channels
carry nothing is seen on the calibration data; callers measure whether the float network moves on other data.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.graph import Layer
from qdiag.errors import RepairRefused
from qdiag.repairs.base import Repair, RepairContext, Treatment
from qdiag.repairs.scheme_change import layers_of, places, with_quantized_weights
from qdiag.repairs.stale import without_stale_edits
from qdiag.repairs.weighted_layer import stored_layer
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_tensors
from qdiag.simulate.facts.inputs import (
    InputMoments,
    WeightedInputs,
    by_input,
    by_output,
    idle_inputs,
    moments_of,
    others_max_abs,
)
from qdiag.simulate.passes.batchwise.run_batches import run_batches
from qdiag.simulate.passes.lanes import REFERENCE, Lane, pick
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.pass_values import COLUMNS
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session


class _Inputs(LayerObserver):
    carried = ("seen",)

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(names)
        self.seen = WeightedInputs()

    def before(self, layer: Layer, node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        del kwargs
        if layer.name in self._names:
            self.seen.add(layer, node, pick(args, REFERENCE))

    def merge(self, later: "_Inputs") -> None:
        """See `Collector`."""
        self.seen.merge(later.seen)


def observed_inputs(session: Session, case: Case, names: Sequence[str]) -> dict[str, InputMoments]:
    """What the named layers with weights read on the calibration data: one float pass."""

    def run() -> dict[str, list[float]]:
        observer = _Inputs(names)
        runner = LaneRunner([Lane(case.network)], [observer])
        run_batches(runner, case.calibration, session.progress, stage="inputs", processes=session.processes)
        found = {name: observer.seen.moments(name) for name in names}
        return {name: moments.columns() for name, moments in found.items() if moments is not None}

    columns = session.passes.finished(
        "inputs of weights", COLUMNS, run, batches=[case.calibration], depends_on=(case.network, tuple(names))
    )
    return {name: moments_of(column) for name, column in columns.items()}


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    """At the inputs that the sites name, as far as they carry nothing; at all such inputs of a layer named whole.

    Raises:
        RepairRefused: that is so of none, or their weights reach no further than the others.
    """
    layers = {layer.name: layer for layer in layers_of(case, sites)}
    seen = observed_inputs(context.session, case, with_quantized_weights(case, tuple(layers.values())))
    wanted = {site.layer: site.inputs for site in sites}
    tensors, treated, count = dict[str, Tensor](), list[str](), 0
    reason = "no input here carries nothing and has weights beyond the others"
    for name, moments in seen.items():
        try:
            clipping = _Clipping(case, context, layers[name], moments, wanted.get(name, ()))
            changes, clipped = clipping.changes()
        except RepairRefused as refusal:
            reason = refusal.message
            continue
        if changes:
            tensors |= changes
            treated.append(name)
            count += clipped
    if not tensors:
        raise RepairRefused(reason, at=places(sites))
    done = with_tensors(context.session, without_stale_edits(case, treated), tensors, recalibrate=False)
    costs = (Evidence("clipped_weights", float(count), "values"),)
    return Treatment(done, tuple(treated), moves_float=True, tensors=tensors, costs=costs)


class _Clipping:
    """The repair at one layer.

    Raises:
        RepairRefused: its weight is no constant of the model, or serves several layers.
    """

    def __init__(
        self, case: Case, context: RepairContext, layer: Layer, seen: InputMoments, inputs: Sequence[int]
    ) -> None:
        self._case, self._context, self._layer, self._seen = case, context, layer, seen
        self._own = stored_layer(case.program, layer.weight_name, folds=case.scheme.fold_batchnorm)
        self._folded = case.network.program.constants[str(layer.weight)].detach().cpu()
        idle = idle_inputs(layer, self._folded, seen)
        others = others_max_abs(layer, self._folded, idle)
        has_one_scale = case.scheme.weights_of(layer.name).granularity == "per_tensor"
        limit = others.max().expand(len(others)).clone() if has_one_scale else others
        limit[sorted(context.spared.get(layer.name, ()))] = math.inf
        self._limit = by_output(layer, self._folded, limit)
        self._idle = idle if not inputs else idle & torch.isin(torch.arange(len(idle)), torch.tensor(inputs))

    def changes(self) -> tuple[dict[str, Tensor], int]:
        """New tensors by name in the original model, and how many weights are clipped; empty where there are none."""
        found, count = self._changes(self._idle)
        if found is None:  # nothing can hold what a constant gave, but channels of zeros gave nothing
            found, count = self._changes(self._idle & (self._seen.min == 0.0) & (self._seen.max == 0.0))
        return found or {}, count

    def _changes(self, idle: Tensor) -> tuple[dict[str, Tensor] | None, int]:
        """None where there is no tensor of the layer's own that could take in what constants gave."""
        own, names, constants = self._own, self._case.program.parameter_names, self._case.program.constants
        magnitude = self._folded.abs()
        beyond = by_input(self._layer, self._folded, idle) & (magnitude > self._limit) & (self._limit > 0.0)
        if not bool(beyond.any()):
            return {}, 0
        # BatchNorms multiply whole output or input channels: the same share of a weight is clipped with them or without
        weight = constants[own.weight]
        share = torch.where(beyond, self._limit / magnitude, 1.0)
        changed = {names[own.weight]: (weight * share.to(weight.device)).to(weight.dtype)}
        lost = self._lost(self._folded.double() * (1.0 - share.double()), changed)
        if bool((lost != 0.0).any()):
            key = own.beta if own.is_folded else own.bias
            if key is None:
                return None, 0
            value = constants[key]
            changed[names[key]] = (value.double() + lost.to(value.device)).to(value.dtype)
        return changed, int(beyond.sum())

    def _lost(self, clipped: Tensor, changed: dict[str, Tensor]) -> Tensor:
        """What constants gave every output through the part of the weight that is clipped, (C,) in float64."""
        products = clipped * by_input(self._layer, clipped, self._seen.mean)
        if self._layer.weight_axis == 1:  # the outputs of every group, one after the other
            products = products.view(self._layer.groups, -1, *products.shape[1:]).transpose(1, 2).flatten(0, 1)
        lost = products.flatten(1).sum(1)
        before = self._own.node.args[0]
        if self._case.scheme.fold_batchnorm and getattr(before, "target", None) is torch.ops.aten.batch_norm.default:
            # folded into this layer, it is a part of the bias, which changes with the weight
            after = with_tensors(self._context.session, self._case, changed, recalibrate=False)
            key = str(self._layer.bias)
            old, new = (case.network.program.constants.get(key) for case in (self._case, after))
            lost = lost if old is None or new is None else lost + (old.double() - new.double()).cpu()
        return lost


CLIP_IDLE_WEIGHTS = Repair("clip_idle_weights", _apply)
