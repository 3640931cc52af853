"""BatchNorms of a captured graph, paired as they are folded; and of a `torch.export` program, by its graph."""

from collections.abc import Iterable
from typing import Any

from torch import Tensor, fx
from torch.export import ExportedProgram

from qdiag.batchnorms.sites import (
    NO_NEIGHBOUR,
    LayerTensors,
    NormSite,
    NormSites,
    NormTensors,
    describe_pair,
    number_calls,
)
from qdiag.capture.capture import program_from_export
from qdiag.capture.fold import NormPair, batch_norm_name, fold_batchnorms
from qdiag.capture.ops import convolution_groups, is_padded, kind_and_policy, weight_axis
from qdiag.capture.program import Program
from qdiag.capture.rewrites.functionalize import needs_full_functionalization
from qdiag.capture.routes import quiet
from qdiag.core.measures.bn import NormTensorNames
from qdiag.onnx.recorder import LAYER_NAME


def norms_of_program(exported: ExportedProgram, route: str = "exported program") -> NormSites:
    """The BatchNorms of a program, in graph order; the program is left as it was."""
    if needs_full_functionalization(exported):
        with quiet():
            exported = exported.run_decompositions({})
    return norms_of_graph(program_from_export(exported, "exported_program"), route)


def norms_of_graph(program: Program, route: str = "graph") -> NormSites:
    """The BatchNorms of a captured graph, in graph order, each with the layer that the fold gives it."""
    return NormSites(route, tuple(sites_of_pairs(program, fold_batchnorms(program).pairs)))


def sites_of_pairs(program: Program, pairs: Iterable[NormPair]) -> list[NormSite]:
    """The BatchNorms of a captured graph as its fold paired them, in the same order."""
    nodes = {node.name: node for node in program.graph.nodes}
    sites = []
    for pair in pairs:
        norm = _norm(program, nodes[pair.norm])
        layer = _layer(program, nodes[pair.layer]) if pair.layer is not None else None
        if layer is None:
            sites.append(NormSite(norm, reason=NO_NEIGHBOUR))
            continue
        description = describe_pair(
            layer,
            is_norm_first=pair.is_norm_first,
            paired_by="graph",
            certainty="certain",
            not_foldable=pair.reason,
        )
        sites.append(NormSite(norm, layer, description))
    return number_calls(sites)


def _norm(program: Program, node: fx.Node) -> NormTensors:
    gamma, beta, mean, variance = (_constant(program, argument) for argument in node.args[1:5])
    known = next((t for t in (variance, gamma) if t is not None), None)
    value = node.meta.get("val")
    channels = int(value.shape[1]) if isinstance(value, Tensor) and value.ndim > 1 else 0
    eps: Any = node.args[7]
    return NormTensors(
        batch_norm_name(program, node),
        len(known) if known is not None else channels,
        float(eps),
        gamma,
        beta,
        mean,
        variance,
        is_training=bool(node.args[5]),
        stored=_stored_names(program, node),
    )


def _stored_names(program: Program, node: fx.Node) -> NormTensorNames:
    """Empty where a tensor is none of the network's own."""
    gamma, beta, _, variance = (program.parameter_names.get(str(getattr(a, "target", "")), "") for a in node.args[1:5])
    return NormTensorNames(gamma, beta, variance)


def _layer(program: Program, node: fx.Node) -> LayerTensors:
    kind = kind_and_policy(node)[0]
    weight = _constant(program, node.args[1])
    assert weight is not None and isinstance(node.args[1], fx.Node)
    weight_name = program.parameter_names.get(str(node.args[1].target), "")
    name = node.meta.get(LAYER_NAME) or weight_name.rpartition(".")[0] or node.name
    if kind == "linear":
        return LayerTensors(name, "linear", weight_name, weight)
    groups = convolution_groups(node)
    if kind == "conv_transpose":
        return LayerTensors(name, "conv_transpose", weight_name, weight, groups, weight_axis(kind))
    is_depthwise = groups > 1 and weight.shape[1] == 1
    return LayerTensors(
        name, "depthwise_conv" if is_depthwise else "conv", weight_name, weight, groups, 0, is_padded(node)
    )


def _constant(program: Program, argument: object) -> Tensor | None:
    return program.constants.get(str(argument.target)) if isinstance(argument, fx.Node) else None
