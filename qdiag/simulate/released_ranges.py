"""Ranges of a quantized file that a change of weights makes meaningless."""

import glob
from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from qdiag.core.graph import Layer
from qdiag.core.scheme import LayerOverride, QuantScheme, TensorChange
from qdiag.simulate.calibrate import Observation
from qdiag.simulate.case import Case

_MOVED = 1e-3
"""Of the widest value: an output whose ends move by less has the range of the file."""
_CALIBRATED = TensorChange(calibrator="minmax")


def released_ranges(before: Case, after: Case) -> QuantScheme:
    """The scheme without the file's ranges of weights that are others now, and of outputs that reach elsewhere.

    These are calibrated: a weight that a repair has made narrower would otherwise be rounded in the wide steps that the
    file has for it.

    Args:
        before: the case of the file, or a repaired one. after: with other weights, observed anew where they move
            activations.
    """
    overrides = []
    for layer in after.network.graph.sites:
        stored = before.stored.get(layer.name)
        if stored is None:
            continue
        weights, activations = after.scheme.weights_of(layer.name), after.scheme.activations_of(layer.name)
        has_range = weights.range is not None or weights.channel_ranges is not None
        frees_weight = has_range and not weights.is_float and _weight_differs(layer, before, after)
        frees_output = activations.range is not None and not activations.is_float
        frees_output = frees_output and _moves(layer.name, before.observations, after.observations)
        if frees_weight or frees_output:
            changes = [_CALIBRATED if frees else TensorChange() for frees in (frees_weight, frees_output)]
            overrides.append(LayerOverride(glob.escape(layer.name), weights=changes[0], activations=changes[1]))
    return replace(after.scheme, layers=(*after.scheme.layers, *overrides)) if overrides else after.scheme


def _weight_differs(layer: Layer, before: Case, after: Case) -> bool:
    """Tensors with equal values are the same object."""
    return layer.weight is not None and _constant(before, layer.weight) is not _constant(after, layer.weight)


def _constant(case: Case, name: str) -> Tensor | None:
    return case.network.program.constants.get(name)


def _moves(layer: str, before: Mapping[str, Observation], after: Mapping[str, Observation]) -> bool:
    if before is after or layer not in before or layer not in after:
        return False
    one, other = before[layer].statistics.range, after[layer].statistics.range
    least = _MOVED * max(abs(one.min), abs(one.max))
    return abs(one.min - other.min) > least or abs(one.max - other.max) > least
