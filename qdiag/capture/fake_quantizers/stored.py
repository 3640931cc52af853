"""The ranges that fake quantizers hold, and the layers that they belong to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx, nn
from torch.ao.quantization import FakeQuantizeBase
from torch.export import ExportedProgram

from qdiag.capture.fake_quantizers.show import OUTPUT_MARK, WEIGHT_MARK
from qdiag.capture.fake_quantizers.silence import fake_quantizers, folds_in_training
from qdiag.capture.program import Program
from qdiag.core.graph import OpGraph

_Place = tuple[Literal["weight", "output"], str, bool]
"""Kind, layer, and whether a BatchNorm is folded into the layer."""


@dataclass(frozen=True)
class StoredQuantizer:
    """A fake quantizer of torch.ao, or an operation that is one.

    Attributes:
        module: its path.
        kind: what it quantizes; None: it stands nowhere in the graph.
        layer: whose output or weight that is; None: of no layer.
        scales, zero_points: one, or one for each channel of `channel_axis`; empty: nothing was observed.
        quant_min, quant_max: the integers.
        is_on: it quantizes. observes: its observer is on, so that a call in training changes the range.
        is_folded: its range is that of a weight with the BatchNorm folded into it.
        needs_folded: the layer's weight has a BatchNorm folded into it.
        is_computed: its scale is computed from the values that it quantizes.
    """

    module: str
    kind: Literal["weight", "output"] | None
    layer: str | None
    scales: tuple[float, ...]
    zero_points: tuple[float, ...]
    channel_axis: int
    quant_min: int
    quant_max: int
    is_on: bool
    observes: bool
    is_folded: bool = False
    needs_folded: bool = False
    is_computed: bool = False


def stored_quantizers(
    model: nn.Module | ExportedProgram, program: Program, layers: OpGraph
) -> tuple[StoredQuantizer, ...]:
    """The fake quantizers of a network, in the order of its modules; one that serves several layers stands for each.

    Args:
        program, layers: of the network as it is run, captured from the model.
    """
    modules, graph = fake_quantizers(model), program.graph
    if program.fake_quantizers:
        return _of_operations(program, layers)
    if not modules:
        return ()
    assert isinstance(model, nn.Module)
    own_names = {id(module): path for path, module in modules.items()}
    aliases = {
        path: own_names[id(module)]
        for path, module in model.named_modules(remove_duplicate=False)
        if id(module) in own_names
    }
    places = _places(graph, layers, aliases)
    found = []
    for path, module in modules.items():
        owner = model.get_submodule(path.rpartition(".")[0])
        values = _values(module)
        for kind, layer_name, needs_folded in places.get(path, ()):
            is_weight = kind == "weight"
            found.append(
                StoredQuantizer(
                    *(path, kind, layer_name, *values),
                    is_folded=is_weight and folds_in_training(owner),
                    needs_folded=is_weight and needs_folded,
                )
            )
        if path not in places:
            found.append(StoredQuantizer(path, None, None, *values))
    return tuple(found)


def _of_operations(program: Program, layers: OpGraph) -> tuple[StoredQuantizer, ...]:
    """Those that were operations of a file: on, and without an observer."""
    places = _places(program.graph, layers, {one.name: one.name for one in program.fake_quantizers})
    found = []
    for one in program.fake_quantizers:
        values = (one.scales or (), one.zero_points, one.channel_axis, one.quant_min, one.quant_max, True, False)
        is_computed = one.scales is None
        for kind, layer_name, needs_folded in places.get(one.name, ()):
            is_weight = kind == "weight"
            found.append(
                StoredQuantizer(
                    *(one.name, kind, layer_name, *values),
                    is_folded=is_weight and one.is_folded,
                    needs_folded=is_weight and needs_folded,
                    is_computed=is_computed,
                )
            )
        if one.name not in places:
            found.append(StoredQuantizer(one.name, None, None, *values, is_computed=is_computed))
    return tuple(found)


def _places(graph: fx.Graph, layers: OpGraph, aliases: Mapping[str, str]) -> dict[str, list[_Place]]:
    """Where each fake quantizer stands, by module path.

    Args:
        aliases: every path that leads to a fake quantizer, to the one that it is known by.
    """
    nodes = {node.name: node for node in graph.nodes}
    places: dict[str, list[_Place]] = {}
    outputs: dict[str, str] = {}
    for layer in layers.sites:
        own = [nodes[name] for name in layer.nodes if name in nodes]
        is_folded = any(node.meta.get("folded_batchnorms") for node in own)
        for node in own:
            if WEIGHT_MARK in node.meta:
                places.setdefault(aliases[node.meta[WEIGHT_MARK]], []).append(("weight", layer.name, is_folded))
            if OUTPUT_MARK in node.meta:
                outputs[layer.name] = node.meta[OUTPUT_MARK]
    for node in graph.nodes:
        made_by = layers.sources.get(node.name, ())
        if OUTPUT_MARK in node.meta and len(made_by) == 1:  # what moves values has the range of what made them
            outputs.setdefault(made_by[0], node.meta[OUTPUT_MARK])
    for name, path in outputs.items():
        places.setdefault(aliases[path], []).append(("output", name, False))
    return places


def _values(module: FakeQuantizeBase) -> tuple[tuple[float, ...], tuple[float, ...], int, int, int, bool, bool]:
    observer: Any = getattr(module, "activation_post_process", module)
    quant_min, quant_max = (getattr(observer, name, getattr(module, name, 0)) for name in ("quant_min", "quant_max"))
    scale, zero_point = getattr(module, "scale", None), getattr(module, "zero_point", None)
    scales: tuple[float, ...] = ()
    zero_points: tuple[float, ...] = ()
    if isinstance(scale, Tensor) and isinstance(zero_point, Tensor) and _has_observed(observer, scale):
        scales = tuple(scale.detach().double().flatten().tolist())
        zero_points = tuple(zero_point.detach().double().flatten().tolist())
    axis = int(getattr(module, "ch_axis", -1))
    return (
        scales,
        zero_points,
        axis,
        int(quant_min),
        int(quant_max),
        _flag(module, "fake_quant_enabled"),
        _observes(module),
    )


def _has_observed(observer: Any, scale: Tensor) -> bool:
    """An observer that has seen nothing says so by bounds without values or without an end, and leaves a scale of 1."""
    if not bool((torch.isfinite(scale) & (scale > 0)).all()):
        return False
    bounds = [getattr(observer, name, None) for name in ("min_val", "max_val")]
    return all(not isinstance(b, Tensor) or (b.numel() > 0 and bool(torch.isfinite(b).all())) for b in bounds)


def _observes(module: FakeQuantizeBase) -> bool:
    return _flag(module, "observer_enabled")


def _flag(module: nn.Module, name: str) -> bool:
    value = getattr(module, name, None)
    return isinstance(value, Tensor) and bool(value.any())
