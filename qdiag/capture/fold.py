"""Folds BatchNorm into the convolution or linear layer before or after it, on a copy of the program.

Backends do this before they quantize; comparing an unfolded network with a folded one would blame the wrong layers.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, fx

from qdiag.capture.ops import has_weight, kind_and_policy, weight_axis
from qdiag.capture.program import Program
from qdiag.core.measures.measurement import KeptBatchNorm
from qdiag.numerics.batchnorm import ChannelAffine, batch_norm_affine, fold_after, fold_before

_BATCH_NORM = torch.ops.aten.batch_norm.default


@dataclass(frozen=True)
class FoldedBatchNorm:
    """`norm` is the module path of the BatchNorm, `layer` the name of the graph node that took it in."""

    norm: str
    layer: str


@dataclass(frozen=True)
class FoldResult:
    """The folded program, and what became of each BatchNorm."""

    program: Program
    folded: tuple[FoldedBatchNorm, ...]
    kept: tuple[KeptBatchNorm, ...]


def fold_batchnorms(program: Program) -> FoldResult:
    """Folds every BatchNorm that can be folded exactly."""
    folder = _Folder(program)
    for node in [n for n in folder.graph.nodes if n.op == "call_function" and n.target is _BATCH_NORM]:
        folder.fold(node)
    folder.graph.eliminate_dead_code()
    folder.graph.lint()
    alive = {node.target for node in folder.graph.nodes if node.op == "placeholder" and node.users}
    folded = replace(
        program,
        graph=folder.graph,
        constants={name: value for name, value in folder.constants.items() if name in alive},
        parameter_names=folder.parameter_names,
    )
    return FoldResult(folded, tuple(folder.folded), tuple(folder.kept))


def batch_norm_name(program: Program, node: fx.Node) -> str:
    """Module path of a BatchNorm, from the names of its tensors."""
    for argument in node.args[1:5]:
        if isinstance(argument, fx.Node) and argument.target in program.parameter_names:
            return program.parameter_names[str(argument.target)].rpartition(".")[0]
    return node.name


class _Folder:
    """A copy of the program's graph and constants, while they are being rewritten."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self.graph = fx.Graph()
        output = self.graph.graph_copy(program.graph, {})
        self.graph.output(output)
        self.constants = dict(program.constants)
        self.parameter_names = dict(program.parameter_names)
        self.folded: list[FoldedBatchNorm] = []
        self.kept: list[KeptBatchNorm] = []

    def fold(self, node: fx.Node) -> None:
        """Folds one BatchNorm node, or notes why it stays."""
        name = batch_norm_name(self._program, node)
        norm, reason = self._affine(node)
        layer: fx.Node | None = None
        if norm is not None:
            layer, reason = self._fold_backwards(node, norm)
        if norm is not None and layer is None:
            layer, forward_reason = self._fold_forwards(node, norm)
            reason = forward_reason or reason
        if layer is None:
            self.kept.append(KeptBatchNorm(name, reason))
            return
        layer.meta["folded_batchnorms"] = (*layer.meta.get("folded_batchnorms", ()), name)
        self.folded.append(FoldedBatchNorm(name, layer.name))

    def _affine(self, node: fx.Node) -> tuple[ChannelAffine | None, str]:
        gamma, beta, mean, variance = (self._constant(a) for a in node.args[1:5])
        is_training, eps = bool(node.args[5]), node.args[7]
        if is_training:
            return None, "it runs in training mode: its statistics change with every batch"
        if mean is None or variance is None:
            return None, "it has no running statistics"
        assert isinstance(eps, float | int)
        return batch_norm_affine(gamma, beta, mean, variance, float(eps)), ""

    def _fold_backwards(self, node: fx.Node, norm: ChannelAffine) -> tuple[fx.Node | None, str]:
        layer = node.args[0]
        if not isinstance(layer, fx.Node) or layer.op != "call_function" or not has_weight(kind_and_policy(layer)[0]):
            return None, "what comes before it is neither a convolution nor a linear layer"
        if len(layer.users) > 1:
            return None, "the output of the layer before it is also read elsewhere"
        weight, bias = self._weights(layer)
        if weight is None:
            return None, "the layer before it has no constant weight"
        kind = kind_and_policy(layer)[0]
        if kind == "linear" and _rank(layer) != 2:
            return None, "its channels are not the outputs of the linear layer before it"
        axis = weight_axis(kind)
        self._rewrite(layer, *fold_after(weight, bias, norm, output_axis=axis, groups=convolution_groups(layer)))
        node.replace_all_uses_with(layer)
        self.graph.erase_node(node)
        return layer, ""

    def _fold_forwards(self, node: fx.Node, norm: ChannelAffine) -> tuple[fx.Node | None, str]:
        users = list(node.users)
        if len(users) != 1 or users[0].args[0] is not node:
            return None, ""
        layer = users[0]
        kind = kind_and_policy(layer)[0] if layer.op == "call_function" else ""
        weight, bias = self._weights(layer) if has_weight(kind) else (None, None)
        if weight is None or kind == "conv_transpose":
            return None, ""
        if kind == "linear" and _rank(layer) != 2:
            return None, "its channels are not the inputs of the linear layer after it"
        if kind == "conv" and is_padded(layer) and bool((norm.shift != 0).any()):
            return None, "the convolution after it pads with zeros, which the shift would have to follow"
        self._rewrite(layer, *fold_before(weight, bias, norm, groups=convolution_groups(layer)))
        before = node.args[0]
        assert isinstance(before, fx.Node)
        node.replace_all_uses_with(before)
        self.graph.erase_node(node)
        return layer, ""

    def _constant(self, argument: object) -> Tensor | None:
        return self.constants.get(str(argument.target)) if isinstance(argument, fx.Node) else None

    def _weights(self, layer: fx.Node) -> tuple[Tensor | None, Tensor | None]:
        bias = layer.args[2] if len(layer.args) > 2 else layer.kwargs.get("bias")
        if bias is not None and self._constant(bias) is None:
            return None, None
        return self._constant(layer.args[1]), self._constant(bias)

    def _rewrite(self, layer: fx.Node, weight: Tensor, bias: Tensor) -> None:
        """Gives the layer constants of its own: a shared module may be followed by a different norm each time."""
        old_weight, old_bias = layer.args[1], layer.args[2] if len(layer.args) > 2 else None
        weight_name = self._parameter_name(old_weight)
        bias_name = self._parameter_name(old_bias) or f"{weight_name.rpartition('.')[0]}.bias".lstrip(".")
        new_weight = self._placeholder(f"{layer.name}_folded_weight", weight, weight_name)
        new_bias = self._placeholder(f"{layer.name}_folded_bias", bias, bias_name)
        kwargs = {k: v for k, v in layer.kwargs.items() if k != "bias"}
        layer.args = (layer.args[0], new_weight, new_bias, *layer.args[3:])
        layer.kwargs = kwargs

    def _parameter_name(self, argument: object) -> str:
        return self.parameter_names.get(str(argument.target), "") if isinstance(argument, fx.Node) else ""

    def _placeholder(self, name: str, value: Tensor, parameter_name: str) -> fx.Node:
        name = name if name not in self.constants else f"{name}_again"
        first = next(iter(self.graph.nodes))
        with self.graph.inserting_before(first):
            node = self.graph.placeholder(name)
        self.constants[str(node.target)] = value
        self.parameter_names[str(node.target)] = parameter_name
        return node


def _rank(node: fx.Node) -> int:
    value = node.meta.get("val")
    return value.ndim if isinstance(value, Tensor) else 0


def convolution_groups(layer: fx.Node) -> int:
    """Groups of a convolution or transposed convolution node; 1 for a linear layer."""
    if kind_and_policy(layer)[0] == "linear":
        return 1
    # conv_transposeNd(x, w, b, stride, padding, output_padding, groups, dilation); convolution(..., groups) last
    name = str(layer.target)
    index = 8 if "convolution" in name else 6
    groups = layer.args[index] if index < len(layer.args) else layer.kwargs.get("groups", 1)
    return groups if isinstance(groups, int) else 1


def is_padded(layer: fx.Node) -> bool:
    """The convolution surrounds its input with zeros."""
    padding = layer.args[4] if len(layer.args) > 4 else layer.kwargs.get("padding", 0)
    if isinstance(padding, str):
        return padding != "valid"
    if isinstance(padding, list | tuple):
        return any(p != 0 for p in padding)
    return padding not in (0, None)
