"""`activations_16bit`: a layer takes and gives 16-bit activations, as the 16x8 kernels of integer backends do.

Its output and its inputs are widened, so the layers that feed it write 16 bits, and whatever else reads those tensors
reads 16 bits too. An int32 bias would overflow at the 256 times finer scale of such an input: layers that read one get
an int64 bias, as in LiteRT's 16x8 mode. Whether the quantizers are affine or symmetric stays as in the scheme.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from qdiag.core.causes.findings import Evidence, FindingSite
from qdiag.core.scheme import BiasType, TensorChange, TensorScheme
from qdiag.core.tensor_scheme import FLOAT_TYPES, ScaleName
from qdiag.repairs.base import Repair, RepairContext, Treatment, WholeChange
from qdiag.repairs.scheme_change import (
    change_outputs,
    integer_biases,
    layers_of,
    places,
    quantizer_owners,
    setting_value,
    with_bias,
)
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_scheme

_BITS = 16


def _apply(case: Case, sites: Sequence[FindingSite], context: RepairContext) -> Treatment:
    graph = case.network.graph
    layers = layers_of(case, sites)
    fed_by = {name for layer in layers for name in layer.inputs}
    wide = tuple(layer for layer in graph.sites if layer in layers or layer.name in fed_by)
    names = quantizer_owners(case, wide)
    change = change_outputs(
        case, names, _change, refusal="nothing here is quantized to fewer than 16 bits", at=places(sites)
    )
    readers = _readers_with_int32_bias(case, change.names)
    scheme, settings = with_bias(change.scheme, readers, "int64", everywhere=integer_biases(case, graph.layers))
    layer_names = tuple(dict.fromkeys((*change.names, *readers)))
    costs = (Evidence("wide_activation_bytes", _extra_bytes(case, change.names), "bytes per sample"),)
    return Treatment(
        with_scheme(context.session, case, scheme), layer_names, settings=(*change.settings, *settings), costs=costs
    )


def _everywhere(case: Case) -> WholeChange | None:
    scheme = case.scheme
    change = _change(scheme.activations)
    if scheme.activations.is_float or change is None:
        return None
    # finer input scales make finer bias scales, which 32 bits do not hold: backends with 16x8 kernels take 64
    bias: BiasType = "int64" if scheme.bias == "int32" else scheme.bias
    wide = replace(scheme, activations=change.over(scheme.activations), bias=bias)
    own = tuple(f"activations.{key}={setting_value(value)}" for key, value in change.values.items())
    settings = (*own, *((f"bias={bias}",) if bias != scheme.bias else ()))
    costs = (Evidence("activation_memory", _BITS / scheme.activations.bits, "x"),)
    return WholeChange(wide, tuple(layer.name for layer in case.network.graph.layers), settings, costs)


def _change(scheme: TensorScheme) -> TensorChange | None:
    if scheme.bits >= _BITS:
        return None
    if scheme.type in FLOAT_TYPES:  # float16, as kernels for float8 take beside it; it needs no scale
        scale: ScaleName = "none" if scheme.calibrator == "minmax" and scheme.range is None else "float32"
        return TensorChange(bits=_BITS, type="float", element="float16", scale=scale, granularity="per_tensor")
    return scheme.change_to_bits(_BITS)


def _readers_with_int32_bias(case: Case, owners: Sequence[str]) -> tuple[str, ...]:
    """Layers with an int32 bias whose input has one of these quantizers."""
    found = []
    for name in integer_biases(case, case.network.graph.layers):
        source = case.network.graph.layer(name).inputs[0]
        owner = case.plan.layers[source].shared_with or source
        if owner in owners and case.scheme.bias_of(name) == "int32":
            found.append(name)
    return tuple(found)


def _extra_bytes(case: Case, owners: Sequence[str]) -> float:
    """What one sample's activations take more, at the outputs that have these quantizers."""
    extra = 0.0
    for name, plan in case.plan.layers.items():
        owner = plan.shared_with or name
        if plan.output is not None and owner in owners:
            bits = case.scheme.activations_of(owner).bits
            extra += math.prod(case.observations[name].shape) * (_BITS - bits) / 8.0
    return extra


ACTIVATIONS_16BIT = Repair("activations_16bit", _apply, everywhere=_everywhere)
